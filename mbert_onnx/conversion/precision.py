"""Options of a lower precision, and the texts on which it is chosen and its accuracy loss measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphs.errors import GraphError, GraphUsageError
from graphs.pipeline import LOWER, PRECISIONS
from mbert_onnx.bundles.model_file import TextModel
from mbert_onnx.bundles.types import Feed
from mbert_onnx.conversion.damage import MIN_AGREEMENT
from mbert_onnx.errors import CalibrationError, PrecisionError, UsageError
from mbert_onnx.text.calibration_text import encode, read_calibration
from mbert_onnx.text.text_files import FEWEST


@dataclass(frozen=True)
class PrecisionOptions:
    """The options of `export` and `optimize` that are about precision.

    Args:
        precision: `fp32`, `fp16` or `int8`.
        calibrate: The file of calibration texts; None for the built-in sentences.
        keep_float: Layers that stay float32.
        min_agreement: The smallest agreement with float64 that passes, 0 to 1; None for the default.
    """

    precision: str
    calibrate: str | Path | None
    keep_float: Sequence[str]
    min_agreement: float | None

    @property
    def is_lower(self) -> bool:
        return self.precision in LOWER

    def check(self, others: Mapping[str, bool] | None = None, *, instead: str | None = None) -> None:
        """Raises UsageError for values that are out of range, or options that do not go together.

        Args:
            others: Further options that are for a lower precision only, and whether each is given.
            instead: An option with which `others` are of use in float32, too.
        """
        if self.precision not in PRECISIONS:
            raise UsageError(f"--precision is {self.precision!r}; expected one of {', '.join(PRECISIONS)}")
        given = {
            "--calibrate": self.calibrate is not None,
            "--keep-float": bool(self.keep_float),
            "--min-agreement": self.min_agreement is not None,
            **(others or {}),
        }
        useless = next((option for option, is_given in given.items() if is_given), None)
        if not self.is_lower and useless is not None:
            also = f"{instead}, or " if instead is not None and useless in (others or {}) else ""
            raise UsageError(
                f"{useless} is for {also}--precision {' or '.join(LOWER)}; this is {self.precision}: leave it out"
            )
        if self.min_agreement is not None and not 0 <= self.min_agreement <= 1:
            raise UsageError(f"--min-agreement is {self.min_agreement}; expected 0 to 1, such as {MIN_AGREEMENT}")


@dataclass(frozen=True)
class Calibration:
    """Calibration and held-out texts, as inputs of a graph.

    Args:
        source: The name of their source, for messages.
        fit: Calibration texts, on which a precision is chosen.
        held_out: Held-out texts, on which its accuracy loss is measured.
        notes: Notes for the user, a line each.
        texts: Number of texts in `held_out`.
    """

    source: str
    fit: list[Feed]
    held_out: list[Feed]
    notes: list[str]
    texts: int


def read_texts(
    path: str | Path | None, model: TextModel, kinds: tuple[str, str] = ("calibration", "held-out")
) -> Calibration:
    """Reads calibration texts, and tokenizes them for a model.

    Args:
        path: The file; None for the built-in sentences.
        model: The model. Where its graph has a fixed batch of several, each feed holds that many texts.
        kinds: What messages call the two parts, a word before "texts".

    Raises CalibrationError and BundleError, a line each.
    """
    reader, shapes = model.reader, model.shapes
    texts = read_calibration(None if path is None else Path(path), reader.task)
    encoder = reader.encoder()
    found = [
        encode(
            part,
            encoder,
            reader.task,
            seq_len=shapes.seq_len,
            max_positions=reader.max_positions,
            choices=shapes.choices,
            kind=kind,
        )
        for part, kind in zip((texts.fit, texts.held_out), kinds, strict=True)
    ]
    different = len({feed["input_ids"].tobytes() for part in found for feed in part.feeds})
    if different < FEWEST:
        raise CalibrationError(
            f"{texts.source} has {different} different texts as this model reads them, expected at least {FEWEST}: "
            "others begin alike and are cut, or differ in words that it does not know. Give more with --calibrate FILE."
        )
    ids_type = np.int32 if shapes.int32 else np.int64
    padding = encoder.padding_id or 0

    def fill(name: str) -> int:
        return padding if name == "input_ids" else 0

    fit, held_out = (
        [
            {
                name: _padded(
                    ids.astype(model.types.get(name, ids_type)), _rounded_up(ids.shape[-1], shapes.multiple), fill(name)
                )
                for name, ids in feed.items()
            }
            for feed in _batched(part.feeds, shapes.batch or 1, fill)
        ]
        for part in found
    )
    notes = dict.fromkeys([*texts.notes, *(note for part in found for note in part.notes)])
    return Calibration(texts.source, list(fit), list(held_out), list(notes), len(found[1].feeds))


def _batched(feeds: Sequence[Feed], batch: int, fill: Callable[[str], int]) -> list[Feed]:
    """Feeds of `batch` texts each, padded to one length; the last is filled up with the first texts again."""
    if batch == 1:
        return list(feeds)
    batches: list[Feed] = []
    for first in range(0, len(feeds), batch):
        rows = [feeds[number % len(feeds)] for number in range(first, first + batch)]
        longest = max(row["input_ids"].shape[-1] for row in rows)
        batches.append(
            {name: np.concatenate([_padded(row[name], longest, fill(name)) for row in rows]) for name in rows[0]}
        )
    return batches


def _rounded_up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _padded(ids: np.ndarray, length: int, value: int) -> np.ndarray:
    return np.pad(ids, [(0, 0)] * (ids.ndim - 1) + [(0, length - ids.shape[-1])], constant_values=value)


@contextmanager
def precision_errors(precision: str) -> Iterator[None]:
    """Turns a GraphError into a PrecisionError where the precision is a lower one, or into a UsageError."""
    try:
        yield
    except GraphUsageError as error:
        raise UsageError(str(error)) from error
    except GraphError as error:
        if precision not in LOWER:
            raise
        raise PrecisionError(f"{error}; nothing is written") from error
