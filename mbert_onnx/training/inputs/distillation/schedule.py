"""Schedule of a distillation: what `distill --dry-run` prints."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from mbert_onnx.bundles.records import TOKENIZER
from mbert_onnx.model.checkpoint import CONFIG
from mbert_onnx.model.checkpoint_tokenizer.loading import has_tokenizer
from mbert_onnx.reference import located
from mbert_onnx.text.tasks import SENTENCE_SIMILARITY
from mbert_onnx.training.distillation.initialization import shares_shape
from mbert_onnx.training.distillation.strategies import Stage
from mbert_onnx.training.distillation.teachers.interface import Teacher
from mbert_onnx.training.inputs.corpus_rows import encoder_in, tokenizer_in
from mbert_onnx.training.inputs.distillation.facts import Fact, facts_of
from mbert_onnx.training.inputs.distillation.plan import (
    compared_layers,
    learning_rate_of,
    planned_stages,
    teacher_checkpoint,
    teacher_of,
    tokenizer_of,
)
from mbert_onnx.training.inputs.distillation.students import WORD_TASKS, student_outline, task_of
from mbert_onnx.training.inputs.distillation.teachers import use_vocabulary
from mbert_onnx.training.inputs.models import config_in
from mbert_onnx.training.loop.run_folder import Run
from mbert_onnx.training.recipe import DistillRecipe, read_recipe


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a schedule.

    Args:
        stage: The stage.
        loss: What its loss compares, in words.
        learning_rate: Its peak learning rate.
        trained: Number of parameters of the student trained at this rate.
        slowly: Number of its parameters trained at `stage.lower_rate` times this rate.
        kept: Number of its frozen parameters.
    """

    stage: Stage
    loss: str
    learning_rate: float
    trained: int
    slowly: int
    kept: int


@dataclass(frozen=True)
class Schedule:
    """Schedule of a distillation.

    Args:
        facts: Teacher, student, and what is compared between them, each with its name.
        stages: Stages in order.
        copies: Whether embeddings and heads are copied from the teacher.
        notes: Notes for the user, one line each.
    """

    facts: list[Fact]
    stages: list[PlannedStage]
    copies: bool
    notes: list[str]


def schedule(recipe: str | Path) -> Schedule:
    """Returns the stages of `transfer` for a recipe, without training, downloading or writing anything.

    Of a teacher that is not on this machine, nothing is known: it counts as one of ours, of the student's shape.

    Raises UsageError for an invalid recipe, CheckpointError for a teacher or a student that cannot be read, BundleError
    for a tokenizer that cannot be read, DataError for texts that cannot be read.
    """
    path = Path(recipe)
    read = read_recipe(path, DistillRecipe)
    checkpoint = teacher_checkpoint(read)
    is_local = (located(checkpoint) / CONFIG).is_file()
    vocabulary = _vocabulary(read, path)
    student = student_outline(read, checkpoint, None if vocabulary is None else {"vocab_size": len(vocabulary)})
    config, task = config_in(student), task_of(student)
    teacher = teacher_of(read, student) if is_local and vocabulary is not None else None
    if teacher is not None and vocabulary is not None:
        use_vocabulary(teacher, checkpoint, vocabulary)
    copies = shares_shape(teacher, student) if teacher is not None else read.transfer.strategy != "none"
    pairs = compared_layers(read, config.num_hidden_layers, teacher)
    trains_embeddings = not copies and read.student.layers is None
    stages = planned_stages(read, student, pairs, trains_embeddings=trains_embeddings)
    facts = [] if teacher is None else facts_of(read, teacher, student, pairs, copies=copies)
    notes = []
    if vocabulary is None and read.student.preset is not None:
        notes.append(
            f"a vocabulary of {config.vocab_size:,} words is assumed: the student uses the teacher's, but "
            f"there is no tokenizer.json in {checkpoint} yet"
        )
    what = (
        "masked words" if task in WORD_TASKS else f"{'vectors' if task is SENTENCE_SIMILARITY else 'logits'} of texts"
    )
    return Schedule(facts, [_planned(stage, read, student, teacher, what) for stage in stages], copies, notes)


def _vocabulary(read: DistillRecipe, recipe: Path) -> dict[str, int] | None:
    """Returns the vocabulary of the student; None if its tokenizer is not on this machine."""
    run = Run(read.output)
    if (run.tokenizer / TOKENIZER).is_file() and run.is_of(recipe.read_text(encoding="utf-8")):
        return encoder_in(run.tokenizer, read.data.max_length).tokenizer.get_vocab()
    checkpoints = [teacher_checkpoint(read), *([read.student.checkpoint] if read.student.checkpoint else [])]
    if not all(located(checkpoint).is_dir() for checkpoint in checkpoints):
        return None
    table = tokenizer_of(read)
    assert table.folder is not None
    if not has_tokenizer(table.folder):
        return None
    with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as temporary:
        folder = Path(temporary) / "tokenizer"
        tokenizer_in(folder, table, read.data, read.data.max_length)
        return encoder_in(folder, read.data.max_length).tokenizer.get_vocab()


def _planned(stage: Stage, read: DistillRecipe, student: nn.Module, teacher: Teacher | None, what: str) -> PlannedStage:
    parts = []
    if stage.layers:
        first, last = stage.layers[0] + 1, stage.layers[-1] + 1
        numbers = [layer + 1 for layer in stage.layers]
        names = f"{first} to {last}" if numbers == list(range(first, last + 1)) else ", ".join(map(str, numbers))
        parts.append(f"maps of layer {first}" if first == last else f"maps of layers {names}")
    if stage.predicts:
        learns = stage.teaches and what == "masked words" and (teacher is None or teacher.predicts)
        parts.append(f"{what} and teacher logits" if learns else what)
    counts = {"trained": 0, "slowly": 0, "kept": 0}
    for name, parameter in student.named_parameters():
        rate = stage.rate(name)
        counts["trained" if rate == 1 else "slowly" if rate else "kept"] += parameter.numel()
    return PlannedStage(stage, ", ".join(parts), learning_rate_of(stage, read), **counts)
