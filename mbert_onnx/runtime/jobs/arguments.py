"""Arguments of the methods: which there are, lists of them, and values that are refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from numbers import Integral
from typing import Any

from mbert_onnx.errors import MbertError, UsageError
from mbert_onnx.text.encoder import check_text
from mbert_onnx.text.tasks import (
    FEATURE_EXTRACTION,
    FILL_MASK,
    MULTIPLE_CHOICE,
    NEXT_SENTENCE_PREDICTION,
    PRETRAINING,
    QUESTION_ANSWERING,
    SENTENCE_SIMILARITY,
    TEXT_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
)

# Defaults of transformers' pipelines.
MAX_ANSWER_LEN = 15
FILL_TOP_K = 5

# The method for each task; `pretraining` has two heads, and `run` uses the masked LM's.
METHODS: dict[str, str] = {
    QUESTION_ANSWERING.name: "answer",
    TEXT_CLASSIFICATION.name: "classify",
    TOKEN_CLASSIFICATION.name: "tag",
    FILL_MASK.name: "fill",
    MULTIPLE_CHOICE.name: "choose",
    NEXT_SENTENCE_PREDICTION.name: "next_sentence",
    PRETRAINING.name: "fill",
    FEATURE_EXTRACTION.name: "embed",
    SENTENCE_SIMILARITY.name: "embed",
}

# The arguments of each method for one text, and how many of them are required.
INPUTS: dict[str, tuple[tuple[str, ...], int]] = {
    "answer": (("question", "context"), 2),
    "classify": (("text", "pair"), 1),
    "tag": (("text",), 1),
    "fill": (("text",), 1),
    "choose": (("prompt", "choices"), 2),
    "next_sentence": (("text", "pair"), 2),
    "embed": (("text",), 1),
}

# The options of `mbert-onnx run` for the methods' arguments, which error messages name.
OPTIONS = {
    "context": "--context",
    "pair": "--pair",
    "choices": "--choice",
    "top_k": "--top-k",
    "max_answer_len": "--max-answer-len",
    "handle_impossible_answer": "--no-answer",
    "normalize": "--normalize",
    "aggregation": "--aggregation",
}


def option(argument: str) -> str:
    """Returns the option of `mbert-onnx run` for an argument, or the argument where there is none."""
    return OPTIONS.get(argument, argument)


def expect_positive(**values: int) -> None:
    """Raises UsageError for an argument that is not a whole number from 1 on."""
    for name, value in values.items():
        if not isinstance(value, Integral) or value < 1:
            raise UsageError(f"{option(name)} is {value}; expected a whole number from 1 on")


def check_choices(choices: Sequence[str]) -> None:
    """Raises UsageError for choices that are not two or more texts."""
    if isinstance(choices, str) or not hasattr(choices, "__len__") or len(choices) < 2:
        found = "one text" if isinstance(choices, str) else _described(choices)
        raise UsageError(f"--choice is {found}; expected two or more texts, one for each choice")
    for choice in choices:
        check_text(choice, "choice")


def inputs_of_lists(method: str, *arguments: Any) -> list[tuple[Any, ...]] | None:
    """Returns the inputs of a call with lists, one for each text, or None for a call with one text.

    One value beside a list is used for all texts. Raises UsageError for lists of different lengths.
    """
    names, _ = INPUTS[method]
    lists = {
        name: value
        for name, value in zip(names, arguments, strict=True)
        if isinstance(value, list | tuple) and not (name == "choices" and _is_flat(value))
    }
    if not lists:
        return None
    lengths = {name: len(value) for name, value in lists.items()}
    count = next(iter(lengths.values()))
    if any(length != count for length in lengths.values()):
        found = " and ".join(f"{length} of {name}" for name, length in lengths.items())
        raise UsageError(f"There are {found}; expected as many of each, or one for all. Give lists of equal lengths.")
    columns = [lists.get(name, repeat(value, count)) for name, value in zip(names, arguments, strict=True)]
    return list(zip(*columns, strict=True))


def check_inputs(inputs: object) -> None:
    """Raises UsageError for one text in place of many, of which each character would be a text, and for no iterable."""
    if isinstance(inputs, str | bytes) or not isinstance(inputs, Iterable):
        raise UsageError(f"The inputs are one {type(inputs).__name__}; expected a list or an iterator. Give [text].")


def arguments_of(method: str, given: Any) -> tuple[Any, ...] | MbertError:
    """Returns the arguments for one input of `Model.stream`, a text or a tuple; an error for another number of them."""
    names, required = INPUTS[method]
    values = given if isinstance(given, tuple) else (given,)
    if required <= len(values) <= len(names):
        return (*values, *[None] * (len(names) - len(values)))
    found = _described(given) if isinstance(given, tuple) else f"one {type(given).__name__}"
    expected = "a text" if len(names) == 1 else f"a tuple of {' and '.join(names)}"
    return UsageError(f"The input is {found}; expected {expected}. Give that for each text.")


def error_of(error: MbertError, number: int) -> MbertError:
    """Returns the error of a text in a list, with its place, counted from 0."""
    placed = type(error)(f"text {number}: {error}")
    placed.__cause__ = error
    return placed


def _is_flat(choices: Sequence[Any]) -> bool:
    return not any(isinstance(choice, list | tuple) for choice in choices)


def _described(value: Any) -> str:
    if not hasattr(value, "__len__"):
        return f"of type {type(value).__name__}"
    return f"a {type(value).__name__} of {len(value)}"
