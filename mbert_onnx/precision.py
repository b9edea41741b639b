"""Options of a lower precision, the texts that it is chosen on, and those that its damage is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mbert_onnx._beside import require_beside
from mbert_onnx.calibration_text import encode, read_calibration
from mbert_onnx.damage import MIN_AGREEMENT, Runs
from mbert_onnx.errors import UsageError
from mbert_onnx.tasks import Task
from mbert_onnx.text import TextEncoder

require_beside("graphs")

import onnx_ir as ir  # noqa: E402

from graphs.execution import runner  # noqa: E402
from graphs.half import rounded  # noqa: E402
from graphs.pipeline import LOWER, PRECISIONS  # noqa: E402

# Where the damage of each layer is told, it is measured on so many texts: there are two dozen layers.
LAYER_TEXTS = 4

Feed = dict[str, np.ndarray]


@dataclass(frozen=True)
class Calibration:
    """Texts as a graph takes them.

    Args:
        source: Where they come from, for people.
        fit: What a precision is chosen on.
        held_out: What its damage is measured on.
        notes: What a user should know, a line each.
    """

    source: str
    fit: list[Feed]
    held_out: list[Feed]
    notes: list[str]


def check_precision(
    precision: str,
    target: str,
    calibrate: str | Path | None,
    keep_float: Sequence[str],
    min_agreement: float | None,
) -> None:
    """Raises UsageError for options that cannot be meant, or not together."""
    if precision not in PRECISIONS:
        raise UsageError(f"--precision is {precision!r}; expected one of {', '.join(PRECISIONS)}")
    given = {
        "--calibrate": calibrate is not None,
        "--keep-float": bool(keep_float),
        "--min-agreement": min_agreement is not None,
    }
    useless = next((option for option, is_given in given.items() if is_given), None)
    if precision not in LOWER and useless is not None:
        raise UsageError(f"{useless} is for --precision {' or '.join(LOWER)}; this is {precision}: leave it out")
    if min_agreement is not None and not 0 <= min_agreement <= 1:
        raise UsageError(f"--min-agreement is {min_agreement}; expected 0 to 1, such as {MIN_AGREEMENT}")


def read_texts(
    path: str | Path | None,
    task: Task,
    tokenizer: Path,
    *,
    vocab_size: int | None,
    max_positions: int,
    seq_len: int | None = None,
    choices: int | None = None,
    int32: bool = False,
) -> Calibration:
    """Reads calibration texts, and tokenizes them.

    Args:
        path: The file; None for the built-in sentences.
        task: What the graph does.
        tokenizer: A tokenizer.json.
        vocab_size, max_positions: The model's.
        seq_len, choices: What the graph fixes.
        int32: Whether it takes int32.

    Raises CalibrationError and BundleError, a line each.
    """
    texts = read_calibration(None if path is None else Path(path), task)
    encoder = TextEncoder(tokenizer, max_positions, vocab_size=vocab_size)
    found = [
        encode(part, encoder, task, seq_len=seq_len, max_positions=max_positions, choices=choices)
        for part in (texts.fit, texts.held_out)
    ]
    dtype = np.int32 if int32 else np.int64
    fit, held_out = ([{name: ids.astype(dtype) for name, ids in feed.items()} for feed in part.feeds] for part in found)
    notes = dict.fromkeys([*texts.notes, *(note for part in found for note in part.notes)])
    return Calibration(texts.source, fit, held_out, list(notes))


def as_it_will_run(model: ir.Model, precision: str) -> Runs:
    """Runs a graph of a lower precision as hardware that has it does: fp16 is rounded after every node."""
    return runner(rounded(model)) if precision == "fp16" else runner(model, as_users_do=True)
