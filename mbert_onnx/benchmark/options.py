"""Checks of options that the benchmark functions and `evaluate` share, before any model is built."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mbert_onnx.benchmark.models.prefixes import check_prefixes
from mbert_onnx.errors import UsageError
from mbert_onnx.runtime.native_kernels import NATIVE, PORTABLE, check_choice
from perf.providers import CPU, resolve


def kernels_on(provider: str, kernels: str) -> str:
    """Returns the value of `--kernels` that holds on a provider: `auto`, `native` or `portable`.

    The kernels are for the CPU, so `auto` becomes `portable` on other providers; on `cpu+native` it becomes `native`.

    Raises UsageError where the two contradict each other, perf.errors.PerfUsageError for an unknown provider.
    """
    chosen = resolve(provider)
    check_choice(kernels)
    if chosen.kernels and kernels == PORTABLE:
        raise UsageError("--provider is cpu+native, and --kernels portable; expected one of both: pass --provider cpu")
    if chosen.kernels:
        return NATIVE
    if chosen.ort_name == CPU.ort_name:
        return kernels
    if kernels == NATIVE:
        raise UsageError(
            f"--kernels is native, and --provider {chosen.name}; expected cpu, which they are for, or auto"
        )
    return PORTABLE


def checked_names(models: str | Path | Sequence[str | Path], *, json: str | Path | None) -> list[str]:
    """Returns the models' names.

    Raises UsageError without a model, for an unknown prefix, or if the report's file cannot be written to its folder.
    """
    names = [str(model) for model in ([models] if isinstance(models, str | Path) else models)]
    if not names:
        raise UsageError("there is no model; give a bundle, an .onnx file, or a checkpoint such as random")
    for name in names:
        check_prefixes(name)
    if json is not None and (Path(json).is_dir() or not Path(json).parent.is_dir()):
        raise UsageError(f"--json is {json}; expected a file in a folder that exists")
    return names
