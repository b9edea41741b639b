"""Tables of `mbert-onnx finetune`: tasks, epochs, the teacher of labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from mbert_onnx.training.recipe.tables import (
    MAX_EPOCHS,
    CountOrZero,
    ModelTable,
    Recipe,
    Share,
    Table,
    TokenizerTable,
    TrainingTable,
)


class TaskTable(Table):
    """`[data]` of fine-tuning: a task of GLUE, SQuAD, or a custom file.

    Args:
        task: `cola`, `sst2`, `mrpc`, `stsb`, `qqp`, `mnli`, `qnli`, `rte`, `wnli`, `squad`, `squad_v2`, or
            `classification` or `regression` for a custom file.
        folder: GLUE's folder, as the benchmark's download creates it.
        train, validation, test: SQuAD's files, or custom files.
        hub: Whether GLUE or SQuAD is loaded from the Hugging Face hub instead.
        text, pair, label, id: Columns of a custom file: first text, second text, label, integer id of a row.
        labels: Names of the labels of a custom file, by number; default: those in the file, sorted.
        above: Threshold: the label is `positive` if the number in `label` is above it, else `negative`.
        held_out_every: Without `validation`: rows whose `id` is a multiple of this number are the validation set.
        max_length: Largest number of tokens in a row; default: 384 for SQuAD, else 128.
        unlabelled: Files of texts without labels, one a line, that are trained on teacher logits alone.
        variants: Number of variants of each training text that are trained on teacher logits alone: parts of the text,
            gaps, two texts joined, words replaced by word neighbours.
    """

    task: str
    folder: Path | None = None
    train: Path | None = None
    validation: Path | None = None
    test: Path | None = None
    hub: bool = False
    text: str = "text"
    pair: str | None = None
    label: str = "label"
    id: str | None = None
    labels: Annotated[list[str], Field(min_length=2)] | None = None
    above: float | None = None
    held_out_every: Annotated[int, Field(ge=2)] | None = None
    max_length: Annotated[int, Field(ge=8)] | None = None
    unlabelled: list[Path] = Field(default_factory=list)
    variants: CountOrZero = 0


class EpochsTable(TrainingTable):
    """`[training]` of fine-tuning, with `epochs`, the number of passes over the rows, as an alternative to `steps`."""

    epochs: Annotated[float, Field(gt=0, le=MAX_EPOCHS)] | None = None

    @model_validator(mode="after")
    def _check_exclusive(self) -> EpochsTable:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give steps or epochs, one of them")
        if self.batch_tokens:
            raise ValueError("batch_tokens is not for fine-tuning, whose rows are not drawn at random; give batch_size")
        return self


class LabelTeacherTable(Table):
    """`[teacher]` of fine-tuning: a classifier whose logits the model learns in addition to the labels.

    Args:
        checkpoint: Classifier for the same labels: ours, or any class of transformers.
        alpha: Weight of the labels; the teacher logits have weight 1 - alpha.
        temperature: Temperature of both distributions.
        opinions: Folder that caches the teacher logits; recipes with the same texts may share it. Default: a folder in
            the run folder.
    """

    checkpoint: str
    alpha: Share = 0.5
    temperature: Annotated[float, Field(gt=0)] = 1.0
    opinions: Path | None = None


class FinetuneRecipe(Recipe):
    """Recipe of `mbert-onnx finetune`: a model learns a task."""

    model: ModelTable
    tokenizer: TokenizerTable | None = None
    teacher: LabelTeacherTable | None = None
    data: TaskTable
    training: EpochsTable
