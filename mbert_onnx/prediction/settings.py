"""Settings of a prediction that every worker needs: which model, and how it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Settings:
    """A model and how it answers; it can be pickled.

    Args:
        bundle: The absolute path of the bundle or file, or `reference`.
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
