"""Fine-tuning of a model for GLUE, SQuAD, or a custom file (`mbert-onnx finetune`)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from torch import nn

from mbert_onnx.bundles.atomic import atomic_file
from mbert_onnx.errors import TrainingError, UsageError
from mbert_onnx.model.checkpoint import checkpoint_folder, load_checkpoint
from mbert_onnx.model.checkpoint_files.config_file import read_config
from mbert_onnx.model.other_berts import is_other_bert, other_bert_model
from mbert_onnx.model.padding import pad_with, padding_token_in
from mbert_onnx.model.student import MobileBertModel
from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.text.json_files import read_json
from mbert_onnx.text.tasks import (
    FEATURE_EXTRACTION,
    QUESTION_ANSWERING,
    TEXT_CLASSIFICATION,
    Task,
    task_of_architectures,
)
from mbert_onnx.training.data.example import Example, Split
from mbert_onnx.training.data.row_store import Collate, Rows
from mbert_onnx.training.data.squad import VERSIONS
from mbert_onnx.training.inputs.corpus_rows import encoder_in, pad_id_of, tokenizer_in
from mbert_onnx.training.inputs.models import check_rows, check_vocabulary, config_of, new_model
from mbert_onnx.training.inputs.task_loss import LabelLoss, SpanLoss
from mbert_onnx.training.inputs.task_rows import (
    check_task,
    label_rows,
    questions_of,
    span_rows,
    split_of,
    unlabelled_examples,
)
from mbert_onnx.training.inputs.teacher_logits import teacher_logits_of
from mbert_onnx.training.inputs.text_variants import variants_of
from mbert_onnx.training.inputs.word_embeddings import copy_word_embeddings
from mbert_onnx.training.inputs.word_neighbours import word_neighbours_of
from mbert_onnx.training.loop.run_folder import Run
from mbert_onnx.training.loop.schedule import opened, train_stages
from mbert_onnx.training.loop.stage import TrainingStage, accelerator_for
from mbert_onnx.training.progress import TrainingProgress, no_progress
from mbert_onnx.training.recipe import FinetuneRecipe, ModelTable, TokenizerTable, read_recipe

# Default max_length in tokens, of SQuAD and of all other tasks, as in BERT's reference code.
SPAN_LENGTH, LABEL_LENGTH = 384, 128


@dataclass(frozen=True)
class _TrainingInputs:
    """Model, loss and rows of a fine-tuning; `pairs` says whether rows have two texts."""

    model: nn.Module
    loss: nn.Module
    rows: Rows
    task: Task
    pairs: bool


def finetune(
    recipe: str | Path, *, overwrite: bool = False, reuse: bool = False, tell: TrainingProgress = no_progress
) -> Path:
    """Trains a model for a task; resumes an unfinished run of the same recipe.

    Args:
        recipe: TOML file with the keys of `FinetuneRecipe`.
        overwrite: Replace an existing run in the output folder.
        reuse: Return the model of a complete run of the same recipe instead of raising an error.
        tell: Progress callback, called with stage name, step, number of steps, and mean losses.

    Returns the folder of the trained model. Raises UsageError for an invalid recipe, DataError for texts that cannot be
    read, CheckpointError for a checkpoint that does not fit, TrainingError for a run that cannot start or continue.
    """
    path = Path(recipe)
    read = read_recipe(path, FinetuneRecipe)
    check_task(read.data)
    run = Run(read.output)
    if reuse and not overwrite and run.is_done and run.is_of(path.read_text(encoding="utf-8")):
        return run.model
    accelerator = accelerator_for(read.training)
    length = read.data.max_length or (SPAN_LENGTH if read.data.task in VERSIONS else LABEL_LENGTH)
    tokenizer = _tokenizer_of(read)
    with opened(run, path, accelerator, overwrite=overwrite):
        with accelerator.main_process_first():
            if accelerator.is_main_process:
                tokenizer_in(run.tokenizer, tokenizer, None, length)
            encoder = encoder_in(run.tokenizer, length)
            inputs = _training_inputs(read, run, encoder, accelerator, tell)
        check_rows(inputs.model, "model", max_length=length, pairs=inputs.pairs)
        steps = _steps(read, inputs.rows, accelerator)
        train_stages(
            [steps],
            lambda number: TrainingStage(
                number=number,
                name="fine-tuning",
                steps=steps,
                module=inputs.loss,
                rows=inputs.rows,
                collate=Collate(pad_id_of(encoder)),
                rate=lambda _: 1.0,
                learning_rate=read.training.learning_rate,
            ),
            accelerator=accelerator,
            table=read.training,
            run=run,
            seed=read.seed,
            progress=tell,
            model=inputs.model,
            task=inputs.task,
        )
    return run.model


def _training_inputs(
    read: FinetuneRecipe, run: Run, encoder: TextEncoder, accelerator: Accelerator, progress: TrainingProgress
) -> _TrainingInputs:
    """Loads data, teacher logits and model. Raises UsageError for a table that does not suit the task."""
    vocabulary = encoder.tokenizer.get_vocab()
    if read.data.task in VERSIONS:
        if read.teacher is not None:
            raise UsageError("teacher is for classification; leave it out for SQuAD")
        rows = span_rows(run.rows, questions_of(read.data), encoder)
        model = finetuned_model(read.model, QUESTION_ANSWERING, None, vocabulary=vocabulary, seed=read.seed)
        return _TrainingInputs(model, SpanLoss(model), rows, QUESTION_ANSWERING, pairs=True)
    split = split_of(read.data, "train")
    if not split.is_labelled:
        raise UsageError(f"data: {split.name} has no labels; expected a labelled training set")
    labels = split.labels
    teacher = read.teacher
    if teacher is None and (read.data.unlabelled or read.data.variants):
        raise UsageError("data.unlabelled and data.variants need a teacher, since their texts have no labels; give one")
    if teacher is not None and labels is None:
        raise UsageError("teacher is for classification; leave it out for a regression")
    _check_labels(run, labels)
    rows = label_rows(
        run.rows, lambda: _labelled_examples(read, split, run, vocabulary, accelerator, progress), encoder
    )
    model = finetuned_model(read.model, TEXT_CLASSIFICATION, labels or (), vocabulary=vocabulary, seed=read.seed)
    loss = LabelLoss(model) if teacher is None else LabelLoss(model, teacher.alpha, teacher.temperature)
    pairs = any(example.pair is not None for example in split.examples)
    return _TrainingInputs(model, loss, rows, TEXT_CLASSIFICATION, pairs)


def _check_labels(run: Run, labels: Sequence[str] | None) -> None:
    """Writes the label names of a new run; raises TrainingError if those of a resumed run have changed.

    The rows of a run contain label numbers and are created once, so the order of the names must stay.
    """
    names = list(labels or ())
    if not run.rows.is_dir():
        with atomic_file(run.labels, TrainingError) as beside:
            beside.write_text(json.dumps(names), encoding="utf-8")
        return
    try:
        before = list(map(str, read_json(run.labels))) if run.labels.is_file() else names
    except (TypeError, ValueError) as error:
        raise TrainingError(
            f"{run.labels} is damaged ({error}); expected the names of the labels: pass --overwrite to start over"
        ) from None
    if before != names:
        raise TrainingError(
            f"the data's labels are {', '.join(names)} now, and were {', '.join(before)} when {run.folder} was "
            "started; restore the data, or pass --overwrite to start over"
        )


def _labelled_examples(
    read: FinetuneRecipe,
    split: Split,
    run: Run,
    vocabulary: dict[str, int],
    accelerator: Accelerator,
    progress: TrainingProgress,
) -> tuple[list[Example], np.ndarray | None]:
    """Returns all training examples, with variants and unlabelled texts, and their teacher logits or None."""
    examples = [*split.examples, *unlabelled_examples(read.data)]
    if read.teacher is None or split.labels is None:
        return examples, None
    if read.data.variants:
        neighbours = word_neighbours_of(read.teacher.checkpoint, vocabulary)
        examples += variants_of(split.examples, read.data.variants, read.seed, neighbours)
    cache = read.teacher.opinions or run.teacher_logits
    checkpoint, labels = read.teacher.checkpoint, len(split.labels)
    return examples, teacher_logits_of(checkpoint, examples, labels, accelerator, cache, progress)


def finetuned_model(
    table: ModelTable, task: Task, labels: tuple[str, ...] | None, *, vocabulary: dict[str, int], seed: int
) -> nn.Module:
    """Builds a model for a task: the backbone of a checkpoint, or a new one, with a new head.

    A checkpoint of the same task with the same labels, such as a shorter student of a classifier, keeps its head.

    Args:
        table: `[model]` of the recipe.
        task: The task.
        labels: Names of the labels; empty for a regression, None for a task without labels.
        vocabulary: Vocabulary of the tokenizer.
        seed: Random seed of new weights.
    """
    vocab_size = len(vocabulary)
    changes = {} if labels is None else {"num_labels": len(labels) or 1}
    backbone = None
    if table.checkpoint is None:
        config = config_of(table, "model", architectures=[task.architecture], vocab_size=vocab_size, **changes)
    else:
        if is_other_bert(table.checkpoint):
            return other_bert_model(table.checkpoint, task, labels)
        keeps_head = _has_head(table.checkpoint, task, labels)
        loaded = load_checkpoint(table.checkpoint, task=task.name if keeps_head else FEATURE_EXTRACTION.name)
        config = loaded.config
        if keeps_head:
            check_vocabulary(config, table, "model", vocab_size)
            pad_with(loaded.model, padding_token_in(vocabulary))
            return loaded.model.requires_grad_(True)
        assert isinstance(loaded.model, MobileBertModel)
        backbone = loaded.model
        config.architectures = [task.architecture]
        if changes:
            config.num_labels = changes["num_labels"]
    if labels:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: number for number, label in enumerate(labels)}
    check_vocabulary(config, table, "model", vocab_size)
    model = new_model(config, task, "model", seed=seed)
    if backbone is not None:
        model.mobilebert.load_state_dict(backbone.state_dict(), strict=False)  # type: ignore[union-attr]
    if table.word_embeddings is not None:
        assert isinstance(model.mobilebert, MobileBertModel)
        copy_word_embeddings(model.mobilebert, vocabulary, table.word_embeddings, table.word_layer)
    pad_with(model, padding_token_in(vocabulary))
    return model


def _has_head(checkpoint: str, task: Task, labels: tuple[str, ...] | None) -> bool:
    """Returns whether a checkpoint is a model for this task with these labels, in this order."""
    config = read_config(checkpoint_folder(checkpoint))
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or task_of_architectures(architectures) is not task:
        return False
    if labels is None:
        return True
    names = config.get("id2label")
    if not isinstance(names, dict) or not labels:  # a regression has one output, without a name
        return isinstance(names, dict) and len(names) == 1
    return [names.get(str(number)) for number in range(len(names))] == list(labels)


def _tokenizer_of(read: FinetuneRecipe) -> TokenizerTable:
    """Returns the tokenizer of the recipe, or that of the checkpoint. Raises UsageError if there is none."""
    if read.tokenizer is not None:
        if read.tokenizer.folder is None:
            raise UsageError(
                "tokenizer has vocab_size, but finetune cannot change a vocabulary; give only the folder of a tokenizer"
            )
        return read.tokenizer
    if read.model.checkpoint is None:
        raise UsageError("tokenizer is missing, but a model from a preset needs one; give its folder")
    return TokenizerTable(folder=checkpoint_folder(read.model.checkpoint))


def _steps(read: FinetuneRecipe, rows: Rows, accelerator: Accelerator) -> int:
    """Returns the number of optimizer steps of the recipe's `steps` or `epochs`."""
    table = read.training
    if table.steps is not None:
        return table.steps
    assert table.epochs is not None
    rows_per_step = table.batch_size * table.accumulate * accelerator.num_processes
    return max(math.ceil(table.epochs * len(rows) / rows_per_step), 1)
