"""OpenVINO in a Python environment of its own: int8 by NNCF, and files with fixed shapes."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from perf.peers.program import PROGRAMS, python_of, run_program
from perf.sessions.inputs import CHOICES
from perf.sessions.types import Progress

PROGRAM = PROGRAMS / "openvino_files.py"

PACKAGES = ("openvino==2026.4.1", "nncf==3.4.0")


def openvino_python(progress: Progress) -> Path:
    """Returns the Python of the environment with OpenVINO and NNCF. Raises PerfError where pip fails."""
    return python_of("openvino", PACKAGES, progress)


def quantize_for_openvino(
    source: Path, output: Path, feeds: Sequence[Mapping[str, np.ndarray]], progress: Progress
) -> str:
    """Quantizes an `.onnx` file by NNCF to an `.xml` with its `.bin`; dynamic shapes stay dynamic.

    Args:
        source: The float model.
        output: The `.xml` to write.
        feeds: The calibration inputs, by name.
        progress: Called with a line when packages are installed.

    Returns the settings, for the report. Raises PerfError where NNCF fails.
    """
    python = openvino_python(progress)
    with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as folder:
        texts = Path(folder) / "feeds.npz"
        arrays = {f"{number}/{name}": value for number, feed in enumerate(feeds) for name, value in feed.items()}
        np.savez(texts, **arrays)  # type: ignore[arg-type]  # its other keyword is not among these names
        printed = run_program(python, PROGRAM, ["quantize", source, output, texts], f"NNCF fails on {source.name}")
    return printed.strip().splitlines()[-1]


def fix_shapes(source: Path, output: Path, *, batch: int, seq_len: int, progress: Progress) -> None:
    """Writes an `.xml` of a model with fixed shapes, for which OpenVINO generates faster code.

    Args:
        source: An `.onnx` or `.xml` with dynamic shapes.
        output: The `.xml` to write.
        batch, seq_len: The first and last dimension; an open dimension of choices becomes `CHOICES`.
        progress: Called with a line when packages are installed.

    Raises PerfError where OpenVINO does not read the model.
    """
    run_program(
        openvino_python(progress),
        PROGRAM,
        ["fix", source, output, str(batch), str(CHOICES), str(seq_len)],
        f"OpenVINO does not take {source.name}",
    )
