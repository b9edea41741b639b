"""Probabilities and the best of them, as ONNX text. They are float64, as in the runtime, so that ranks are the same."""

from __future__ import annotations

from typing import Literal

Problem = Literal["single_label_classification", "multi_label_classification", "regression"]

SINGLE_LABEL: Problem = "single_label_classification"
MULTI_LABEL: Problem = "multi_label_classification"
REGRESSION: Problem = "regression"


def scores(problem: Problem, logits: str, output: str) -> str:
    """Returns ONNX text of the scores of logits, in float64, of the same shape.

    They are the softmax along the last axis, the sigmoid of each (through tanh, which does not overflow), or the
    logits.

    Args:
        problem: The `problem_type` of the config.
        logits: [..., labels], of any floating-point type.
        output: The scores. The names of values in between begin with this one.
    """
    if problem == REGRESSION:
        return f"""
    {output} = Cast <to = 11> ({logits})
"""
    if problem == SINGLE_LABEL:
        return f"""
    {output}_logits = Cast <to = 11> ({logits})
    {output} = Softmax <axis = -1> ({output}_logits)
"""
    return f"""
    {output}_logits = Cast <to = 11> ({logits})
    {output}_halved = Mul({output}_logits, double_half)
    {output}_tanh = Tanh({output}_halved)
    {output}_doubled = Add({output}_tanh, double_one)
    {output} = Mul({output}_doubled, double_half)
"""


def softmax(logits: str, output: str) -> str:
    """Returns ONNX text of the softmax along the last axis, in float64."""
    return scores(SINGLE_LABEL, logits, output)


def wanted(count: str, output: str, most: str = "many") -> str:
    """Returns ONNX text of a wanted count, int64 [] or [1], as int64 [1]: at least 1, and at most the number `most`.

    By default, that is small enough to be multiplied.
    """
    return f"""
    {output}_long = Cast <to = 7> ({count})
    {output}_positive = Max({output}_long, one)
    {output} = Min({output}_positive, {most})
"""
