"""ExecuTorch: transformers' module through torch.export, with XNNPACK, in float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from perf.peers.program import python_of, run_program

PROGRAM = Path(__file__).parent / "programs" / "to_executorch.py"

PACKAGES = ("torch==2.13.0", "transformers==4.57.6", "executorch==1.5.1")


def executorch_python(tell: Callable[[str], None]) -> Path:
    """Of the environment that has the converter, and what runs its files. Raises PerfError where pip fails."""
    return python_of("executorch", PACKAGES, tell)


def convert_for_executorch(
    folder: Path,
    architecture: str,
    outputs: Sequence[str],
    to: Path,
    *,
    seq_lens: Sequence[int],
    batch: int,
    tell: Callable[[str], None],
) -> dict[int, Path]:
    """Writes a `.pte` for each length, and a `.json` beside it with what its format has no place for.

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
        executorch_python(tell),
        PROGRAM,
        [folder, architecture, ",".join(outputs), lengths, str(batch), to],
        f"ExecuTorch fails on {folder.name}",
    )
    return {seq_len: to / f"{seq_len}.pte" for seq_len in seq_lens}
