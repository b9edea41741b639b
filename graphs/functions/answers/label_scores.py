"""The function `mbert.LabelScores`: the labels of a text with their scores, best first."""

from __future__ import annotations

import onnx_ir as ir

from graphs.functions.answers.body import function_of
from graphs.functions.answers.probabilities import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Problem, scores, wanted

NAME = "LabelScores"

SCORES = {
    SINGLE_LABEL: "probabilities: the softmax of the logits (single_label_classification)",
    MULTI_LABEL: "probabilities: the sigmoid of each logit (multi_label_classification)",
    REGRESSION: "the logits themselves (regression)",
}

DOCUMENTATION = """The labels of each text with their scores, best first; equal scores in the order of the labels.
Scores are {scores}.

Inputs:
    logits             [batch, labels]         of a sequence classification, of any floating-point type
    top_k              []                      the number of labels wanted; int64, at least 1; more than there are: all
Outputs, with k = top_k, at most the number of labels:
    labels             [batch, k], int64       the numbers of the labels
    scores             [batch, k], float

Numerics: float64 up to the last step."""

SIZE = """
    size = Shape <start = -1> (logits)
"""

RANKING = """
    best, labels = TopK(wide, k)
    scores = Cast <to = 1> (best)
"""


def label_scores(problem: Problem, opset: int) -> ir.Function:
    """Returns the function for a `problem_type` of the config, with a body of this opset."""
    body = scores(problem, "logits", "wide") + SIZE + wanted("top_k", "k", most="size") + RANKING
    documentation = DOCUMENTATION.format(scores=SCORES[problem])
    return function_of(NAME, documentation, (["logits", "top_k"], ["labels", "scores"]), body, opset)
