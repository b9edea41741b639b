"""Reads a checkpoint's config.json, and compares its sizes and labels with the tensors before anything is built."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import MobileBertConfig
from transformers.activations import ACT2FN

from mbert_onnx.errors import CheckpointError
from mbert_onnx.model import student
from mbert_onnx.model.checkpoint_files.tensor_names import modern_names
from mbert_onnx.model.teacher import IBBertConfig
from mbert_onnx.text.json_files import brief, read_json
from mbert_onnx.text.labels import label_names
from mbert_onnx.text.tasks import QUESTION_ANSWERING, TEXT_CLASSIFICATION, TOKEN_CLASSIFICATION, Task

# Config classes by `model_type`: the student, and the teacher, which only this project has.
CONFIGS: dict[str, type[MobileBertConfig]] = {"mobilebert": MobileBertConfig, "ib_bert": IBBertConfig}

POSITIVE = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "intra_bottleneck_size",
    "embedding_size",
    "max_position_embeddings",
    "type_vocab_size",
    "num_feedforward_networks",
)

# Names of the weights' type; transformers reads both, the second in newer versions.
TYPES = ("torch_dtype", "dtype")

# Tensors whose axes are sizes of the config.
_EMBEDDINGS, _LAYER = "mobilebert.embeddings", "mobilebert.encoder.layer.0"
SIZES = {
    "vocab_size": (f"{_EMBEDDINGS}.word_embeddings.weight", 0),
    "embedding_size": (f"{_EMBEDDINGS}.word_embeddings.weight", 1),
    "max_position_embeddings": (f"{_EMBEDDINGS}.position_embeddings.weight", 0),
    "hidden_size": (f"{_EMBEDDINGS}.position_embeddings.weight", 1),
    "type_vocab_size": (f"{_EMBEDDINGS}.token_type_embeddings.weight", 0),
    "intermediate_size": (f"{_LAYER}.intermediate.dense.weight", 0),
    "intra_bottleneck_size": (f"{_LAYER}.bottleneck.input.dense.weight", 0),
}
LABELS = "classifier.weight"

# Characters of another library's message that are shown.
LONGEST_REASON = 300

# One tensor of each layer, and of each feed-forward network of the first layer but its last.
_A_LAYER = re.compile(r"mobilebert\.encoder\.layer\.(\d+)\.attention\.self\.query\.weight")
_A_NETWORK = re.compile(r"mobilebert\.encoder\.layer\.0\.ffn\.(\d+)\.intermediate\.dense\.weight")


def read_config(folder: Path) -> dict[str, Any]:
    """Returns the content of a folder's config.json. Raises CheckpointError if it is not a MobileBERT's."""
    path = folder / "config.json"
    try:
        raw = read_json(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}); copy the checkpoint again") from error
    except ValueError as error:
        # Not an error of JSON's: values that are nested too deeply, or absurd numbers.
        what = "is not valid JSON" if isinstance(error, json.JSONDecodeError | UnicodeDecodeError) else "cannot be read"
        raise CheckpointError(f"{path} {what} ({error}); save the checkpoint again") from error
    if not isinstance(raw, dict):
        raise CheckpointError(f"{path} holds a {type(raw).__name__}, expected a JSON object; save the checkpoint again")
    found = raw.get("model_type")
    if not isinstance(found, str) or found not in CONFIGS:
        raise CheckpointError(
            f"{path}: model_type is {brief(found)}, expected 'mobilebert'; only MobileBERT is exported here"
        )
    return raw


def make_config(
    name: str, raw: Mapping[str, Any], task: Task, tensors: Mapping[str, Tensor]
) -> tuple[MobileBertConfig, list[str]]:
    """Returns the config of a checkpoint for a task, and notes on its labels.

    Sizes are compared with the tensors first, since building a model of absurd ones takes forever, or all memory.

    Raises CheckpointError for a config that no model can be built from, or that contradicts the tensors.
    """
    found = modern_names(tensors)
    for key in POSITIVE:
        if key in raw:
            _check_size(name, key, raw[key])
    for key in TYPES:
        _check_type(name, key, raw.get(key))
    values = {**raw, "architectures": [task.architecture]}
    notes = _fit_labels(name, values, task, found)
    try:
        config = CONFIGS[raw["model_type"]].from_dict(values)
        config.to_json_string()  # as it is written into the bundle, at the end of an export
    except Exception as error:  # transformers' checks raise several classes
        raise CheckpointError(f"{name}: config.json is not a MobileBERT's: {reason_of(error)}") from error
    check_config(config, name)
    _compare_sizes(name, config, found)
    if task is QUESTION_ANSWERING and config.num_labels != 2:
        raise CheckpointError(
            f"{name}: question answering has 2 labels (start, end), config.json has {config.num_labels}"
        )
    return config, notes


def reason_of(error: Exception) -> str:
    """Returns the message of another library's error in one short line; it may quote a value of any length."""
    line = " ".join(str(error).split()) or type(error).__name__
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}…"


def _check_size(name: str, key: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CheckpointError(f"{name}: config.json has {key} = {brief(value)}, expected an integer of at least 1")


def _check_type(name: str, key: str, value: object) -> None:
    known = isinstance(value, str) and isinstance(getattr(torch, value, None), torch.dtype)
    if value is not None and not known:
        raise CheckpointError(
            f"{name}: config.json has {key} = {brief(value)}, expected a type of torch such as 'float32'; correct it, "
            "or remove it"
        )


def _compare_sizes(name: str, config: MobileBertConfig, found: Mapping[str, Tensor]) -> None:
    """Raises CheckpointError for a size that the tensors do not have; tensors that are missing are not its subject."""
    layers = len(_numbers(_A_LAYER, found))
    if layers:
        _compare(name, config, "num_hidden_layers", layers, f"the weights are those of {layers} layers")
        networks = len(_numbers(_A_NETWORK, found)) + 1
        line = f"the weights of layer 0 are those of {networks} feed-forward networks"
        _compare(name, config, "num_feedforward_networks", networks, line)
    # Also where no name is one of MobileBERT's: each network of each layer has tensors of its own.
    if config.num_hidden_layers * config.num_feedforward_networks > len(found):
        raise CheckpointError(
            f"{name}: config.json has num_hidden_layers = {brief(config.num_hidden_layers)} and "
            f"num_feedforward_networks = {brief(config.num_feedforward_networks)}, but there are only {len(found)} "
            "tensors; correct it"
        )
    for key, (tensor, axis) in SIZES.items():
        shape = list(found[tensor].shape) if tensor in found else []
        if axis < len(shape):
            _compare(name, config, key, shape[axis], f"{tensor} is {shape}")
    numbers = sum(tensor.numel() for tensor in found.values())
    for key in POSITIVE:
        if getattr(config, key) > numbers:
            raise CheckpointError(
                f"{name}: config.json has {key} = {brief(getattr(config, key))}, but all tensors together have only "
                f"{numbers} numbers; correct it"
            )


def _compare(name: str, config: MobileBertConfig, key: str, found: int, line: str) -> None:
    if getattr(config, key) != found:
        raise CheckpointError(f"{name}: config.json has {key} = {brief(getattr(config, key))}, but {line}; correct it")


def _largest(found: Mapping[str, Tensor]) -> int:
    """Returns the largest dimension of all tensors."""
    return max((size for tensor in found.values() for size in tensor.shape), default=0)


def _numbers(pattern: re.Pattern[str], names: Mapping[str, Tensor]) -> set[int]:
    return {int(match[1]) for match in map(pattern.fullmatch, names) if match}


def _fit_labels(name: str, values: dict[str, Any], task: Task, found: Mapping[str, Tensor]) -> list[str]:
    """Gives `id2label` and `label2id` one entry for each output of a classifier; returns notes.

    A number of labels without names must be that of the outputs: transformers makes as many names.
    """
    outputs = found[LABELS].shape[0] if LABELS in found and found[LABELS].dim() else None
    classifies = task in (TEXT_CLASSIFICATION, TOKEN_CLASSIFICATION)
    id2label, count = values.get("id2label"), values.get("num_labels")
    if id2label is None and count is not None:
        _check_size(name, "num_labels", count)
        if classifies and outputs not in (None, count):
            what = f"{LABELS} is {list(found[LABELS].shape)}"
        elif count > _largest(found):
            what = f"no tensor is larger than {_largest(found)} in one dimension"
        else:
            return []
        raise CheckpointError(f"{name}: config.json has num_labels = {brief(count)}, but {what}; correct it")
    if id2label is None or outputs is None or not classifies:
        return []
    try:
        names, note = label_names(id2label, outputs)
    except ValueError as error:
        raise CheckpointError(f"{name}: config.json's {error}; correct it") from error
    values["id2label"] = names
    values["label2id"] = {label: number for number, label in names.items()}
    values.pop("num_labels", None)
    return [] if note is None else [note]


def check_config(config: MobileBertConfig, name: str) -> None:
    """Raises CheckpointError for a config that transformers' own module cannot be built from either."""
    for key in POSITIVE:
        _check_size(name, key, getattr(config, key))
    problems = [
        (
            config.normalization_type not in ("no_norm", "layer_norm"),
            f"normalization_type is {brief(config.normalization_type)}, expected no_norm or layer_norm",
        ),
        (
            not isinstance(config.hidden_act, str) or config.hidden_act not in ACT2FN,
            f"hidden_act is {brief(config.hidden_act)}, which transformers does not know",
        ),
        (
            not isinstance(config.layer_norm_eps, int | float) or not 0 <= config.layer_norm_eps <= 1,
            f"layer_norm_eps is {brief(config.layer_norm_eps)}, expected a number from 0 to 1",
        ),
        (
            student.intra_size(config) % config.num_attention_heads != 0,
            f"{brief(config.num_attention_heads)} heads do not divide {brief(student.intra_size(config))} channels",
        ),
        (
            config.use_bottleneck
            and not config.use_bottleneck_attention
            and not config.key_query_shared_bottleneck
            and config.intra_bottleneck_size != config.hidden_size
            and not isinstance(config, IBBertConfig),
            "key_query_shared_bottleneck is false: queries read hidden_size channels, and have weights for "
            "intra_bottleneck_size; set use_bottleneck_attention, or make both sizes equal",
        ),
        (
            config.embedding_size > config.hidden_size,
            f"embedding_size {brief(config.embedding_size)} is larger than hidden_size {brief(config.hidden_size)}",
        ),
        (
            isinstance(config.pad_token_id, int) and config.pad_token_id >= config.vocab_size,
            f"pad_token_id is {brief(config.pad_token_id)}, but there are {config.vocab_size} word embeddings, from 0; "
            "make it the id of a padding token that has one, or resize the embeddings and train the model",
        ),
        (getattr(config, "is_decoder", False), "is_decoder is true; MobileBERT's attention is bidirectional"),
    ]
    for wrong, line in problems:
        if wrong:
            raise CheckpointError(f"{name}: config.json cannot be built: {line}")
