"""IREE: an ONNX file through its compiler, for the CPU of this machine, in float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from perf.peers.onnx_shapes import convert_fixed
from perf.peers.program import python_of

PROGRAM = Path(__file__).parent / "programs" / "to_iree.py"

PACKAGES = ("iree-base-compiler==3.13.0", "iree-base-runtime==3.13.0", "onnx==1.23.2")


def iree_python(tell: Callable[[str], None]) -> Path:
    """Of the environment that has the converter, and what runs its files. Raises PerfError where pip fails."""
    return python_of("iree", PACKAGES, tell)


def convert_for_iree(
    source: Path, to: Path, *, seq_lens: Sequence[int], batch: int, tell: Callable[[str], None]
) -> dict[int, Path]:
    """Writes a `.vmfb` for each length, and a `.json` beside it with what its format has no place for.

    Args:
        source: An `.onnx` with dynamic shapes.
        to: The folder to write into.
        seq_lens, batch: The shapes, which are fixed.
        tell: Is told when something is installed.

    Raises PerfError where the tool fails.
    """
    failure = f"IREE fails on {source.name}"
    return convert_fixed(
        iree_python(tell), PROGRAM, source, to, ".vmfb", seq_lens=seq_lens, batch=batch, failure=failure
    )
