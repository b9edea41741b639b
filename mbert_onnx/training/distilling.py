"""`distill`: a student learns from its teacher, by one of the paper's strategies."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from torch import Tensor
from torch.utils.data import DataLoader

from mbert_onnx.bundles.reader import TOKENIZER
from mbert_onnx.errors import UsageError
from mbert_onnx.model.checkpoint import checkpoint_folder, load_checkpoint
from mbert_onnx.model.student import MobileBertForPreTraining
from mbert_onnx.reference import located
from mbert_onnx.text.tasks import PRETRAINING
from mbert_onnx.training.data.batch_sampler import Batches
from mbert_onnx.training.data.row_store import Collate, Rows
from mbert_onnx.training.distillation.initialization import check_pair, fit_normalization, hand_over
from mbert_onnx.training.distillation.loss import Transfer, Weights
from mbert_onnx.training.distillation.strategies import Stage, stages_of
from mbert_onnx.training.inputs.corpus_rows import corpus_rows, encoder_in, masking, pad_id_of, tokenizer_in
from mbert_onnx.training.inputs.models import check_rows, config_of, new_model, pretraining_model
from mbert_onnx.training.loop.run_folder import Run
from mbert_onnx.training.loop.schedule import opened, train_stages
from mbert_onnx.training.loop.stage import StageOfTraining, Tell, accelerator_for
from mbert_onnx.training.pretraining import silent
from mbert_onnx.training.recipe import DistillRecipe, TokenizerTable, TransferTable, read_recipe

# Rows on which the embeddings' normalization is fitted: some thousands of tokens for two numbers a channel.
FITTED_BATCHES, FITTED_ROWS = 8, 32


@dataclass(frozen=True)
class Planned:
    """A stage that `transfer` would go through.

    Args:
        stage: What it compares, and for how long.
        learning_rate: Its peak.
        trained: How many parameters it trains at that rate.
        slowly: How many at `stage.lower_rate` times that.
        kept: How many it leaves as they are.
    """

    stage: Stage
    learning_rate: float
    trained: int
    slowly: int
    kept: int


@dataclass(frozen=True)
class Schedule:
    """What `transfer` would do.

    Args:
        stages: One after the other.
        notes: What a user should know, a line each.
    """

    stages: list[Planned]
    notes: list[str]


def schedule(recipe: str | Path) -> Schedule:
    """The stages that `transfer` would go through. Nothing is trained, fetched or written.

    Raises UsageError for a recipe that cannot be meant, CheckpointError for a student that cannot be read, BundleError
    for a teacher's tokenizer that cannot.
    """
    read = read_recipe(Path(recipe), DistillRecipe)
    words = _words_of(read)
    student = _outline(read, {} if words is None else {"vocab_size": words})
    stages = [_planned(stage, read, student) for stage in _stages(read, student.config.num_hidden_layers)]
    notes = []
    if words is None and read.student.checkpoint is None:
        notes.append(
            f"{student.config.vocab_size:,} words are assumed, for there is no tokenizer.json yet in "
            f"{read.teacher.checkpoint}: the student takes its teacher's"
        )
    return Schedule(stages, notes)


def _words_of(read: DistillRecipe) -> int | None:
    """The size of the teacher's vocabulary, which a new student has, too; None where the teacher is not here."""
    if read.teacher.checkpoint is None:
        return None
    folder = located(read.teacher.checkpoint)
    if not (folder / TOKENIZER).is_file():
        return None
    return len(encoder_in(folder, read.data.max_length).tokenizer.get_vocab())


def _planned(stage: Stage, read: DistillRecipe, student: MobileBertForPreTraining) -> Planned:
    counts = {"trained": 0, "slowly": 0, "kept": 0}
    for name, parameter in student.named_parameters():
        rate = stage.rate(name)
        counts["trained" if rate == 1 else "slowly" if rate else "kept"] += parameter.numel()
    return Planned(stage, _learning_rate(stage, read), **counts)


def _outline(read: DistillRecipe, changes: dict[str, int]) -> MobileBertForPreTraining:
    """The student without its weights, where that can be had; `changes` is of the config of a new one."""
    table = read.student
    if table.checkpoint is not None:
        model = load_checkpoint(table.checkpoint, task=PRETRAINING.name).model
    else:
        model = new_model(config_of(table, "student", **changes), PRETRAINING, "student", seed=None)
    assert isinstance(model, MobileBertForPreTraining)
    return model


def _learning_rate(stage: Stage, read: DistillRecipe) -> float:
    special = read.transfer.distillation_learning_rate if stage.predicts else None
    return special or read.training.learning_rate


def transfer(recipe: str | Path, *, overwrite: bool = False, tell: Tell = silent) -> Path:
    """Trains a student by a teacher; goes on where it was left, if it was begun.

    Args:
        recipe: A TOML file; `DistillRecipe` has its keys.
        overwrite: Begin again where the run is there already.
        tell: Called with a stage's name, step, number of steps, and mean losses.

    Returns the folder of the trained student. Raises UsageError for a recipe that cannot be meant, DataError for texts
    that cannot be read, CheckpointError and TrainingError for what cannot be trained.
    """
    path = Path(recipe)
    read = read_recipe(path, DistillRecipe)
    stages = _stages(read, _outline(read, {}).config.num_hidden_layers)
    accelerator = accelerator_for(read.training)
    run = Run(read.output)
    source = _tokenizer_of(read)
    with opened(run, path, accelerator, overwrite=overwrite):
        with accelerator.main_process_first():
            if accelerator.is_main_process:
                tokenizer_in(run.tokenizer, TokenizerTable(folder=source), None, read.data.max_length)
            encoder = encoder_in(run.tokenizer, read.data.max_length)
            rows = corpus_rows(run.rows, read.data, encoder, read.seed)
        words = encoder.tokenizer.get_vocab()
        teacher = pretraining_model(read.teacher, "teacher", vocabulary=words, seed=read.seed)
        student = pretraining_model(read.student, "student", vocabulary=words, seed=read.seed + 1)
        for model, where in ((teacher, "teacher"), (student, "student")):
            check_rows(model, where, max_length=read.data.max_length, pairs=read.data.next_sentence)
        collate = masking(encoder, pad_id_of(encoder), read.data)
        if read.transfer.strategy != "none":
            check_pair(teacher, student)
            hand_over(teacher, student)
            fit_normalization(teacher, student, _some(rows, collate, read.seed))
            teacher.to(accelerator.device)
        train_stages(
            [stage.steps for stage in stages],
            lambda number: _training(number, stages[number], read, student, teacher, rows, collate),
            accelerator=accelerator,
            table=read.training,
            run=run,
            seed=read.seed,
            tell=tell,
            model=student,
            task=PRETRAINING,
        )
    return run.model


def _training(
    number: int,
    stage: Stage,
    read: DistillRecipe,
    student: MobileBertForPreTraining,
    teacher: MobileBertForPreTraining,
    rows: Rows,
    collate: Collate,
) -> StageOfTraining:
    return StageOfTraining(
        number=number,
        name=stage.name,
        steps=stage.steps,
        module=Transfer(student, teacher if stage.teaches else None, stage, weights_of(read.transfer)),
        rows=rows,
        collate=collate,
        rate=stage.rate,
        learning_rate=_learning_rate(stage, read),
    )


def weights_of(table: TransferTable) -> Weights:
    """What a recipe says of the objectives."""
    return Weights(
        feature_maps=table.feature_maps,
        normalized_feature_maps=table.normalized_feature_maps,
        means=table.means,
        variances=table.variances,
        attention=table.attention,
        alpha=table.alpha,
        temperature=table.temperature,
    )


def _stages(read: DistillRecipe, layers: int) -> list[Stage]:
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
    )


def _tokenizer_of(read: DistillRecipe) -> Path:
    """The teacher's own folder: what it was trained with is what the student reads."""
    if read.teacher.checkpoint is None:
        raise UsageError("teacher has a preset; expected a checkpoint: random weights know nothing")
    return checkpoint_folder(read.teacher.checkpoint)


def _some(rows: Rows, collate: Collate, seed: int) -> list[dict[str, Tensor]]:
    """Batches of a fixed size, on the CPU, whatever the devices."""
    batches = Batches(rows.lengths, FITTED_ROWS, first=0, count=FITTED_BATCHES, seed=seed)
    loader: DataLoader[dict[str, Tensor]] = DataLoader(rows, batch_sampler=batches, collate_fn=collate)  # type: ignore[arg-type]
    return list(islice(loader, FITTED_BATCHES))
