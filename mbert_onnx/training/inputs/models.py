"""Models of a recipe: loading, building and initialization before training, saving after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import MobileBertConfig, PretrainedConfig, PreTrainedModel

from mbert_onnx.errors import CheckpointError, UsageError
from mbert_onnx.model.checkpoint import Checkpoint, build, load_checkpoint, save_checkpoint
from mbert_onnx.model.checkpoint_files.config_file import check_config
from mbert_onnx.model.padding import pad_with, padding_token_in, zero_padding
from mbert_onnx.model.presets import PRESETS, mobilebert_config
from mbert_onnx.model.student import MobileBertForPreTraining, MobileBertModel
from mbert_onnx.model.teacher import TEACHERS, teacher_config
from mbert_onnx.model.tokenizer_files import write_tokenizer
from mbert_onnx.text.tasks import PRETRAINING, Task
from mbert_onnx.training.inputs.word_embeddings import copy_word_embeddings
from mbert_onnx.training.recipe import ModelTable


def pretraining_model(
    table: ModelTable, where: str, *, vocabulary: dict[str, int], seed: int
) -> MobileBertForPreTraining:
    """Returns a model with the heads of pre-training; arguments and errors as of `task_model`."""
    model = task_model(table, PRETRAINING, where, vocabulary=vocabulary, seed=seed)
    assert isinstance(model, MobileBertForPreTraining)
    return model


def task_model(table: ModelTable, task: Task, where: str, *, vocabulary: dict[str, int], seed: int) -> nn.Module:
    """Returns a model for a task: a checkpoint, or a new one.

    Args:
        table: `[model]` or `[student]` of the recipe.
        task: The task; not that of the bare model.
        where: Name of the table, for errors.
        vocabulary: Vocabulary of the tokenizer. A new model gets its size; a checkpoint must have at least its size.
        seed: Random seed of new weights.

    Raises UsageError for an unknown preset or key, CheckpointError for a checkpoint that does not fit.
    """
    if table.checkpoint is not None:
        model = load_checkpoint(table.checkpoint, task=task.name).model.requires_grad_(True)
    else:
        config = config_of(table, where, architectures=[task.architecture], vocab_size=len(vocabulary))
        model = new_model(config, task, where, seed=seed)
    check_vocabulary(config_in(model), table, where, len(vocabulary))
    if table.word_embeddings is not None:
        assert isinstance(model.mobilebert, MobileBertModel)
        copy_word_embeddings(model.mobilebert, vocabulary, table.word_embeddings, table.word_layer)
    pad_with(model, padding_token_in(vocabulary))
    return model


def new_model(config: MobileBertConfig, task: Task, where: str, *, seed: int | None) -> nn.Module:
    """Builds a model with random weights, or without weights and their memory if `seed` is None.

    Raises UsageError, which contains `where`, for a config from which no model can be built.
    """
    try:
        model = build(config, task, empty=seed is None).requires_grad_(True)
        if seed is not None:
            initialize(model, config, seed)
    except Exception as error:  # torch's layers raise errors of several kinds, also for lack of memory
        raise UsageError(f"{where}: no model can be built from this config ({' '.join(str(error).split())})") from error
    return model


def check_vocabulary(config: PretrainedConfig, table: ModelTable, where: str, words: int) -> None:
    """Raises CheckpointError for a model whose vocabulary is smaller than its tokenizer's."""
    if config.vocab_size < words:
        advice = "leave vocab_size out of config"
        if table.checkpoint is not None:
            advice = "give the tokenizer with which it was trained"
        raise CheckpointError(
            f"{where}: {table.checkpoint or table.preset} has {config.vocab_size} words, the tokenizer {words}; "
            f"{advice}"
        )


def check_rows(model: nn.Module, where: str, *, max_length: int, pairs: bool) -> None:
    """Raises UsageError for a model with too few positions for the rows, or without token types for pairs."""
    config = config_in(model)
    positions, types = config.max_position_embeddings, getattr(config, "type_vocab_size", 2)
    if max_length > positions:
        raise UsageError(
            f"data.max_length is {max_length}, but the {where} has {positions} positions; give at most that"
        )
    if pairs and types < 2:
        raise UsageError(f"rows have two parts, but the {where} has type_vocab_size {types}; it needs 2")


def config_of(table: ModelTable, where: str, **changes: Any) -> MobileBertConfig:
    """Returns the config of a preset with the recipe's changes.

    Raises UsageError for an unknown preset or key, or a value with which no model can be built.
    """
    assert table.preset is not None
    if table.preset not in (*PRESETS, *TEACHERS):
        known = ", ".join((*PRESETS, *TEACHERS))
        raise UsageError(f"{where}: preset is {table.preset!r}; expected one of {known}")
    build_config = teacher_config if table.preset in TEACHERS else mobilebert_config
    known_keys = build_config(table.preset).to_dict()
    for key in table.config:
        if key not in known_keys:
            raise UsageError(
                f"{where}: config has {key}, which is not a key of {type(build_config(table.preset)).__name__}"
            )
    try:
        config = build_config(table.preset, **{**changes, **table.config})
    except Exception as error:  # transformers raises errors of several kinds
        raise UsageError(f"{where}: config cannot be read ({' '.join(str(error).split())}); correct it") from error
    try:
        check_config(config, where)
    except CheckpointError as error:
        raise UsageError(str(error)) from error
    return config


def initialize(model: nn.Module, config: MobileBertConfig, seed: int) -> None:
    """Initializes weights in place: matrices are normally distributed; biases, β and padding are 0; γ is 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("LayerNorm.weight"):
                parameter.fill_(1.0)
            elif parameter.dim() == 1:
                parameter.zero_()
            else:
                parameter.normal_(0.0, config.initializer_range, generator=generator)
    zero_padding(model)


def config_in(model: nn.Module) -> PretrainedConfig:
    """Returns the config of a model."""
    config = model.config
    assert isinstance(config, PretrainedConfig)
    return config


def save_model(model: nn.Module, task: Task, tokenizer: Path, folder: Path) -> None:
    """Writes a trained model in transformers' format, with its tokenizer."""
    config = config_in(model)
    if isinstance(model, PreTrainedModel):  # another BERT, in transformers' own class
        model.save_pretrained(folder)
        write_tokenizer(tokenizer, folder, 0, int(getattr(config, "max_position_embeddings", 0)))
        return
    assert isinstance(config, MobileBertConfig)
    config.architectures = [task.architecture]
    save_checkpoint(Checkpoint(str(folder), folder, config, task, model.eval()), folder)
    write_tokenizer(tokenizer, folder, config.vocab_size, config.max_position_embeddings)
