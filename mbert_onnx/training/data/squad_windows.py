"""A question and its context as rows: windows of the context, and where in them the answer is."""

from __future__ import annotations

from mbert_onnx.text.encoder import TextEncoder, Tokens, Window
from mbert_onnx.training.data.squad import Question

# A longer question is cut, as by the benchmark's reference for BERT.
MAX_QUESTION_LENGTH = 64


def windows_of(encoder: TextEncoder, question: Question) -> tuple[Tokens, list[Window]]:
    """A question's context in windows, each after the question; neighbours share 128 tokens, as in the reference."""
    asked = question.question
    tokens = encoder.tokens(asked, "question")
    if len(tokens) > MAX_QUESTION_LENGTH:
        asked = asked[: tokens.offsets[MAX_QUESTION_LENGTH - 1][1]]
    return encoder.windows(question.context, asked)


def answer_in(window: Window, tokens: Tokens, question: Question) -> tuple[int, int]:
    """The positions in a window of the first answer's first and last token; (0, 0) where it is not all there."""
    if not question.answers:
        return 0, 0
    text, begin = question.answers[0], question.starts[0]
    if begin < 0:
        begin = question.context.find(text)
    end = begin + len(text)
    inside = [
        place
        for place in range(window.first, window.first + window.count)
        if tokens.offsets[place][0] < end and tokens.offsets[place][1] > begin
    ]
    whole = inside and tokens.offsets[inside[0]][0] <= begin and tokens.offsets[inside[-1]][1] >= end
    if begin < 0 or not whole:
        return 0, 0
    shift = window.begin - window.first
    return inside[0] + shift, inside[-1] + shift
