"""Where a benchmark's texts are taken from: its own files, or the hub."""

from __future__ import annotations

from pathlib import Path

from mbert_onnx.data.example import Split
from mbert_onnx.data.glue import GlueTask, glue_from_hub, read_glue
from mbert_onnx.data.squad import VERSIONS, Question, read_squad, squad_from_hub

HUB = "hub"


def glue_split(task: GlueTask, source: str | Path, split: str) -> Split:
    """A split of a task of GLUE, out of its folder or, for `hub`, of the hub. Raises what reading it raises."""
    if str(source) == HUB:
        import datasets

        return glue_from_hub(task, split, datasets.load_dataset)
    return read_glue(task, Path(source), split)


def squad_questions(task: str, source: str | Path, split: str) -> list[Question]:
    """SQuAD's questions, out of a file or, for `hub`, a split of the hub. Raises what reading them raises."""
    if str(source) == HUB:
        import datasets

        return squad_from_hub(VERSIONS[task], split, datasets.load_dataset)
    return read_squad(Path(source))
