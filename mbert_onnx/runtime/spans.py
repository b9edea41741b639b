"""Answer spans: the best spans of a context, computed per window and merged.

Within a window the scores equal those of transformers' question-answering pipeline. Across windows they differ: the
pipeline adds the scores of an answer that two windows share, so a score can exceed 1. Here the highest score of the
windows is taken, as in SQuAD's reference, and a score stays a probability.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbert_onnx.runtime.answers import Result, best, softmax
from mbert_onnx.text.encoder import Tokens

# Spans of a window that are ranked for `top_k` answers: 2 * top_k + 10, as in transformers' pipeline, because spans
# within the same words become one answer.
SPANS_PER_ANSWER = 2
SPARE_SPANS = 10


@dataclass(frozen=True)
class Answer(Result):
    """An answer, `context[start:end]`, and its probability. Empty: the context has no answer."""

    answer: str
    score: float
    start: int
    end: int


def best_spans(start: np.ndarray, end: np.ndarray, max_answer_len: int, count: int) -> list[tuple[int, int, float]]:
    """Returns the `count` best spans as (first token, last token, probability).

    `start` and `end` are probabilities `[tokens]`. A span has 1 to `max_answer_len` tokens; its probability is that of
    its start times that of its end.
    """
    length = min(max_answer_len, len(start))
    # A band: row i holds the probabilities of an end at tokens i to i + length - 1. The full square is mostly invalid.
    padded = np.concatenate([end, np.full(length - 1, np.nan)])
    scores = start[:, None] * np.lib.stride_tricks.sliding_window_view(padded, length)
    scores = np.where(np.isnan(scores), -1.0, scores).reshape(-1)
    ranked = best(scores, count)
    return [(i // length, i // length + i % length, float(scores[i])) for i in ranked if scores[i] >= 0]


def window_answers(
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    *,
    context: slice,
    null: int | None,
    first: int,
    tokens: Tokens,
    top_k: int,
    max_answer_len: int,
) -> tuple[list[Answer], float]:
    """Computes the answers of one window, best first, and the probability that it has none.

    Args:
        start_logits, end_logits: `[sequence]`.
        context: Positions of the context's tokens in the window.
        null: Position of [CLS], which stands for "no answer" and takes part in the softmax; None without one.
        first: Index of the window's first context token among `tokens`.
        tokens: All tokens of the whole context.
        top_k: Number of answers wanted; more are returned, for the merge with other windows.
        max_answer_len: In tokens.

    Answers are extended to whole words. Spans with the same text are one answer, and their scores are added.
    """
    leading = [] if null is None else [null]
    places = np.r_[leading, context].astype(int)
    start, end = softmax(start_logits[places]), softmax(end_logits[places])
    no_answer = float(start[0] * end[0]) if leading else 0.0
    start, end = start[len(leading) :], end[len(leading) :]
    answers: dict[str, Answer] = {}
    for begin, last, score in best_spans(start, end, max_answer_len, SPANS_PER_ANSWER * top_k + SPARE_SPANS):
        begin_char, end_char = tokens.words[first + begin][0], tokens.words[first + last][1]
        text = tokens.text[begin_char:end_char]
        known = answers.setdefault(text.lower(), Answer(text, 0.0, begin_char, end_char))
        answers[text.lower()] = replace(known, score=known.score + score)
    return sorted(answers.values(), key=lambda answer: -answer.score), no_answer


def merge_windows(windows: Iterable[Sequence[Answer]], top_k: int) -> list[Answer]:
    """Returns the `top_k` best answers of all windows; of answers with the same text, only the best."""
    answers: dict[str, Answer] = {}
    for answer in (answer for window in windows for answer in window):
        key = answer.answer.lower()
        if key not in answers or answer.score > answers[key].score:
            answers[key] = answer
    return sorted(answers.values(), key=lambda answer: -answer.score)[:top_k]
