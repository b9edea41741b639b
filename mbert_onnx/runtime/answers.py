"""Results of the tasks, computed from logits in numpy: labels, masks, next sentences, choices, embeddings.

Answer spans are in `spans.py`, entities in `entities.py`. Scores are defined as in transformers' pipelines, except
where a docstring says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mbert_onnx.errors import BundleError
from mbert_onnx.text.encoder import TextEncoder, Window
from mbert_onnx.text.labels import names_of
from mbert_onnx.text.tasks import NEXT_SENTENCE_LABELS


class Result:
    """Base of all results: frozen dataclasses with a JSON form."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)  # type: ignore[call-overload]


@dataclass(frozen=True)
class LabelScore(Result):
    label: str
    score: float


@dataclass(frozen=True)
class Classification(Result):
    """Labels with their scores, best first. `truncated`: the text was longer than the model reads."""

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
    """A choice and its probability; `index` is its position in the caller's list."""

    index: int
    choice: str
    score: float


@dataclass(frozen=True)
class Choices(Result):
    """All choices, best first. `truncated`: the prompt or a choice was longer than the model reads."""

    choices: tuple[ChoiceScore, ...]
    truncated: bool

    @property
    def choice(self) -> str:
        return self.choices[0].choice


@dataclass(frozen=True)
class FilledToken(Result):
    """A token for a mask: its probability, its id, its text, and the whole text with the mask replaced by it."""

    score: float
    token: int
    token_str: str
    sequence: str


@dataclass(frozen=True)
class FilledMask(Result):
    """A mask, at [start, end) of the text, and the tokens for it, best first."""

    start: int
    end: int
    tokens: tuple[FilledToken, ...]


def as_json(result: Any) -> Any:
    """Converts a result, a list of results or an array to values that `json.dumps` takes."""
    if isinstance(result, Result):
        return result.as_dict()
    if isinstance(result, np.ndarray):
        return result.tolist()
    if isinstance(result, Mapping):
        return {key: as_json(value) for key, value in result.items()}
    return [as_json(item) for item in result]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Computes probabilities along the last axis, in float64; the shape stays."""
    exponentials = np.exp(np.subtract(logits, logits.max(axis=-1, keepdims=True), dtype=np.float64))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Computes 1 / (1 + e^-x) elementwise, in float64, through tanh, which does not overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(logits, dtype=np.float64)))


def classify_logits(
    logits: np.ndarray, config: Mapping[str, Any], *, top_k: int | None, truncated: bool
) -> Classification:
    """Returns the labels for the logits `[labels]` of a text, as `classify_rows` does."""
    return classify_rows(logits[None], config, top_k=top_k, truncated=[truncated])[0]


def classify_rows(
    logits: np.ndarray, config: Mapping[str, Any], *, top_k: int | None, truncated: Sequence[bool]
) -> list[Classification]:
    """Returns the labels of each text for logits `[texts, labels]`, best first: the `top_k` best, or all if None.

    The scores depend on the config's `problem_type`: sigmoid for `multi_label_classification`, the logits for
    `regression`, otherwise softmax. A single label without a problem type is a regression, as in training
    (transformers' pipeline would apply sigmoid).
    """
    problem, count = config.get("problem_type"), logits.shape[-1]
    if problem == "multi_label_classification":
        scores = sigmoid(logits)
    elif problem == "regression" or (problem is None and count == 1):
        scores = logits
    else:
        scores = softmax(logits)
    names = names_of(config.get("id2label"), count)
    order = np.argsort(-scores, axis=-1, kind="stable")[:, :top_k]
    ranked = np.take_along_axis(scores, order, axis=-1)
    rows = zip(order.tolist(), ranked.tolist(), truncated, strict=True)
    return [
        Classification(tuple(LabelScore(names[label], score) for label, score in zip(*pair, strict=True)), cut)
        for *pair, cut in rows
    ]


def best(scores: np.ndarray, top_k: int | None) -> list[int]:
    """Returns the indices of the `top_k` highest of `[n]` scores (all, if None), highest first; ties by index."""
    places = np.arange(len(scores))
    if top_k is not None and top_k < len(scores):
        # A partition takes a tenth of the time of sorting all spans of a window, or all words.
        least = np.partition(-scores, top_k - 1)[top_k - 1]
        if not np.isnan(least):
            places = np.flatnonzero(-scores <= least)
    ranked: list[int] = places[np.argsort(-scores[places], kind="stable")[:top_k]].tolist()
    return ranked


def next_sentence(logits: np.ndarray, *, truncated: bool) -> NextSentence:
    """Computes probabilities from logits `[2]`; the first is "is next" (BERT's order)."""
    if len(logits) != NEXT_SENTENCE_LABELS:  # of a file that does not declare its sizes
        raise BundleError(
            f"the file gives {len(logits)} labels, not {NEXT_SENTENCE_LABELS}; correct the task of its bundle"
        )
    is_next, not_next = softmax(logits)
    return NextSentence(float(is_next), float(not_next), truncated)


def choose(logits: np.ndarray, choices: Sequence[str], *, truncated: bool) -> Choices:
    """Computes probabilities over the choices from logits `[choices]`, best first."""
    scores = softmax(logits)
    ranked = tuple(ChoiceScore(index, choices[index], float(scores[index])) for index in best(scores, None))
    return Choices(ranked, truncated)


def filled_mask(
    tokenizer: TextEncoder, text: str, place: tuple[int, int], scores: np.ndarray, top_k: int
) -> FilledMask:
    """Returns the tokens for a mask, best first, from the scores of all tokens, [vocab].

    `place` is where the mask begins and ends in the text.
    """
    tokens = []
    for token in best(scores, top_k):
        token_text = tokenizer.token_text(token)
        sequence = fill_text(text, *place, token_text, tokenizer.continuation_prefix)
        tokens.append(FilledToken(float(scores[token]), token, token_text, sequence))
    return FilledMask(*place, tuple(tokens))


def fill_text(text: str, start: int, end: int, token: str, continuation_prefix: str | None) -> str:
    """Replaces [start, end) of the text by a token; a continuation token (`##s`) is joined to the word before it."""
    if continuation_prefix and token.startswith(continuation_prefix):
        return text[:start].rstrip() + token.removeprefix(continuation_prefix) + text[end:]
    return text[:start] + token + text[end:]


def pooling_weights(window: Window, windows: int) -> np.ndarray:
    """Returns the weights `[tokens]` of a window's positions in the mean over a text of `windows` windows.

    Each token of the text has weight 1 in the window that owns it, else 0; special tokens have weight 1 / `windows`.
    """
    weights = np.full(len(window), 1.0 / windows)
    weights[window.begin : window.begin + window.count] = 0.0
    weights[window.owned] = 1.0
    return weights


def normalized(vectors: np.ndarray) -> np.ndarray:
    """Scales vectors `[..., hidden]` to length 1; zero vectors stay zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths == 0, 1, lengths)
