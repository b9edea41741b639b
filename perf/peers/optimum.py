"""optimum-onnx's presets for quantization, in an environment of its own, since it holds transformers back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnxruntime as ort

from perf.peers.program import python_of, run_program

PROGRAM = Path(__file__).parent / "programs" / "quantize_optimum.py"

PACKAGES = (
    "optimum-onnx==0.1.0",
    "transformers==4.57.6",
    "torch==2.13.0",
    f"onnxruntime=={ort.__version__}",
    "onnx",
)

PRESETS = ("arm64", "avx2", "avx512", "avx512_vnni", "ppc64le", "tensorrt")
"""The methods of its `AutoQuantizationConfig`."""


def quantize_by_optimum(source: Path, output: Path, preset: str, tell: Callable[[str], None]) -> str:
    """Writes what a preset makes of an `.onnx` file; tells its settings.

    Args:
        source: The float model.
        output: The `.onnx` to write.
        preset: One of `PRESETS`.
        tell: Is told when something is installed.

    Raises PerfError where it fails.
    """
    python = python_of("optimum", PACKAGES, tell)
    failure = f"optimum's {preset} fails on {source.name}"
    return run_program(python, PROGRAM, [preset, source, output], failure).strip().splitlines()[-1]
