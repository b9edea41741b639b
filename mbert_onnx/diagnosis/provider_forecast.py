"""Forecast of execution providers (`doctor --provider`): which nodes of a model each would run, and why not the rest.

It needs no device: a provider that is not usable here is forecast from its published rules.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir

from graphs.errors import GraphError
from graphs.execution.inputs.limits import InputLimits
from graphs.model.loading import in_one_file, read_model
from mbert_onnx.bundles.limits import expected_limits, file_limits
from mbert_onnx.bundles.model_file import find_file, is_file, open_session
from mbert_onnx.bundles.proto_file import read_proto
from mbert_onnx.bundles.types import Progress
from mbert_onnx.conversion.optimizer import optimize
from mbert_onnx.errors import MbertError, VerificationError
from mbert_onnx.errors.requirements import require_extra
from mbert_onnx.runtime.native_kernels import AUTO, library_for, why_not_native
from perf.errors import PerfError
from perf.providers import KNOWN, Provider, named
from perf.providers.forecast import Forecast, Graph, forecast, read_graph

ALL = "all"

# Length in tokens of the fixed shapes, unless the model has fewer positions. The forecast does not depend on it.
SEQ_LEN = 128

# The other fixed sizes, the defaults of `export --target mobile`; choices are an axis of multiple choice only.
BATCH, CHOICES = 1, 4

MAKE_FIXED = "python -m onnxruntime.tools.make_dynamic_shape_fixed"


@dataclass(frozen=True)
class Alternative:
    """Another file of the same model, with its forecast.

    Args:
        how: The command that writes the file.
        forecast: The file's forecast.
    """

    how: str
    forecast: Forecast


@dataclass(frozen=True)
class ProviderDiagnosis:
    """Forecast of one provider for a model, and for other files of the same model.

    Args:
        model: The model argument, as given.
        how: The command that writes the forecast file; empty if the user gave the file itself.
        forecast: The file's forecast.
        alternatives: Other files of the model that the provider could run, with their forecasts.
        notes: Alternatives that could not be built, with the reason, a line each.
    """

    model: str
    how: str
    forecast: Forecast
    alternatives: tuple[Alternative, ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Returns the JSON form."""
        result = asdict(self)
        result["forecast"] = self.forecast.as_dict()
        result["alternatives"] = [{"how": one.how, "forecast": one.forecast.as_dict()} for one in self.alternatives]
        return result


def doctor_provider(
    model: str | Path,
    providers: str,
    *,
    task: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[ProviderDiagnosis]:
    """Forecasts which nodes of a model each provider would run, in how many partitions, and why not the rest.

    A provider that is usable here is queried; for the others, the published rules are applied. No file is kept. A
    checkpoint is traced as by `export`, for the target that the provider needs. A file is forecast as given; then as
    `optimize` would write it for that target; then with fixed shapes, if the provider needs them.

    Args:
        model: A bundle, any MobileBERT `.onnx` file, or a checkpoint (a folder, a hub id or `random`).
        providers: Names with commas, or `all`.
        task: The task of a checkpoint; default: the one in its config.
        seed: Seed of the random models' weights.
        progress: Called with a line at the start of each stage.

    Raises:
        perf.errors.PerfUsageError: a name that no provider has.
        perf.errors.PerfError: onnxruntime does not load the file, or does not start a provider that has no rules.
        UsageError, BundleError, CheckpointError: the model does not exist, or cannot be read.
        graphs.errors.GraphError: a checkpoint's graph cannot be optimized.
        MissingExtraError: the model is a checkpoint, and torch is not installed.
    """
    wanted = list(KNOWN) if providers.strip().lower() == ALL else [named(name) for name in providers.split(",")]
    report = progress or (lambda _: None)
    with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as folder:
        if is_file(model):
            files: _Files = _GivenFiles(model, Path(folder), report)
        else:
            files = _CheckpointFiles(model, Path(folder), report, task=task, seed=seed)
        read = functools.cache(read_graph)  # most providers get the same files
        return [_diagnosis(str(model), files, provider, report, read) for provider in dict.fromkeys(wanted)]


def _diagnosis(
    model: str, files: _Files, provider: Provider, report: Progress, read: Callable[[Path], Graph]
) -> ProviderDiagnosis:
    how, file = files.main(provider)
    report(f"forecasting {provider.name}")
    first = _forecast(file, provider, report, read)
    alternatives, notes = [], []
    for other_how, build in files.others(provider, first):
        try:
            other = build()
            if other is not None:
                alternatives.append(Alternative(other_how, _forecast(other, provider, report, read)))
        except (MbertError, GraphError, PerfError) as error:
            notes.append(f"{other_how}: {error}")
    return ProviderDiagnosis(model, how, first, tuple(alternatives), tuple(notes))


def _forecast(file: Path, provider: Provider, report: Progress, read: Callable[[Path], Graph]) -> Forecast:
    library = library_for(AUTO) if provider.kernels and why_not_native(file) is None else None
    return forecast(file, provider, library, report, read=read)


# What is forecast

Builder = Callable[[], Path | None]


class _Files:
    """The files of one model, each built once."""

    def main(self, provider: Provider) -> tuple[str, Path]:
        """Returns the command that writes the file that is forecast first (empty: none), and the file."""
        raise NotImplementedError

    def others(self, provider: Provider, first: Forecast) -> list[tuple[str, Builder]]:
        """Returns (command, builder) of other files that the provider may run more nodes of.

        A builder returns None if its file would equal the first.
        """
        raise NotImplementedError


class _GivenFiles(_Files):
    """Files derived from an `.onnx` file or bundle."""

    def __init__(self, model: str | Path, folder: Path, report: Progress) -> None:
        path, self._bundle = find_file(model)
        given = folder / "given"
        given.mkdir()
        self._path = in_one_file(path, given)
        self._folder, self._report = folder, report
        self._built: dict[str, Path | None] = {}

    def main(self, provider: Provider) -> tuple[str, Path]:
        return "", self._path

    def others(self, provider: Provider, first: Forecast) -> list[tuple[str, Builder]]:
        if first.taken_nodes == first.nodes or not provider.needs.precisions:
            return []
        target = provider.needs.target
        command = f"mbert-onnx optimize MODEL --target {target}"
        found: list[tuple[str, Builder]] = [(command, lambda: self._optimized(target))]
        if provider.needs.fixed_shapes and _free_sizes(self._path):
            sizes = f"{MAKE_FIXED} for batch {self._sizes.batch} and {self._sizes.length} tokens"
            found.append((f"{command}, then {sizes}", lambda: self._fixed(target)))
        return found

    @functools.cached_property
    def _sizes(self) -> InputLimits:
        """The fixed sizes: the usual ones, or those that the file runs with."""
        config = None if self._bundle is None else self._bundle.config
        try:
            session = open_session(self._path)
            expected = expected_limits(self._path, session, config, positions=SEQ_LEN)
            found = file_limits(self._path.name, session, expected)
        except VerificationError:  # the forecast needs no run
            found = InputLimits()
        length = found.fit(SEQ_LEN)
        return replace(found, batch=found.batch or BATCH, lengths=range(length, length + 1))

    def _optimized(self, target: str) -> Path | None:
        """Returns the optimized file, or None if no pass changes it."""
        if target not in self._built:
            self._report(f"optimizing for {target}")
            file = self._folder / f"{target}.onnx"
            optimized = optimize(self._path, file, target=target)
            self._built[target] = file if optimized.changed else None
        return self._built[target]

    def _fixed(self, target: str) -> Path:
        file = self._folder / f"{target}-fixed.onnx"
        if file.is_file():
            return file
        from onnxruntime.tools.onnx_model_utils import make_dim_param_fixed  # imports torch, if it is installed

        model = ir.to_proto(read_model(self._optimized(target) or self._path))
        for value in model.graph.input:
            dims = value.type.tensor_type.shape.dim
            for dim, size in zip(dims, _shape(len(dims), self._sizes), strict=True):
                if dim.dim_param:
                    make_dim_param_fixed(model.graph, dim.dim_param, size)
        onnx.save(model, file)
        return file


class _CheckpointFiles(_Files):
    """Files that `export` would write of a checkpoint."""

    def __init__(self, model: str | Path, folder: Path, report: Progress, *, task: str | None, seed: int) -> None:
        require_extra("export", "doctor of a checkpoint")
        from mbert_onnx.model.checkpoint import load_checkpoint

        report(f"reading {model}")
        self._loaded = load_checkpoint(model, task=task, seed=seed)
        self._seq_len = min(SEQ_LEN, self._loaded.config.max_position_embeddings)
        self._folder, self._report = folder, report
        self._built: dict[str, Path] = {}

    def main(self, provider: Provider) -> tuple[str, Path]:
        return self._command(provider.needs.target), self._exported(provider.needs.target)

    def others(self, provider: Provider, first: Forecast) -> list[tuple[str, Builder]]:
        if provider.needs.target == "cpu":
            return []
        return [(self._command("cpu"), lambda: self._exported("cpu"))]

    def _command(self, target: str) -> str:
        options = f" --target mobile --seq-len {self._seq_len}" if target == "mobile" else ""
        return f"mbert-onnx export CHECKPOINT{options}"

    def _exported(self, target: str) -> Path:
        from graphs.model.opsets import OLDEST_OPSET
        from graphs.pipeline import optimize as optimize_graph
        from mbert_onnx.bundles.inputs import Shapes
        from mbert_onnx.conversion.tracing import trace

        if target not in self._built:
            choices = CHOICES if self._loaded.task.has_choices else None
            shapes = Shapes(BATCH, self._seq_len, choices, int32=True) if target == "mobile" else Shapes()
            self._report(f"tracing, for the target {target}")
            graph = trace(self._loaded.model, self._loaded.task, shapes)
            built = optimize_graph(graph, target=target, opset=OLDEST_OPSET, refuse=False).model
            self._built[target] = self._folder / f"{target}.onnx"
            ir.save(built, self._built[target])
        return self._built[target]


def _free_sizes(path: Path) -> bool:
    """Returns whether an input has a dynamic axis."""
    inputs = read_proto(path).graph.input
    return any(dim.dim_param for value in inputs for dim in value.type.tensor_type.shape.dim)


def _shape(dimensions: int, sizes: InputLimits) -> list[int]:
    """Returns the fixed shape of an input: batch, choices if it has three axes, length."""
    batch, choices = sizes.batch or BATCH, sizes.choices or CHOICES
    return [batch, *[choices] * (dimensions - 2), sizes.longest] if dimensions > 1 else [batch] * dimensions
