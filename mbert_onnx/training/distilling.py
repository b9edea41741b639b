"""Distillation of a student from a teacher by one of the paper's strategies (`mbert-onnx distill`)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from torch import Tensor, nn
from torch.utils.data import DataLoader

from mbert_onnx.bundles.records import TOKENIZER
from mbert_onnx.reference import located
from mbert_onnx.text.tasks import SENTENCE_SIMILARITY
from mbert_onnx.training.data.batch_sampler import BatchSize
from mbert_onnx.training.data.passages.rows import AnyRows
from mbert_onnx.training.data.row_store import Collate
from mbert_onnx.training.distillation.initialization import (
    check_positions,
    copy_shared_weights,
    fit_normalization,
    shares_shape,
)
from mbert_onnx.training.distillation.layer_pairs import LayerPairs, width_maps
from mbert_onnx.training.distillation.loss import StageLoss
from mbert_onnx.training.distillation.principal_components import fit_blocks, initialize_embeddings, word_components
from mbert_onnx.training.distillation.strategies import Stage
from mbert_onnx.training.distillation.teachers.encoder import EncoderTeacher
from mbert_onnx.training.distillation.teachers.interface import Teacher
from mbert_onnx.training.distillation.teachers.mobilebert import backbone_of
from mbert_onnx.training.inputs.corpus_rows import encoder_in, masking, pad_id_of, prepare_corpus
from mbert_onnx.training.inputs.distillation_plan import (
    compared_layers,
    learning_rate_of,
    objective_weights,
    planned_stages,
    teacher_checkpoint,
    teaches,
    tokenizer_of,
)
from mbert_onnx.training.inputs.models import check_rows, config_in
from mbert_onnx.training.inputs.students import WORD_TASKS, student_model, student_outline, task_of
from mbert_onnx.training.inputs.teachers import load_teacher, use_vocabulary
from mbert_onnx.training.loop.run_folder import Run
from mbert_onnx.training.loop.schedule import opened, train_stages
from mbert_onnx.training.loop.stage import TrainingStage, accelerator_for
from mbert_onnx.training.progress import TrainingProgress, no_progress
from mbert_onnx.training.recipe import DistillRecipe, read_recipe

# Batches, and rows in each, that the embeddings' normalization is fitted on: thousands of tokens for two numbers per
# channel.
FITTED_BATCHES, FITTED_ROWS = 8, 32


@dataclass(frozen=True)
class PlannedStage:
    """A stage of a schedule.

    Args:
        stage: The stage.
        learning_rate: Its peak learning rate.
        trained: Number of parameters trained at this rate.
        slowly: Number of parameters trained at `stage.lower_rate` times this rate.
        kept: Number of frozen parameters.
    """

    stage: Stage
    learning_rate: float
    trained: int
    slowly: int
    kept: int


@dataclass(frozen=True)
class Schedule:
    """Schedule of a distillation.

    Args:
        stages: Stages in order.
        notes: Notes for the user, one line each.
    """

    stages: list[PlannedStage]
    notes: list[str]


def schedule(recipe: str | Path) -> Schedule:
    """Returns the stages of `transfer` for a recipe, without training, downloading or writing anything.

    Raises UsageError for an invalid recipe, CheckpointError for a student that cannot be read, BundleError for a
    teacher's tokenizer that cannot be read.
    """
    read = read_recipe(Path(recipe), DistillRecipe)
    vocab_size = _teacher_vocab_size(read)
    changes = {} if vocab_size is None else {"vocab_size": vocab_size}
    student = student_outline(read, teacher_checkpoint(read), changes)
    pairs = compared_layers(read, config_in(student).num_hidden_layers, None)
    stages = [_planned(stage, read, student) for stage in planned_stages(read, student, pairs)]
    notes = []
    if vocab_size is None and read.student.preset is not None:
        notes.append(
            f"a vocabulary of {config_in(student).vocab_size:,} words is assumed: the student uses the teacher's, but "
            f"there is no tokenizer.json in {read.teacher.checkpoint} yet"
        )
    return Schedule(stages, notes)


def _teacher_vocab_size(read: DistillRecipe) -> int | None:
    """Returns the size of the teacher's vocabulary, which a new student uses; None if it is not available locally."""
    if read.teacher.checkpoint is None:
        return None
    folder = located(read.teacher.checkpoint)
    if not (folder / TOKENIZER).is_file():
        return None
    return len(encoder_in(folder, read.data.max_length).tokenizer.get_vocab())


def _planned(stage: Stage, read: DistillRecipe, student: nn.Module) -> PlannedStage:
    counts = {"trained": 0, "slowly": 0, "kept": 0}
    for name, parameter in student.named_parameters():
        rate = stage.rate(name)
        counts["trained" if rate == 1 else "slowly" if rate else "kept"] += parameter.numel()
    return PlannedStage(stage, learning_rate_of(stage, read), **counts)


def transfer(recipe: str | Path, *, overwrite: bool = False, tell: TrainingProgress = no_progress) -> Path:
    """Trains a student with a teacher; resumes an unfinished run of the same recipe.

    Args:
        recipe: TOML file with the keys of `DistillRecipe`.
        overwrite: Replace an existing run in the output folder.
        tell: Progress callback, called with stage name, step, number of steps, and mean losses.

    Returns the folder of the trained student. Raises UsageError for an invalid recipe, DataError for texts that cannot
    be read, CheckpointError for a checkpoint that does not fit, TrainingError for a run that cannot start or continue.
    """
    path = Path(recipe)
    read = read_recipe(path, DistillRecipe)
    checkpoint = teacher_checkpoint(read)
    outline = student_outline(read, checkpoint)
    task, config = task_of(outline), config_in(outline)
    masks = task in WORD_TASKS
    teacher = _teacher(read, config.num_attention_heads)
    pairs = compared_layers(read, config.num_hidden_layers, teacher)
    planned_stages(read, outline, pairs)  # invalid numbers of steps are refused before anything is written
    accelerator = accelerator_for(read.training)
    run = Run(read.output)
    with opened(run, path, accelerator, overwrite=overwrite):
        encoder, rows = prepare_corpus(
            run.tokenizer, run.rows, tokenizer_of(read), read.data, accelerator, read.seed, whole_texts=not masks
        )
        vocabulary = encoder.tokenizer.get_vocab()
        student = student_model(read, outline, vocabulary)
        check_rows(student, "student", max_length=read.data.max_length, pairs=masks and read.data.next_sentence)
        pad_id = pad_id_of(encoder)
        collate = masking(encoder, pad_id, read.data) if masks else Collate(pad_id)
        maps = nn.ModuleDict()
        copies = False
        if teacher is not None:
            use_vocabulary(teacher, checkpoint, vocabulary)
            check_positions(teacher, student)
            copies = shares_shape(teacher, student)
            widths = config.hidden_size, teacher.shape.hidden_size
            maps = width_maps(pairs, *widths, vectors=task is SENTENCE_SIMILARITY)
            batches = _fitting_batches(rows, collate, read.seed)
            is_new = read.student.preset is not None
            _initialize(teacher, student, pairs, maps, batches, copies=copies, is_new=is_new)
            teacher.to(accelerator.device)
        stages = planned_stages(read, student, pairs, trains_embeddings=not copies and read.student.layers is None)
        train_stages(
            [stage.steps for stage in stages],
            lambda number: TrainingStage(
                number=number,
                name=stages[number].name,
                steps=stages[number].steps,
                module=StageLoss(
                    student, teacher, stages[number], objective_weights(read.transfer), pairs=pairs, maps=maps
                ),
                rows=rows,
                collate=collate,
                rate=stages[number].rate,
                learning_rate=learning_rate_of(stages[number], read),
            ),
            accelerator=accelerator,
            table=read.training,
            run=run,
            seed=read.seed,
            progress=tell,
            model=student,
            task=task,
        )
    return run.model


def _teacher(read: DistillRecipe, heads: int) -> Teacher | None:
    """Returns the teacher of a student with that many heads; None if the student learns without."""
    if not teaches(read):
        return None
    table = read.transfer
    teacher = load_teacher(teacher_checkpoint(read), heads=heads if table.attention else None)
    if isinstance(teacher, EncoderTeacher) and teacher.shape.heads != heads and table.relations:
        teacher.check_relations()
    return teacher


def _initialize(
    teacher: Teacher,
    student: nn.Module,
    pairs: LayerPairs,
    maps: nn.ModuleDict,
    batches: list[dict[str, Tensor]],
    *,
    copies: bool,
    is_new: bool,
) -> None:
    """Initializes the student from the teacher, in place.

    Args:
        teacher, student, pairs, maps: Arguments of `fit_blocks`.
        batches: Batches on which normalization is fitted.
        copies: Whether embeddings and heads are copied, as in the paper.
        is_new: Whether the student has random weights; a trained one of another shape keeps its own.
    """
    backbone = backbone_of(student)
    if copies:
        copy_shared_weights(teacher.model, student)
        fit_normalization(teacher.model, student, batches)
    elif is_new:
        components = word_components(teacher, backbone.config.vocab_size)
        initialize_embeddings(backbone, teacher, components)
        projection = components.projection(backbone.config.hidden_size)
        fit_blocks(backbone, teacher, pairs, projection, maps, batches)


def _fitting_batches(rows: AnyRows, collate: Collate, seed: int) -> list[dict[str, Tensor]]:
    """Returns batches on the CPU; their size does not depend on recipe and devices."""
    batches = rows.batches(BatchSize(FITTED_ROWS), first=0, count=FITTED_BATCHES, seed=seed)
    loader: DataLoader[dict[str, Tensor]] = DataLoader(rows, batch_sampler=batches, collate_fn=collate)  # type: ignore[arg-type]
    return list(islice(loader, FITTED_BATCHES))
