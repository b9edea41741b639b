"""OpenVINO in an environment of its own: int8 by NNCF, and files of fixed shapes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from perf.peers.program import python_of, run_program
from perf.sessions.inputs import CHOICES

PROGRAM = Path(__file__).parent / "programs" / "openvino_files.py"

PACKAGES = ("openvino==2026.4.1", "nncf==3.4.0")


def openvino_python(tell: Callable[[str], None]) -> Path:
    """Of the environment that has OpenVINO and NNCF. Raises PerfError where pip fails."""
    return python_of("openvino", PACKAGES, tell)


def quantize_for_openvino(
    source: Path, output: Path, feeds: Sequence[Mapping[str, np.ndarray]], tell: Callable[[str], None]
) -> str:
    """Writes an `.xml`, and a `.bin` beside it, of an `.onnx` file; dynamic shapes stay dynamic. Tells how.

    Args:
        source: The float model.
        output: The `.xml` to write.
        feeds: Inputs by name, on which it is calibrated.
        tell: Is told when something is installed.

    Raises PerfError where it fails.
    """
    python = openvino_python(tell)
    with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as folder:
        texts = Path(folder) / "feeds.npz"
        arrays = {f"{number}/{name}": value for number, feed in enumerate(feeds) for name, value in feed.items()}
        np.savez(texts, **arrays)  # type: ignore[arg-type]  # its other keyword is no name of ours
        said = run_program(python, PROGRAM, ["quantize", source, output, texts], f"NNCF fails on {source.name}")
    return said.strip().splitlines()[-1]


def fix_shapes(source: Path, output: Path, *, batch: int, seq_len: int, tell: Callable[[str], None]) -> None:
    """Writes an `.xml` of a model with fixed shapes, for which OpenVINO makes faster code.

    Args:
        source: An `.onnx` or `.xml` with dynamic shapes.
        output: The `.xml` to write.
        batch, seq_len: Its first and last dimension; choices between become as many as a bench gives.
        tell: Is told when something is installed.

    Raises PerfError where it fails.
    """
    run_program(
        openvino_python(tell),
        PROGRAM,
        ["fix", source, output, str(batch), str(CHOICES), str(seq_len)],
        f"OpenVINO does not take {source.name}",
    )
