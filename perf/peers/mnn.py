"""MNN: an ONNX file through its own converter, in float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from perf.peers.onnx_shapes import convert_fixed
from perf.peers.program import python_of

PROGRAM = Path(__file__).parent / "programs" / "to_mnn.py"

PACKAGES = ("MNN==3.6.1",)


def mnn_python(tell: Callable[[str], None]) -> Path:
    """Of the environment that has the converter, and what runs its files. Raises PerfError where pip fails."""
    return python_of("mnn", PACKAGES, tell)


def convert_for_mnn(
    source: Path, to: Path, *, seq_lens: Sequence[int], batch: int, tell: Callable[[str], None]
) -> dict[int, Path]:
    """Writes a `.mnn` for each length, and gives them.

    Args:
        source: An `.onnx` with dynamic shapes.
        to: The folder to write into.
        seq_lens, batch: The shapes. MNN takes others, too, but plans memory and folds constants for these.
        tell: Is told when something is installed.

    Raises PerfError where the tool fails.
    """
    failure = f"MNN fails on {source.name}"
    return convert_fixed(mnn_python(tell), PROGRAM, source, to, ".mnn", seq_lens=seq_lens, batch=batch, failure=failure)
