"""Answers to questions: the best spans of a context, found window by window.

The scores are those of transformers' question-answering pipeline, window by window. Over windows they differ: the
pipeline adds the scores of an answer that two windows share, so that a certain one scores 2. A window is another look
at the same text, so here the best look counts, and a score stays a probability. SQuAD's own reference does not add,
either.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbert_onnx.runtime.answers import Result, best, softmax
from mbert_onnx.text.encoder import Tokens

# How many spans of a window are looked at for `top_k` answers, as spans within the same words are one answer: twice
# as many and 10 more, as in transformers' pipeline.
SPANS_PER_ANSWER = 2
SPARE_SPANS = 10


@dataclass(frozen=True)
class Answer(Result):
    """`answer` is `context[start:end]`, with its probability; an empty one means that the context has none."""

    answer: str
    score: float
    start: int
    end: int


def best_spans(start: np.ndarray, end: np.ndarray, max_answer_len: int, count: int) -> list[tuple[int, int, float]]:
    """The `count` best (first token, last token, probability) for probabilities `[tokens]` of start and of end.

    A span has 1 to `max_answer_len` tokens, and the probability of its start times that of its end.
    """
    length = min(max_answer_len, len(start))
    # ends[i, j] is the probability of the end at token i + j: a band, for the whole square is mostly impossible.
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
    """The answers of one window, best first, and the probability that it has none.

    The logits are `[sequence]`; `context` are the positions of the context's tokens, the first of which is token
    `first` of the whole context, `tokens`; `null` is the position of [CLS], which stands for "no answer" and takes its
    share of the probability. Answers are whole words; those of the same text are one, and their scores add up.
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
    """The `top_k` best answers of all windows; of answers with the same text, the best."""
    answers: dict[str, Answer] = {}
    for answer in (answer for window in windows for answer in window):
        key = answer.answer.lower()
        if key not in answers or answer.score > answers[key].score:
            answers[key] = answer
    return sorted(answers.values(), key=lambda answer: -answer.score)[:top_k]
