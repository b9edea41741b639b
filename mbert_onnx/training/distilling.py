"""Distillation of a student from a teacher by one of the paper's strategies (`mbert-onnx distill`)."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from torch import Tensor, nn
from torch.utils.data import DataLoader

from mbert_onnx.model.checkpoint import backbone_of
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
from mbert_onnx.training.distillation.layer_pairs import LayerPairs, layer_pairs, width_maps
from mbert_onnx.training.distillation.loss import StageLoss
from mbert_onnx.training.distillation.principal_components import fit_blocks, initialize_embeddings, word_components
from mbert_onnx.training.distillation.teachers.interface import Teacher
from mbert_onnx.training.inputs.corpus_rows import masking, pad_id_of, prepare_corpus
from mbert_onnx.training.inputs.distillation.plan import (
    compared_layers,
    learning_rate_of,
    objective_weights,
    planned_stages,
    teacher_checkpoint,
    teacher_of,
    tokenizer_of,
)
from mbert_onnx.training.inputs.distillation.students import WORD_TASKS, student_model, student_outline, task_of
from mbert_onnx.training.inputs.distillation.teachers import use_vocabulary
from mbert_onnx.training.inputs.models import check_rows, config_in
from mbert_onnx.training.loop.run_folder import Run
from mbert_onnx.training.loop.schedule import opened, train_stages
from mbert_onnx.training.loop.stage import TrainingStage, accelerator_for
from mbert_onnx.training.progress import TrainingProgress, no_progress
from mbert_onnx.training.recipe import DistillRecipe, read_recipe

# Batches, and rows in each, that the embeddings' normalization is fitted on: thousands of tokens for two numbers per
# channel.
FITTED_BATCHES, FITTED_ROWS = 8, 32


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
    teacher = teacher_of(read, outline)
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
            if run.position() is None:  # else the checkpoint has all weights
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
        # All layers approach the teacher's, also if only the last ones are compared.
        fitted = layer_pairs("uniform", backbone.config.num_hidden_layers, teacher.shape.layers)
        fit_blocks(backbone, teacher, fitted if pairs.items() <= fitted.items() else pairs, projection, maps, batches)


def _fitting_batches(rows: AnyRows, collate: Collate, seed: int) -> list[dict[str, Tensor]]:
    """Returns batches on the CPU; their size does not depend on recipe and devices."""
    batches = rows.batches(BatchSize(FITTED_ROWS), first=0, count=FITTED_BATCHES, seed=seed)
    loader: DataLoader[dict[str, Tensor]] = DataLoader(rows, batch_sampler=batches, collate_fn=collate)  # type: ignore[arg-type]
    return list(islice(loader, FITTED_BATCHES))
