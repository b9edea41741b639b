"""Source of a benchmark's texts: local files or the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mbert_onnx.errors import DataError
from mbert_onnx.training.data.example import Split
from mbert_onnx.training.data.glue import GlueTask, glue_from_hub, read_glue
from mbert_onnx.training.data.squad import VERSIONS, Question, read_squad, squad_from_hub

HUB = "hub"


def glue_split(task: GlueTask, source: str | Path, split: str) -> Split:
    """Reads a split of a GLUE task from its folder, or from the hub if `source` is `hub`. Raises DataError."""
    if str(source) == HUB:
        return glue_from_hub(task, split, load_from_hub)
    return read_glue(task, Path(source), split)


def squad_questions(task: str, source: str | Path, split: str) -> list[Question]:
    """Reads SQuAD's questions from a file, or a split from the hub if `source` is `hub`. Raises DataError."""
    if str(source) == HUB:
        return squad_from_hub(VERSIONS[task], split, load_from_hub)
    return read_squad(Path(source))


def load_from_hub(name: str, *configuration: str | None, **options: Any) -> Any:
    """Calls `datasets.load_dataset`. Raises DataError, in one line, if the dataset cannot be loaded."""
    import datasets

    try:
        return datasets.load_dataset(name, *configuration, **options)
    except Exception as error:  # many kinds: no network, unknown dataset, unknown split
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"{name} cannot be loaded from the hub ({said[0].split('. ')[0]}). Use local files instead."
        ) from error
