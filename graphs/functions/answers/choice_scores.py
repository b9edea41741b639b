"""The function `mbert.ChoiceScores`: the probability of each choice, or that a text follows another."""

from __future__ import annotations

import onnx_ir as ir

from graphs.functions.answers.body import function_of
from graphs.functions.answers.probabilities import softmax

NAME = "ChoiceScores"

DOCUMENTATION = """The probability of each choice after a prompt, in the order of the choices; for next-sentence
prediction those that the second text follows the first (BERT's label 0), and that it does not.

Input:
    logits             [batch, choices]        of a multiple choice or a next-sentence prediction
Output:
    scores             [batch, choices], float

Numerics: softmax along the last axis, in float64 up to the last step."""


def choice_scores(opset: int) -> ir.Function:
    """Returns the function, with a body of this opset."""
    body = softmax("logits", "wide") + "scores = Cast <to = 1> (wide)"
    return function_of(NAME, DOCUMENTATION, (["logits"], ["scores"]), body, opset)
