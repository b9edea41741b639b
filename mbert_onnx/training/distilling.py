"""Distillation of a student from a teacher by one of the paper's strategies (`mbert-onnx distill`)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from torch import Tensor
from torch.utils.data import DataLoader

from mbert_onnx.bundles.records import TOKENIZER
from mbert_onnx.errors import UsageError
from mbert_onnx.model.checkpoint import checkpoint_folder, load_checkpoint
from mbert_onnx.model.student import MobileBertForPreTraining
from mbert_onnx.reference import located
from mbert_onnx.text.tasks import PRETRAINING
from mbert_onnx.training.data.batch_sampler import BatchSize
from mbert_onnx.training.data.passages.rows import AnyRows
from mbert_onnx.training.data.row_store import Collate
from mbert_onnx.training.distillation.initialization import check_pair, copy_shared_weights, fit_normalization
from mbert_onnx.training.distillation.layer_pairs import LayerPairs, layer_pairs
from mbert_onnx.training.distillation.loss import ObjectiveWeights, StageLoss
from mbert_onnx.training.distillation.strategies import Stage, stages_of
from mbert_onnx.training.distillation.teachers.interface import Teacher
from mbert_onnx.training.distillation.teachers.mobilebert import MobileBertTeacher
from mbert_onnx.training.inputs.corpus_rows import encoder_in, masking, pad_id_of, prepare_corpus
from mbert_onnx.training.inputs.models import check_rows, config_of, new_model, pretraining_model
from mbert_onnx.training.loop.run_folder import Run
from mbert_onnx.training.loop.schedule import opened, train_stages
from mbert_onnx.training.loop.stage import TrainingStage, accelerator_for
from mbert_onnx.training.progress import TrainingProgress, no_progress
from mbert_onnx.training.recipe import DistillRecipe, TokenizerTable, TransferTable, read_recipe

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
    student = _student_outline(read, {} if vocab_size is None else {"vocab_size": vocab_size})
    layers = student.config.num_hidden_layers
    # Layer transfer needs as many layers as the teacher has.
    stages = [_planned(stage, read, student) for stage in _stages(read, layers, _pairs(read, layers, layers))]
    notes = []
    if vocab_size is None and read.student.checkpoint is None:
        notes.append(
            f"a vocabulary of {student.config.vocab_size:,} words is assumed: the student uses the teacher's, but "
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


def _planned(stage: Stage, read: DistillRecipe, student: MobileBertForPreTraining) -> PlannedStage:
    counts = {"trained": 0, "slowly": 0, "kept": 0}
    for name, parameter in student.named_parameters():
        rate = stage.rate(name)
        counts["trained" if rate == 1 else "slowly" if rate else "kept"] += parameter.numel()
    return PlannedStage(stage, _learning_rate(stage, read), **counts)


def _student_outline(read: DistillRecipe, changes: dict[str, int]) -> MobileBertForPreTraining:
    """Returns the student: loaded from its checkpoint, or a new one without weights, with `changes` in its config."""
    table = read.student
    if table.checkpoint is not None:
        model = load_checkpoint(table.checkpoint, task=PRETRAINING.name).model
    else:
        model = new_model(config_of(table, "student", **changes), PRETRAINING, "student", seed=None)
    assert isinstance(model, MobileBertForPreTraining)
    return model


def _learning_rate(stage: Stage, read: DistillRecipe) -> float:
    own_rate = read.transfer.distillation_learning_rate if stage.predicts else None
    return own_rate or read.training.learning_rate


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
    layers = _student_outline(read, {}).config.num_hidden_layers
    pairs = _pairs(read, layers, layers)
    stages = _stages(read, layers, pairs)
    accelerator = accelerator_for(read.training)
    run = Run(read.output)
    tokenizer = TokenizerTable(folder=_teacher_folder(read))
    with opened(run, path, accelerator, overwrite=overwrite):
        encoder, rows = prepare_corpus(run.tokenizer, run.rows, tokenizer, read.data, accelerator, read.seed)
        vocabulary = encoder.tokenizer.get_vocab()
        loaded = pretraining_model(read.teacher, "teacher", vocabulary=vocabulary, seed=read.seed)
        student = pretraining_model(read.student, "student", vocabulary=vocabulary, seed=read.seed + 1)
        for model, where in ((loaded, "teacher"), (student, "student")):
            check_rows(model, where, max_length=read.data.max_length, pairs=read.data.next_sentence)
        collate = masking(encoder, pad_id_of(encoder), read.data)
        if read.transfer.strategy != "none":
            _initialize_from_teacher(loaded, student, _fitting_batches(rows, collate, read.seed))
        teacher = MobileBertTeacher(loaded)
        teacher.to(accelerator.device)
        train_stages(
            [stage.steps for stage in stages],
            lambda number: _training_stage(number, stages[number], read, student, teacher, pairs, rows, collate),
            accelerator=accelerator,
            table=read.training,
            run=run,
            seed=read.seed,
            progress=tell,
            model=student,
            task=PRETRAINING,
        )
    return run.model


def _initialize_from_teacher(
    teacher: MobileBertForPreTraining, student: MobileBertForPreTraining, batches: list[dict[str, Tensor]]
) -> None:
    """Copies embeddings and heads into the student and fits its normalization. Raises TrainingError for other sizes."""
    check_pair(teacher, student)
    copy_shared_weights(teacher, student)
    fit_normalization(teacher, student, batches)


def _training_stage(
    number: int,
    stage: Stage,
    read: DistillRecipe,
    student: MobileBertForPreTraining,
    teacher: Teacher,
    pairs: LayerPairs,
    rows: AnyRows,
    collate: Collate,
) -> TrainingStage:
    return TrainingStage(
        number=number,
        name=stage.name,
        steps=stage.steps,
        module=StageLoss(student, teacher, stage, objective_weights(read.transfer), pairs=pairs),
        rows=rows,
        collate=collate,
        rate=stage.rate,
        learning_rate=_learning_rate(stage, read),
    )


def objective_weights(table: TransferTable) -> ObjectiveWeights:
    """Returns the weights of the objectives in a recipe."""
    return ObjectiveWeights(
        feature_maps=table.feature_maps,
        normalized_feature_maps=table.normalized_feature_maps,
        means=table.means,
        variances=table.variances,
        attention=table.attention,
        relations=table.relations,
        alpha=table.alpha,
        temperature=table.temperature,
    )


def _pairs(read: DistillRecipe, student: int, teacher: int) -> LayerPairs:
    """Returns the compared layers of a student and a teacher with that many layers."""
    return layer_pairs("last" if read.transfer.strategy == "shorten" else read.transfer.layers, student, teacher)


def _stages(read: DistillRecipe, layers: int, pairs: LayerPairs) -> list[Stage]:
    table = read.transfer
    if read.training.steps is not None:
        raise UsageError("training.steps is for pretrain; distill has transfer.steps and transfer.distillation_steps")
    if table.steps + table.distillation_steps == 0:
        raise UsageError("transfer.steps and transfer.distillation_steps are both 0; expected some steps")
    return stages_of(
        table.strategy,
        layers=layers,
        transfer_steps=table.steps,
        distillation_steps=table.distillation_steps,
        lower_rate=table.lower_rate,
        next_sentence=read.data.next_sentence,
        compared=list(pairs),
    )


def _teacher_folder(read: DistillRecipe) -> Path:
    """Returns the folder of the teacher, whose tokenizer the student uses."""
    if read.teacher.checkpoint is None:
        raise UsageError("teacher has a preset, which has random weights; give the checkpoint of a trained teacher")
    return checkpoint_folder(read.teacher.checkpoint)


def _fitting_batches(rows: AnyRows, collate: Collate, seed: int) -> list[dict[str, Tensor]]:
    """Returns batches on the CPU; their size does not depend on recipe and devices."""
    batches = rows.batches(BatchSize(FITTED_ROWS), first=0, count=FITTED_BATCHES, seed=seed)
    loader: DataLoader[dict[str, Tensor]] = DataLoader(rows, batch_sampler=batches, collate_fn=collate)  # type: ignore[arg-type]
    return list(islice(loader, FITTED_BATCHES))
