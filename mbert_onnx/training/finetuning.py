"""`finetune`: a model for a task: GLUE's, SQuAD, or labels of one's own."""

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
from mbert_onnx.model.other_berts import foreign_model, is_foreign
from mbert_onnx.model.student import MobileBertModel
from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.text.tasks import FEATURE_EXTRACTION, QUESTION_ANSWERING, TEXT_CLASSIFICATION, Task
from mbert_onnx.training.data.example import Example, Split
from mbert_onnx.training.data.row_store import Collate, Rows
from mbert_onnx.training.data.squad import VERSIONS
from mbert_onnx.training.inputs.corpus_rows import encoder_in, pad_id_of, tokenizer_in
from mbert_onnx.training.inputs.models import check_rows, check_words, config_of, new_model
from mbert_onnx.training.inputs.task_loss import LabelLoss, SpanLoss
from mbert_onnx.training.inputs.task_rows import (
    check_task,
    label_rows,
    questions_of,
    span_rows,
    split_of,
    unlabelled_of,
)
from mbert_onnx.training.inputs.teacher_logits import opinions_of
from mbert_onnx.training.inputs.text_variants import variants_of
from mbert_onnx.training.inputs.word_embeddings import take_words
from mbert_onnx.training.inputs.word_neighbours import neighbours_of
from mbert_onnx.training.loop.run_folder import Run
from mbert_onnx.training.loop.schedule import opened, train_stages
from mbert_onnx.training.loop.stage import StageOfTraining, Tell, accelerator_for
from mbert_onnx.training.pretraining import silent
from mbert_onnx.training.recipe import FinetuneRecipe, ModelTable, TokenizerTable, read_recipe

# What a row has at most where the recipe does not say: as long as SQuAD's reference, or GLUE's.
SPAN_LENGTH, LABEL_LENGTH = 384, 128


@dataclass(frozen=True)
class _Prepared:
    """What is trained, on what."""

    model: nn.Module
    loss: nn.Module
    rows: Rows
    task: Task
    pairs: bool


def finetune(recipe: str | Path, *, overwrite: bool = False, reuse: bool = False, tell: Tell = silent) -> Path:
    """Trains a model for a task; goes on where it was left, if it was begun.

    Args:
        recipe: A TOML file; `FinetuneRecipe` has its keys.
        overwrite: Begin again where the run is there already.
        reuse: Take the model of a run of this recipe that is done, in place of an error.
        tell: Called with the stage's name, step, number of steps, and mean losses.

    Returns the folder of the trained model. Raises UsageError for a recipe that cannot be meant, DataError for texts
    that cannot be read, CheckpointError and TrainingError for what cannot be trained.
    """
    path = Path(recipe)
    read = read_recipe(path, FinetuneRecipe)
    check_task(read.data)
    run = Run(read.output)
    if reuse and not overwrite and run.is_done and run.is_of(path.read_text(encoding="utf-8")):
        return run.model
    accelerator = accelerator_for(read.training)
    length = read.data.max_length or (SPAN_LENGTH if read.data.task in VERSIONS else LABEL_LENGTH)
    source = _tokenizer_of(read)
    with opened(run, path, accelerator, overwrite=overwrite):
        with accelerator.main_process_first():
            if accelerator.is_main_process:
                tokenizer_in(run.tokenizer, source, None, length)
            encoder = encoder_in(run.tokenizer, length)
            prepared = _prepared(read, run, encoder, accelerator, tell)
        check_rows(prepared.model, "model", max_length=length, pairs=prepared.pairs)
        steps = _steps(read, prepared.rows, accelerator)
        train_stages(
            [steps],
            lambda number: StageOfTraining(
                number=number,
                name="fine-tuning",
                steps=steps,
                module=prepared.loss,
                rows=prepared.rows,
                collate=Collate(pad_id_of(encoder)),
                rate=lambda _: 1.0,
                learning_rate=read.training.learning_rate,
            ),
            accelerator=accelerator,
            table=read.training,
            run=run,
            seed=read.seed,
            tell=tell,
            model=prepared.model,
            task=prepared.task,
        )
    return run.model


def _prepared(read: FinetuneRecipe, run: Run, encoder: TextEncoder, accelerator: Accelerator, tell: Tell) -> _Prepared:
    words = encoder.tokenizer.get_vocab()
    if read.data.task in VERSIONS:
        if read.teacher is not None:
            raise UsageError("teacher is for classification; leave it out for SQuAD")
        rows = span_rows(run.rows, questions_of(read.data), encoder)
        model = finetuned_model(read.model, QUESTION_ANSWERING, None, vocabulary=words, seed=read.seed)
        return _Prepared(model, SpanLoss(model), rows, QUESTION_ANSWERING, pairs=True)
    split = split_of(read.data, "train")
    if not split.is_labelled:
        raise UsageError(f"data: {split.name} has no labels; expected a labelled training set")
    labels = split.labels
    opinion = read.teacher
    if opinion is None and (read.data.unlabelled or read.data.variants):
        raise UsageError("data has texts without labels, and there is no teacher to tell what they mean; give one")
    if opinion is not None and labels is None:
        raise UsageError("teacher is for classification; leave it out for a regression")
    _check_labels(run, labels)
    rows = label_rows(run.rows, lambda: _told(read, split, run, words, accelerator, tell), encoder)
    model = finetuned_model(read.model, TEXT_CLASSIFICATION, labels or (), vocabulary=words, seed=read.seed)
    loss = LabelLoss(model) if opinion is None else LabelLoss(model, opinion.alpha, opinion.temperature)
    pairs = any(example.pair is not None for example in split.examples)
    return _Prepared(model, loss, rows, TEXT_CLASSIFICATION, pairs)


def _check_labels(run: Run, labels: Sequence[str] | None) -> None:
    """Rows have the labels' numbers, and are made once: names that have changed since would be those of others.

    Raises TrainingError where they have changed; keeps them, where the run is new.
    """
    names = list(labels or ())
    if not run.rows.is_dir():
        with atomic_file(run.labels, TrainingError) as beside:
            beside.write_text(json.dumps(names), encoding="utf-8")
        return
    before = json.loads(run.labels.read_text(encoding="utf-8")) if run.labels.is_file() else names
    if before != names:
        raise TrainingError(
            f"the data's labels are {', '.join(names)} now, and were {', '.join(before)} when {run.folder} was begun; "
            "restore the data, or pass --overwrite to begin again"
        )


def _told(
    read: FinetuneRecipe, split: Split, run: Run, words: dict[str, int], accelerator: Accelerator, tell: Tell
) -> tuple[list[Example], np.ndarray | None]:
    """The texts that are trained on, and the teacher's opinion of each, where there is a teacher."""
    examples = [*split.examples, *unlabelled_of(read.data)]
    if read.teacher is None or split.labels is None:
        return examples, None
    if read.data.variants:
        near = neighbours_of(read.teacher.checkpoint, words)
        examples += variants_of(split.examples, read.data.variants, read.seed, near)
    kept = read.teacher.opinions or run.opinions
    return examples, opinions_of(read.teacher.checkpoint, examples, len(split.labels), accelerator, kept, tell)


def finetuned_model(
    table: ModelTable, task: Task, labels: tuple[str, ...] | None, *, vocabulary: dict[str, int], seed: int
) -> nn.Module:
    """A model for a task: a checkpoint's backbone, or a new one, with a new head.

    Args:
        table: What the recipe says.
        task: The task.
        labels: The labels' names; none for a regression, None where the task has no labels.
        vocabulary: The tokenizer's.
        seed: Of new weights.
    """
    vocab_size = len(vocabulary)
    changes = {} if labels is None else {"num_labels": len(labels) or 1}
    backbone = None
    if table.checkpoint is None:
        config = config_of(table, "model", architectures=[task.architecture], vocab_size=vocab_size, **changes)
    else:
        if is_foreign(table.checkpoint):
            return foreign_model(table.checkpoint, task, labels)
        loaded = load_checkpoint(table.checkpoint, task=FEATURE_EXTRACTION.name)
        assert isinstance(loaded.model, MobileBertModel)
        backbone, config = loaded.model, loaded.config
        config.architectures = [task.architecture]
        if changes:
            config.num_labels = changes["num_labels"]
    if labels:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: number for number, label in enumerate(labels)}
    check_words(config, table, "model", vocab_size)
    model = new_model(config, task, "model", seed=seed)
    if backbone is not None:
        model.mobilebert.load_state_dict(backbone.state_dict(), strict=False)  # type: ignore[union-attr]
    if table.word_embeddings is not None:
        assert isinstance(model.mobilebert, MobileBertModel)
        take_words(model.mobilebert, vocabulary, table.word_embeddings, table.word_layer)
    return model


def _tokenizer_of(read: FinetuneRecipe) -> TokenizerTable:
    if read.tokenizer is not None:
        if read.tokenizer.folder is None:
            raise UsageError(
                "tokenizer has vocab_size; finetune takes a folder, since words are learnt in pre-training"
            )
        return read.tokenizer
    if read.model.checkpoint is None:
        raise UsageError("tokenizer is missing, which a model from a preset needs; give its folder")
    return TokenizerTable(folder=checkpoint_folder(read.model.checkpoint))


def _steps(read: FinetuneRecipe, rows: Rows, accelerator: Accelerator) -> int:
    table = read.training
    if table.steps is not None:
        return table.steps
    assert table.epochs is not None
    a_step = table.batch_size * table.accumulate * accelerator.num_processes
    return max(math.ceil(table.epochs * len(rows) / a_step), 1)
