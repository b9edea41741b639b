"""TVM: an ONNX file through Relax, for the CPU of this machine, in float32 and without tuning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from perf.peers.onnx_shapes import convert_fixed
from perf.peers.program import python_of

PROGRAM = Path(__file__).parent / "programs" / "to_tvm.py"

PACKAGES = ("apache-tvm==0.27.0.post1", "onnx==1.23.2")


def tvm_python(tell: Callable[[str], None]) -> Path:
    """Of the environment that has the converter, and what runs its files. Raises PerfError where pip fails."""
    return python_of("tvm", PACKAGES, tell)


def convert_for_tvm(
    source: Path, to: Path, *, seq_lens: Sequence[int], batch: int, tell: Callable[[str], None]
) -> dict[int, Path]:
    """Writes a `.so` for each length, and a `.json` beside it with what its format has no place for.

    A C++ compiler must be there, which links them. Nothing is tuned: MetaSchedule would try thousands of programs for
    each length, and without it TVM's loops are as the operators' definitions write them, on one thread.

    Args:
        source: An `.onnx` with dynamic shapes.
        to: The folder to write into.
        seq_lens, batch: The shapes, which are fixed.
        tell: Is told when something is installed.

    Raises PerfError where the tool fails.
    """
    failure = f"TVM fails on {source.name}"
    return convert_fixed(tvm_python(tell), PROGRAM, source, to, ".so", seq_lens=seq_lens, batch=batch, failure=failure)
