"""Where a benchmark's texts are taken from: its own files, or the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mbert_onnx.errors import DataError
from mbert_onnx.training.data.example import Split
from mbert_onnx.training.data.glue import GlueTask, glue_from_hub, read_glue
from mbert_onnx.training.data.squad import VERSIONS, Question, read_squad, squad_from_hub

HUB = "hub"


def glue_split(task: GlueTask, source: str | Path, split: str) -> Split:
    """A split of a task of GLUE, out of its folder or, for `hub`, of the hub. Raises what reading it raises."""
    if str(source) == HUB:
        return glue_from_hub(task, split, load_from_hub)
    return read_glue(task, Path(source), split)


def squad_questions(task: str, source: str | Path, split: str) -> list[Question]:
    """SQuAD's questions, out of a file or, for `hub`, a split of the hub. Raises what reading them raises."""
    if str(source) == HUB:
        return squad_from_hub(VERSIONS[task], split, load_from_hub)
    return read_squad(Path(source))


def load_from_hub(name: str, *configuration: str | None, **options: Any) -> Any:
    """As `datasets.load_dataset`. Raises DataError, in one line, where it cannot be had."""
    import datasets

    try:
        return datasets.load_dataset(name, *configuration, **options)
    except Exception as error:  # of many kinds: no network, no such dataset, no such split
        raise DataError(f"{name} is not to be had from the hub ({error}). Name files in place of it.") from error
