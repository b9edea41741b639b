"""Answers to SQuAD's questions: the best span over all windows of a context."""

from __future__ import annotations

from collections.abc import Sequence

from mbert_onnx.runtime.spans import Answer, merge_windows, window_answers
from mbert_onnx.text.encoder import Row, Window
from mbert_onnx.training.data.squad import Question
from mbert_onnx.training.data.squad_windows import windows_of
from mbert_onnx.training.evaluation.evaluated_model import EvaluatedModel

# Longest answer in tokens, as in BERT's reference code for SQuAD.
MAX_ANSWER_LENGTH = 30


def answers_of(
    model: EvaluatedModel, questions: Sequence[Question], *, may_be_impossible: bool
) -> tuple[dict[str, str], list[Row]]:
    """Returns the answer to each question by its id, and the rows of all windows.

    Args:
        model: The model.
        questions: The questions.
        may_be_impossible: Whether a question may have no answer (SQuAD 2.0), the empty text.
    """
    places: list[tuple[int, Window]] = []
    tokens = []
    for number, question in enumerate(questions):
        found, windows = windows_of(model.encoder, question)
        tokens.append(found)
        places += [(number, window) for window in windows]
    rows = [window for _, window in places]
    spans: list[list[list[Answer]]] = [[] for _ in questions]
    nothing = [1.0] * len(questions)
    for place, (start, end) in model.run(rows, "start_logits", "end_logits"):
        number, window = places[place]
        answers, no_answer = window_answers(
            start,
            end,
            context=slice(window.begin, window.begin + window.count),
            null=0 if model.encoder.has_null_token else None,
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
