"""What turns texts into a model's inputs, where that is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mbert_onnx.text.tasks import Task


@dataclass(frozen=True)
class Reader:
    """What turns texts into a model's inputs."""

    task: Task
    tokenizer: Path
    vocab_size: int | None
    max_positions: int


# Not every model is calibrated, so a tokenizer is looked at only when one is; None where there is none.
FindReader = Callable[[], Reader | None]
