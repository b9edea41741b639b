"""Options of a lower precision, the texts that it is chosen on, and those that its damage is measured on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from graphs.errors import GraphError, one_line
from graphs.execution.runner import run_file, runner
from graphs.lowering.bit_search import Plan
from graphs.pipeline import LOWER, PRECISIONS
from graphs.precision.float16 import rounded
from graphs.reports.layer_errors import damage_by_layer
from mbert_onnx.bundles.model_file import TextModel
from mbert_onnx.conversion.damage import MIN_AGREEMENT, Damage, Runs, check_damage, measure_damage
from mbert_onnx.errors import CalibrationError, PrecisionError, UsageError
from mbert_onnx.text.calibration_text import encode, read_calibration
from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.text.tasks import Task
from mbert_onnx.text.text_files import FEWEST

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
        texts: How many texts there are in `held_out`.
    """

    source: str
    fit: list[Feed]
    held_out: list[Feed]
    notes: list[str]
    texts: int


def check_precision(
    precision: str,
    calibrate: str | Path | None,
    keep_float: Sequence[str],
    min_agreement: float | None,
    also: Mapping[str, bool] | None = None,
) -> None:
    """Raises UsageError for options that cannot be meant, or not together.

    Args:
        also: Other options that are for a lower precision only, and whether they are given.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"--precision is {precision!r}; expected one of {', '.join(PRECISIONS)}")
    given = {
        "--calibrate": calibrate is not None,
        "--keep-float": bool(keep_float),
        "--min-agreement": min_agreement is not None,
        **(also or {}),
    }
    useless = next((option for option, is_given in given.items() if is_given), None)
    if precision not in LOWER and useless is not None:
        raise UsageError(f"{useless} is for --precision {' or '.join(LOWER)}; this is {precision}: leave it out")
    if min_agreement is not None and not 0 <= min_agreement <= 1:
        raise UsageError(f"--min-agreement is {min_agreement}; expected 0 to 1, such as {MIN_AGREEMENT}")


def read_texts(path: str | Path | None, model: TextModel) -> Calibration:
    """Reads calibration texts, and tokenizes them as a model takes them.

    Args:
        path: The file; None for the built-in sentences.
        model: Where it fixes a batch of several, texts are put into one feed.

    Raises CalibrationError and BundleError, a line each.
    """
    task, shapes, max_positions = model.task, model.shapes, model.max_positions
    texts = read_calibration(None if path is None else Path(path), task)
    encoder = TextEncoder(model.tokenizer, max_positions, vocab_size=model.vocab_size)
    found = [
        encode(part, encoder, task, seq_len=shapes.seq_len, max_positions=max_positions, choices=shapes.choices)
        for part in (texts.fit, texts.held_out)
    ]
    different = len({feed["input_ids"].tobytes() for part in found for feed in part.feeds})
    if different < FEWEST:
        raise CalibrationError(
            f"{texts.source} has {different} different texts as this model reads them, expected at least {FEWEST}: "
            "others begin alike and are cut, or differ in words that it does not know. Give more with --calibrate FILE."
        )
    dtype = np.int32 if shapes.int32 else np.int64
    fit, held_out = (
        [{name: ids.astype(dtype) for name, ids in feed.items()} for feed in _batched(part.feeds, shapes.batch or 1)]
        for part in found
    )
    notes = dict.fromkeys([*texts.notes, *(note for part in found for note in part.notes)])
    return Calibration(texts.source, fit, held_out, list(notes), len(found[1].feeds))


def _batched(feeds: Sequence[Feed], batch: int) -> list[Feed]:
    """So many texts in each feed, padded; the last one is filled up with the first texts again."""
    if batch == 1:
        return list(feeds)
    batches = []
    for first in range(0, len(feeds), batch):
        rows = [feeds[number % len(feeds)] for number in range(first, first + batch)]
        longest = max(row["input_ids"].shape[-1] for row in rows)
        batches.append({name: np.concatenate([_padded(row[name], longest) for row in rows]) for name in rows[0]})
    return batches


def _padded(ids: np.ndarray, length: int) -> np.ndarray:
    return np.pad(ids, [(0, 0)] * (ids.ndim - 1) + [(0, length - ids.shape[-1])])


@contextmanager
def refusing(precision: str) -> Iterator[None]:
    """What a graph cannot be in a lower precision is a PrecisionError."""
    try:
        yield
    except GraphError as error:
        if precision not in LOWER:
            raise
        raise PrecisionError(f"{error}; nothing is written") from error


def damage_of(
    model: ir.Model,
    judge: Runs,
    texts: Calibration,
    task: Task,
    *,
    precision: str,
    min_agreement: float | None,
    keep_float: Sequence[str] = (),
    binding: bool = True,
    kernels: Runs | None = None,
) -> Damage:
    """What a graph of a lower precision costs, run as hardware that has it does.

    Args:
        model: The graph.
        judge: In float64.
        texts: Those that are held out count.
        task: What both answer.
        min_agreement: The default for None.
        binding: As in `Damage`.
        kernels: Runs it with the native kernels, which is measured, too; None where there are none.
    """

    def measured(run: Runs) -> Damage:
        return measure_damage(
            judge,
            run,
            texts.held_out,
            task,
            precision=precision,
            calibration=texts.source,
            min_agreement=MIN_AGREEMENT if min_agreement is None else min_agreement,
            keep_float=keep_float,
            binding=binding,
            texts=texts.texts,
        )

    damage = measured(as_it_will_run(model, precision))
    if kernels is None:
        return damage
    native = measured(kernels)
    return replace(damage, kernels_error=native.error, kernels_agreement=native.agreement)


def refuse_damage(
    damage: Damage, name: str, traced: ir.Model, texts: Calibration, *, target: str, plan: Plan | None
) -> list[str]:
    """Raises PrecisionError for a file that must not be written, and tells which layers cost most.

    Args:
        damage: What was measured.
        name: The checkpoint or file.
        traced: The float32 graph that it was made from; used up.
        texts: Calibration texts.
        target: What it is for.
        plan: Of int8 for phones, how many bits activations have.

    Returns:
        What a user should know of one that may be, a line each.
    """
    few = texts.held_out[:LAYER_TEXTS]
    check_damage(
        damage, name, lambda: damage_by_layer(traced, damage.precision, texts.fit, few, target=target, plan=plan)
    )
    if damage.passed:
        return []
    return [f"random weights: their decisions hang on a hair, so {damage.precision} is not refused for them"]


def check_written(path: Path, feed: Feed) -> None:
    """Runs a file of a lower precision as its users will, with all that onnxruntime makes of it.

    Raises PrecisionError if it does not load or run, or an output is no finite float32.
    """
    try:
        outputs = run_file(path, feed)
    except Exception as error:  # onnxruntime's errors have no common class
        raise PrecisionError(
            f"the file does not run in onnxruntime ({one_line(error)}), nothing is written; this is our mistake"
        ) from error
    for name, value in outputs.items():
        if value.dtype.kind == "f" and (value.dtype != np.float32 or not np.isfinite(value).all()):
            raise PrecisionError(
                f"the file's {name} is {value.dtype}, or not finite, expected finite float32; nothing is written"
            )


def as_it_will_run(model: ir.Model, precision: str) -> Runs:
    """Runs a graph of a lower precision as hardware that has it does: fp16 is rounded after every node."""
    return runner(rounded(model)) if precision == "fp16" else runner(model, as_users_do=True)
