"""Comparison of answers: a text file's, and those of the model file beside it with the tokenizer in Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mbert_onnx.bundles.reader import Bundle
from mbert_onnx.errors import UsageError, VerificationError
from mbert_onnx.runtime.answers import Choices, Classification, FilledMask, NextSentence
from mbert_onnx.runtime.entities import Entity
from mbert_onnx.runtime.loading import load
from mbert_onnx.runtime.model import Model
from mbert_onnx.runtime.native_kernels import PORTABLE
from mbert_onnx.runtime.spans import Answer
from mbert_onnx.runtime.text_files.model import TextFileModel
from mbert_onnx.text.calibration_text import MASK_EVERY, read_calibration
from mbert_onnx.text.encoder import QUESTION_WINDOW
from mbert_onnx.text.tasks import (
    MASKED,
    MULTIPLE_CHOICE,
    NEXT_SENTENCE_PREDICTION,
    QUESTION_ANSWERING,
    TEXT_CLASSIFICATION,
    Task,
)

# The texts of the comparison: enough to see that both answer alike; the tokenizer itself is verified on many more.
TEXTS = 8
# Words of a question: a whole one fills the rows of a small model.
QUESTION_WORDS = 3
# Of each question, so that ranks below the best are compared, too.
BEST = 3
# Scores of the two differ by rounding: the same graph is optimized in another surrounding.
MOST = 1e-3


@dataclass(frozen=True)
class AnswerComparison:
    """Result of the comparison.

    Args:
        texts: Number of texts.
        difference: The largest difference of two scores.
        bound: The largest one that passes.
    """

    texts: int
    difference: float
    bound: float = MOST

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        texts = "1 text" if self.texts == 1 else f"{self.texts} texts"
        return f"answers to {texts} differ by at most {self.difference:.1e} (bound {self.bound:.0e})"


def compare_answers(text_file: Bundle, ordinary: Bundle, *, pair: bool) -> AnswerComparison:
    """Compares the answers of a text file to built-in texts with those of a model file, run with its tokenizer.

    Args:
        text_file: A bundle whose model is the text file.
        ordinary: The same bundle with the model file.
        pair: Whether a text classification reads pairs.

    Raises VerificationError where they differ.
    """
    ours, theirs = (load(bundle, threads=1, kernels=PORTABLE) for bundle in (text_file, ordinary))
    return compare_models(ours, theirs, pair=pair, name=ordinary.model_path.name, advice="nothing is written")


def compare_models(ours: Model, theirs: Model, *, pair: bool, name: str, advice: str) -> AnswerComparison:
    """Compares the answers of a text file to built-in texts with those of a model with a tokenizer in Python.

    Args:
        ours: The text file.
        theirs: The model; `name` is its name, for the error.
        pair: Whether a text classification reads pairs.
        advice: The end of the error: what to do.

    Raises VerificationError where they differ.
    """
    task = theirs.task
    if isinstance(ours, TextFileModel) and task in MASKED:
        # Numbers are compared, and no file with their texts has to be beside the text file.
        ours.file.vocabulary = {number: token for token, number in theirs.tokenizer.tokenizer.get_vocab().items()}
    compared, difference = 0, 0.0
    for arguments in _texts(task, theirs, pair=pair):
        try:
            expected = _scores(theirs.run(**arguments))
        except UsageError:  # a text that this tokenizer drops
            continue
        found = _scores(ours.run(**arguments))
        difference = max(difference, _difference(found, expected))
        compared += 1
        if compared == TEXTS:
            break
    if not difference <= MOST:
        raise VerificationError(
            f"{ours.bundle.model_path.name} gives other answers than {name}: scores differ by "
            f"{difference:.1e}, expected at most {MOST:.0e}; {advice}"
        )
    return AnswerComparison(compared, difference)


def _texts(task: Task, model: Model, *, pair: bool) -> Iterator[dict[str, Any]]:
    """Yields arguments of `run`, of texts that one row holds: longer ones would be read in windows of other lengths."""
    texts = read_calibration(None, task).held_out
    for number, text in enumerate(texts):
        other = text.pair or texts[(number + 1) % len(texts)].text
        if task is QUESTION_ANSWERING:
            question = " ".join(text.text.split()[:QUESTION_WORDS])
            with suppress(UsageError):  # a question that fills a row
                yield {"text": question, "context": _short(model, other, question), "top_k": BEST}
        elif task in MASKED:
            yield {"text": _short(model, _masked(text.text, model.tokenizer.mask_token)), "top_k": BEST}
        elif task is MULTIPLE_CHOICE:
            # Of the same length, so that no row is padded.
            yield {"text": text.text, "choices": [other, " ".join(reversed(other.split()))]}
        elif pair or task is NEXT_SENTENCE_PREDICTION:
            yield {"text": text.text, "pair": other}
        elif task is TEXT_CLASSIFICATION:
            yield {"text": text.text}
        else:
            yield {"text": _short(model, text.text)}


def _short(model: Model, text: str, question: str | None = None) -> str:
    """Returns the beginning of a text that one row holds.

    Rows that are run together are padded, which changes the answers of some checkpoints.
    """
    words, encoder = text.split(), model.tokenizer
    length = encoder.max_length if question is None else min(QUESTION_WINDOW, encoder.max_length)
    while len(words) > 1 and len(encoder.windows(" ".join(words), question, max_seq_len=length)[1]) > 1:
        words = words[: len(words) // 2]
    return " ".join(words)


def _masked(text: str, mask: str) -> str:
    """Returns a text with masks, the first word among them."""
    return " ".join(mask if number % MASK_EVERY == 0 else word for number, word in enumerate(text.split()))


def _scores(result: Any) -> dict[Any, float]:
    """Returns the scores of a result, by what they are the scores of."""
    if isinstance(result, Classification):
        return {label.label: label.score for label in result.labels}
    if isinstance(result, NextSentence):
        return {"follows": result.is_next, "does not": result.not_next}
    if isinstance(result, Choices):
        return {choice.index: choice.score for choice in result.choices}
    if isinstance(result, np.ndarray):
        return dict(enumerate(map(float, result)))
    found: dict[Any, float] = {}
    for one in result:
        if isinstance(one, Answer):
            found[one.start, one.end] = one.score
        elif isinstance(one, Entity):
            found[one.start, one.end, one.entity_group] = one.score
        elif isinstance(one, FilledMask):
            found |= {(one.start, one.end, token.token): token.score for token in one.tokens}
    return found


def _difference(found: Mapping[Any, float], expected: Mapping[Any, float]) -> float:
    """Returns the largest difference of two scores; what only one of them has counts as the other's lowest score."""
    missing = [
        score - min(other.values(), default=0.0)
        for one, other in ((found, expected), (expected, found))
        for key, score in one.items()
        if key not in other
    ]
    return max([abs(found[key] - expected[key]) for key in found if key in expected] + missing, default=0.0)
