"""Settings of a prediction that every worker needs: which model, and how it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mbert_onnx.errors import UsageError
from mbert_onnx.text.tasks import (
    FEATURE_EXTRACTION,
    MASKED,
    MULTIPLE_CHOICE,
    QUESTION_ANSWERING,
    TEXT_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    Task,
)

ALL = "all"
# The command's options for answers, by the names of their arguments, and the tasks that have them.
_OPTIONS: dict[str, tuple[str, tuple[Task, ...]]] = {
    ALL: ("--all", (TEXT_CLASSIFICATION, MULTIPLE_CHOICE)),
    "top_k": ("--top-k", tuple(MASKED)),
    "max_answer_len": ("--max-answer-len", (QUESTION_ANSWERING,)),
    "handle_impossible_answer": ("--no-answer", (QUESTION_ANSWERING,)),
    "aggregation": ("--aggregation", (TOKEN_CLASSIFICATION,)),
    "normalize": ("--normalize", (FEATURE_EXTRACTION,)),
}


@dataclass(frozen=True)
class Settings:
    """A model and how it answers; it can be pickled.

    Args:
        bundle: The absolute path of the bundle or file, or the name of a built-in model.
        arguments: How many columns hold the model's arguments.
        threads: Threads of one session; None for onnxruntime's choice.
        kernels: As in `mbert_onnx.load`.
        options: Options of the task's method, such as `max_answer_len`.
        all_scores: Whether the scores of all labels or choices become columns.
        prefix: The beginning of the names of output columns.
    """

    bundle: str
    arguments: int
    threads: int | None = 1
    kernels: str = "auto"
    options: Mapping[str, Any] = field(default_factory=dict)
    all_scores: bool = False
    prefix: str = ""


def check_options(task: Task, options: Mapping[str, Any], *, all_scores: bool) -> None:
    """Raises UsageError for options that a task does not have; those of None are not given."""
    given = [name for name, value in {**options, ALL: all_scores or None}.items() if value is not None]
    for name in given:
        option, tasks = _OPTIONS[name]
        if task not in tasks:
            known = [other for other, others in _OPTIONS.values() if task in others]
            takes = f"which takes {' and '.join(known)}" if known else "which has no options for its answers"
            raise UsageError(f"{option} is not for {task.name}, {takes}; leave it out")
