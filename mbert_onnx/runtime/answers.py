"""Logits to answers, in numpy: labels, masks, next sentences, choices, embeddings.

Answers to questions are in `spans.py`, entities in `entities.py`. The meaning of every score is that of transformers'
pipelines, except where a docstring says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mbert_onnx.text.encoder import Window


class Result:
    """What a task answers: a small frozen dataclass that can be written as JSON."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)  # type: ignore[call-overload]


@dataclass(frozen=True)
class LabelScore(Result):
    label: str
    score: float


@dataclass(frozen=True)
class Classification(Result):
    """Labels with their scores, best first. `truncated` says that the end of the text was not read."""

    labels: tuple[LabelScore, ...]
    truncated: bool

    @property
    def label(self) -> str:
        return self.labels[0].label

    @property
    def score(self) -> float:
        return self.labels[0].score


@dataclass(frozen=True)
class NextSentence(Result):
    """The probabilities that the second text follows the first, and that it does not."""

    is_next: float
    not_next: float
    truncated: bool


@dataclass(frozen=True)
class ChoiceScore(Result):
    """One choice and its probability among all; `index` is its place in what the caller gave."""

    index: int
    choice: str
    score: float


@dataclass(frozen=True)
class Choices(Result):
    """All choices, best first. `truncated` says that the end of the prompt or of a choice was not read."""

    choices: tuple[ChoiceScore, ...]
    truncated: bool

    @property
    def choice(self) -> str:
        return self.choices[0].choice


@dataclass(frozen=True)
class FilledToken(Result):
    """One token for a mask: its probability, its id, its text, and the whole text with it in the mask's place."""

    score: float
    token: int
    token_str: str
    sequence: str


@dataclass(frozen=True)
class FilledMask(Result):
    """One mask, at [start, end) of the text, and the tokens for it, best first."""

    start: int
    end: int
    tokens: tuple[FilledToken, ...]


def as_json(result: Any) -> Any:
    """Any answer of the runtime (a result, a list of them, an array) as what `json.dumps` takes."""
    if isinstance(result, Result):
        return result.as_dict()
    if isinstance(result, np.ndarray):
        return result.tolist()
    if isinstance(result, Mapping):
        return {key: as_json(value) for key, value in result.items()}
    return [as_json(item) for item in result]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities along the last axis, in float64; the shape stays."""
    exponentials = np.exp(np.subtract(logits, logits.max(axis=-1, keepdims=True), dtype=np.float64))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-x) elementwise, in float64, by way of tanh, which does not overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(logits, dtype=np.float64)))


def label_of(config: Mapping[str, Any], index: int) -> str:
    """The name of a label in a config's `id2label` (whose keys JSON makes text); `LABEL_<index>` without one."""
    return str((config.get("id2label") or {}).get(str(index), f"LABEL_{index}"))


def classify_logits(
    logits: np.ndarray, config: Mapping[str, Any], *, top_k: int | None, truncated: bool
) -> Classification:
    """Labels for logits `[labels]`, best first; all of them where `top_k` is None.

    The config's `problem_type` chooses: softmax, or sigmoid for `multi_label_classification`, or the logits as they
    are for `regression`. One label without a problem type is a regression, too, as it is in training (transformers'
    pipeline would take its sigmoid).
    """
    problem = config.get("problem_type")
    if problem == "multi_label_classification":
        scores = sigmoid(logits)
    elif problem == "regression" or (problem is None and len(logits) == 1):
        scores = logits
    else:
        scores = softmax(logits)
    labels = (LabelScore(label_of(config, index), float(scores[index])) for index in best(scores, top_k))
    return Classification(tuple(labels), truncated)


def best(scores: np.ndarray, top_k: int | None) -> list[int]:
    """The indices of the `top_k` highest scores of `[n]` (of all, if None), highest first; ties in their own order."""
    return [int(index) for index in np.argsort(-scores, kind="stable")[:top_k]]


def next_sentence(logits: np.ndarray, *, truncated: bool) -> NextSentence:
    """Probabilities of logits `[2]`, of which the first means "is next" (BERT's order)."""
    is_next, not_next = softmax(logits)
    return NextSentence(float(is_next), float(not_next), truncated)


def choose(logits: np.ndarray, choices: Sequence[str], *, truncated: bool) -> Choices:
    """Probabilities over the choices for logits `[choices]`, best first."""
    scores = softmax(logits)
    ranked = tuple(ChoiceScore(index, choices[index], float(scores[index])) for index in best(scores, None))
    return Choices(ranked, truncated)


def fill_text(text: str, start: int, end: int, token: str, continuation_prefix: str | None) -> str:
    """The text with [start, end) replaced by a token; one that continues a word (`##s`) joins the word before it."""
    if continuation_prefix and token.startswith(continuation_prefix):
        return text[:start].rstrip() + token.removeprefix(continuation_prefix) + text[end:]
    return text[:start] + token + text[end:]


def pooling_weights(window: Window, windows: int) -> np.ndarray:
    """How much each position of a row, `[tokens]`, counts in the mean over a text that has so many `windows`.

    Tokens of the text count once, in the window that owns them; the special ones of all windows count as one set.
    """
    weights = np.full(len(window), 1.0 / windows)
    weights[window.begin : window.begin + window.count] = 0.0
    weights[window.owned] = 1.0
    return weights


def normalized(vectors: np.ndarray) -> np.ndarray:
    """Vectors `[..., hidden]` of length 1; a vector of zeros stays what it is."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths == 0, 1, lengths)
