"""optimum-onnx's quantization presets, in a Python environment of its own: it requires an older transformers."""

from __future__ import annotations

from pathlib import Path

import onnxruntime as ort

from perf.peers.program import PROGRAMS, python_of, run_program
from perf.sessions.types import Progress

PROGRAM = PROGRAMS / "quantize_optimum.py"

PACKAGES = (
    "optimum-onnx==0.1.0",
    "transformers==4.57.6",
    "torch==2.13.0",
    f"onnxruntime=={ort.__version__}",
    "onnx",
)

PRESETS = ("arm64", "avx2", "avx512", "avx512_vnni", "ppc64le", "tensorrt")
"""The methods of its `AutoQuantizationConfig`."""


def quantize_by_optimum(source: Path, output: Path, preset: str, progress: Progress) -> str:
    """Quantizes an `.onnx` file with one of optimum's presets.

    Args:
        source: The float model.
        output: The `.onnx` to write.
        preset: One of `PRESETS`.
        progress: Called with a line when packages are installed.

    Returns the preset's settings, for the report. Raises PerfError where optimum fails.
    """
    python = python_of("optimum", PACKAGES, progress)
    failure = f"optimum's {preset} fails on {source.name}"
    return run_program(python, PROGRAM, [preset, source, output], failure).strip().splitlines()[-1]
