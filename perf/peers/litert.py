"""LiteRT: transformers' module through litert-torch, and its dynamic int8 by ai-edge-quantizer; XNNPACK runs both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from perf.peers.program import python_of, run_program

PROGRAM = Path(__file__).parent / "programs" / "to_litert.py"

PACKAGES = (
    "torch==2.13.0",
    "transformers==4.57.6",
    "litert-torch==0.10.0",
    "ai-edge-litert==2.3.0",
    "ai-edge-quantizer==0.10.0",
)


def litert_python(tell: Callable[[str], None]) -> Path:
    """Of the environment that has the converter, and what runs its files. Raises PerfError where pip fails."""
    return python_of("litert", PACKAGES, tell)


def convert_for_litert(
    folder: Path,
    architecture: str,
    outputs: Sequence[str],
    to: Path,
    *,
    seq_lens: Sequence[int],
    batch: int,
    int8: bool,
    tell: Callable[[str], None],
) -> dict[int, Path]:
    """Writes a `.tflite` for each length, and gives them.

    Args:
        folder: A checkpoint in transformers' format.
        architecture: The name of transformers' class.
        outputs: The names of its outputs, in order.
        to: The folder to write into.
        seq_lens, batch: The shapes, which are fixed in this format.
        int8: Whether weights are int8 per output channel and activations are quantized as they are used, per row
            (`recipe.dynamic_wi8_afp32`).
        tell: Is told when something is installed.

    Raises PerfError where a tool fails.
    """
    run_program(
        litert_python(tell),
        PROGRAM,
        [
            *(folder, architecture, ",".join(outputs), ",".join(map(str, seq_lens)), str(batch)),
            *("INT8" if int8 else "FLOAT", to),
        ],
        f"litert-torch fails on {folder.name}",
    )
    return {seq_len: to / f"{seq_len}.tflite" for seq_len in seq_lens}
