"""ncnn: transformers' module through torch's tracer and pnnx, in float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from perf.peers.program import python_of, run_program

PROGRAM = Path(__file__).parent / "programs" / "to_ncnn.py"

PACKAGES = ("torch==2.13.0", "transformers==4.57.6", "ncnn==1.0.20261020", "pnnx==20261020")


def ncnn_python(tell: Callable[[str], None]) -> Path:
    """Of the environment that has the converter, and what runs its files. Raises PerfError where pip fails."""
    return python_of("ncnn", PACKAGES, tell)


def convert_for_ncnn(
    folder: Path,
    architecture: str,
    outputs: Sequence[str],
    to: Path,
    *,
    seq_lens: Sequence[int],
    batch: int,
    tell: Callable[[str], None],
) -> dict[int, Path]:
    """Writes a `.param` for each length, and beside it a `.bin` and a `.json` with what its format has no place for.

    Args:
        folder: A checkpoint in transformers' format.
        architecture: The name of transformers' class.
        outputs: The names of its outputs, in order.
        to: The folder to write into.
        seq_lens, batch: The shapes, which are fixed.
        tell: Is told when something is installed.

    Raises PerfError where a tool fails.
    """
    lengths = ",".join(map(str, seq_lens))
    run_program(
        ncnn_python(tell),
        PROGRAM,
        [folder, architecture, ",".join(outputs), lengths, str(batch), to],
        f"pnnx fails on {folder.name}",
    )
    return {seq_len: to / f"{seq_len}.param" for seq_len in seq_lens}
