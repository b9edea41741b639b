"""IREE: an ONNX file through its compiler, for the CPU of this machine, in float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from perf.peers.onnx_shapes import fix_shapes
from perf.peers.program import python_of, run_program

PROGRAM = Path(__file__).with_name("iree_converter.py")

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
    python = iree_python(tell)
    made = {}
    for seq_len in seq_lens:
        fixed, made[seq_len] = to / f"{seq_len}.onnx", to / f"{seq_len}.vmfb"
        fix_shapes(source, fixed, batch=batch, seq_len=seq_len)
        run_program(python, PROGRAM, [fixed, made[seq_len]], f"IREE fails on {source.name}")
        fixed.unlink()
    return made
