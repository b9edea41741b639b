"""Answers to SQuAD's questions: windows of contexts, those of like length in a batch, and the best span of each."""

from __future__ import annotations

from collections.abc import Sequence

from mbert_onnx.runtime.spans import Answer, merge_windows, window_answers
from mbert_onnx.text.encoder import Row, Window
from mbert_onnx.training.data.squad import Question
from mbert_onnx.training.data.squad_windows import windows_of
from mbert_onnx.training.evaluation.contestant import Contestant

# Of the benchmark's reference for BERT.
MAX_ANSWER_LENGTH = 30


def answers_of(
    contestant: Contestant, questions: Sequence[Question], *, may_be_impossible: bool
) -> tuple[dict[str, str], list[Row]]:
    """The answer to each question by its id, and the rows that were read.

    Args:
        contestant: The model.
        questions: The questions.
        may_be_impossible: Whether "nothing", an empty answer, is one.
    """
    places: list[tuple[int, Window]] = []
    tokens = []
    for number, question in enumerate(questions):
        found, windows = windows_of(contestant.encoder, question)
        tokens.append(found)
        places += [(number, window) for window in windows]
    rows = [window for _, window in places]
    spans: list[list[list[Answer]]] = [[] for _ in questions]
    nothing = [1.0] * len(questions)
    for place, (start, end) in contestant.run(rows, "start_logits", "end_logits"):
        number, window = places[place]
        answers, no_answer = window_answers(
            start,
            end,
            context=slice(window.begin, window.begin + window.count),
            null=0 if contestant.encoder.has_null_token else None,
            first=window.first,
            tokens=tokens[number],
            top_k=1,
            max_answer_len=MAX_ANSWER_LENGTH,
        )
        spans[number].append(answers)
        nothing[number] = min(nothing[number], no_answer)
    best = {}
    for number, question in enumerate(questions):
        found_here = [*spans[number]]
        if may_be_impossible:
            found_here.append([Answer("", nothing[number], 0, 0)])
        merged = merge_windows(found_here, 1)
        best[question.id] = merged[0].answer if merged else ""
    return best, list(rows)
