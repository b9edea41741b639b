"""Windows of a SQuAD context after its question, and the position of the answer in a window."""

from __future__ import annotations

from mbert_onnx.text.encoder import TextEncoder, Tokens, Window
from mbert_onnx.training.data.squad import Question

# Tokens of a question; a longer one is truncated, as in BERT's reference code for SQuAD.
MAX_QUESTION_LENGTH = 64


def windows_of(encoder: TextEncoder, question: Question) -> tuple[Tokens, list[Window]]:
    """Cuts a context into windows, each after the question; windows overlap by 128 tokens, as in the reference code."""
    asked = question.question
    tokens = encoder.tokens(asked, "question")
    if len(tokens) > MAX_QUESTION_LENGTH:
        asked = asked[: tokens.offsets[MAX_QUESTION_LENGTH - 1][1]]
    return encoder.windows(question.context, asked)


def answer_in(window: Window, tokens: Tokens, question: Question) -> tuple[int, int]:
    """Returns the positions of the first answer's first and last token in a window; (0, 0) if it is not complete."""
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
