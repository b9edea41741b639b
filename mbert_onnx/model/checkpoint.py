"""Loads and saves checkpoints: a student with its weights, from a folder, the hub or a built-in name."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import MobileBertConfig
from transformers.activations import ACT2FN

from mbert_onnx.errors import CheckpointError, UsageError
from mbert_onnx.model import student
from mbert_onnx.model.presets import PRESETS, initialize, mobilebert_config
from mbert_onnx.model.teacher import IBBertConfig
from mbert_onnx.model.weights import LM_BIAS, LM_DECODER_BIAS, fit, read_weights
from mbert_onnx.reference import REFERENCE, located
from mbert_onnx.text.tasks import FEATURE_EXTRACTION, QUESTION_ANSWERING, Task, task_named, task_of_architectures

# Files that are downloaded from a hub repository: configuration, tokenizer, weights.
HUB_FILES = ["*.json", "*.txt", "*.safetensors", "pytorch_model*.bin"]

POOLER = "pooler.dense.weight"

# Config classes by `model_type`: the student, and the teacher, which only this project has.
CONFIGS: dict[str, type[MobileBertConfig]] = {"mobilebert": MobileBertConfig, "ib_bert": IBBertConfig}

HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True)
class Checkpoint:
    """A student with weights, float32, in evaluation mode.

    Args:
        name: The name that the user gave.
        folder: The folder of its files; None for a random model.
        config: Its config; `architectures` names the class of `task`.
        task: Its task.
        model: Its module.
        notes: Notes for the user about how it was read, a line each.
    """

    name: str
    folder: Path | None
    config: MobileBertConfig
    task: Task
    model: nn.Module
    notes: list[str] = field(default_factory=list)

    @property
    def pooler(self) -> student.Pooler | None:
        """The model's pooler; None for tasks without one."""
        model = self.model
        backbone = model if isinstance(model, student.MobileBertModel) else model.mobilebert
        assert isinstance(backbone, student.MobileBertModel)
        return backbone.pooler


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Writes the weights and the config as transformers' `save_pretrained` does; no tokenizer."""
    # Each tensor once, under its first name: transformers reads a tied decoder from the word embeddings.
    tensors = {name: parameter.detach() for name, parameter in checkpoint.model.named_parameters()}
    if LM_BIAS in tensors and not checkpoint.config.tie_word_embeddings:
        tensors[LM_DECODER_BIAS] = tensors[LM_BIAS].clone()  # a tensor of its own in transformers 5
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    checkpoint.config.save_pretrained(folder)


def load_checkpoint(name: str | Path, *, task: str | None = None, seed: int = 0) -> Checkpoint:
    """Reads a checkpoint.

    Args:
        name: A folder in transformers' format, the id of a hub repository, or a built-in name: `reference`, a small
            MobileBERT for sentiment; `random`, `random:tiny`: the paper's architectures with random weights;
            `random:layer-norm`, `random:gelu` and `random:layer-norm-gelu`: the variants before its operational
            optimizations.
        task: A task's name or alias; default: what the config's `architectures` says; question answering for random.
        seed: Seed of random weights.

    Raises:
        CheckpointError: no such checkpoint, not a MobileBERT, or weights that do not fit.
        UsageError: an unknown task or preset.
    """
    wanted = None if task is None else task_named(task)
    if str(name).partition(":")[0] == "random":
        return _random(str(name), wanted or QUESTION_ANSWERING, seed)
    folder = checkpoint_folder(name)
    raw = _read_config(folder)
    architectures = raw.get("architectures")
    named = architectures if isinstance(architectures, list) else []
    found = task_of_architectures([name for name in named if isinstance(name, str)])
    chosen = wanted or found
    if chosen is None:
        raise CheckpointError(
            f"{name}: config.json has architectures {architectures}, none of them a MobileBERT's; "
            f"pass --task, one of transformers' names such as {QUESTION_ANSWERING.name} or {FEATURE_EXTRACTION.name}"
        )
    config = _config(str(name), raw, chosen)
    tensors = read_weights(folder)
    # Embeddings need no pooler, and most task checkpoints have none.
    pooler = not config.classifier_activation or any(key.endswith(POOLER) for key in tensors)
    try:
        model = build(config, chosen, empty=True, pooler=pooler)
    except Exception as error:  # a fault that no check above covers; torch's layers raise several classes
        raise CheckpointError(f"{name}: config.json cannot be built: {' '.join(str(error).split())}") from error
    weights, notes = fit(tensors, model, chosen, config, str(name))
    if chosen is FEATURE_EXTRACTION and not pooler:
        notes.append("the checkpoint has no pooler, so there is no pooler_output")
    model.load_state_dict(weights, strict=True, assign=True)
    retie(model)
    return Checkpoint(str(name), folder, config, chosen, model.eval(), notes)


def build(config: MobileBertConfig, task: Task, *, empty: bool, pooler: bool = True) -> nn.Module:
    """Builds the student for a task; `empty` allocates no weights, `pooler` is about the bare model only."""
    options = {"add_pooling_layer": pooler} if task is FEATURE_EXTRACTION else {}
    with torch.device("meta" if empty else "cpu"):
        model = getattr(student, task.architecture)(config, **options)
    assert isinstance(model, nn.Module)
    return model.requires_grad_(False)


def retie(model: nn.Module) -> None:
    """Ties the LM head's decoder to the word embeddings again, after weights were assigned."""
    heads = getattr(model, "cls", None)
    if isinstance(heads, student.PretrainingHeads) and hasattr(heads, "predictions"):
        heads.predictions.decoder.bias = heads.predictions.bias
        heads.tie(model.mobilebert)  # type: ignore[arg-type]


def _random(name: str, task: Task, seed: int) -> Checkpoint:
    preset = name.partition(":")[2] or "mobilebert"
    if preset not in PRESETS:
        known = ", ".join(f"random:{other}" for other in PRESETS if other != "mobilebert")
        raise UsageError(f"no built-in model is called {name!r}; known: {REFERENCE}, random, {known}")
    config = mobilebert_config(preset, architectures=[task.architecture])
    model = build(config, task, empty=False)
    initialize(model, config, seed)
    return Checkpoint(name, None, config, task, model.eval(), ["random weights: its answers mean nothing"])


def checkpoint_folder(name: str | Path) -> Path:
    """Returns the folder of a checkpoint's files, after a download from the hub if needed. Raises CheckpointError."""
    path = located(name)
    if path.is_dir() and str(name):  # an empty name would be the current folder
        return path
    if path.is_file():
        raise CheckpointError(f"{name} is a file; expected a folder with config.json and weights, or a hub id")
    if isinstance(name, Path) or not HUB_ID.fullmatch(name):
        raise CheckpointError(
            f"{name}: no such folder; expected one with config.json and weights, a hub id, or a built-in name: "
            f"{REFERENCE}, random"
        )
    return _download(name)


def _download(name: str) -> Path:
    from huggingface_hub import errors as hub
    from huggingface_hub import snapshot_download

    # The hub's own messages have up to 300 characters, with URLs and advice about other things.
    reasons = {
        hub.GatedRepoError: "log in with `hf auth login`, after its terms are accepted on its page",
        hub.RepositoryNotFoundError: "the hub has no such repository, or it is private",
        hub.LocalEntryNotFoundError: "the hub cannot be reached, and its cache has no copy",
        hub.HFValidationError: "this is not a hub id",
    }
    try:
        return Path(snapshot_download(name, allow_patterns=HUB_FILES))
    except (hub.HfHubHTTPError, hub.HFValidationError, hub.LocalEntryNotFoundError, OSError) as error:
        said = " ".join(str(error).split()).split(". ")[0] or type(error).__name__
        reason = next((reason for kind, reason in reasons.items() if isinstance(error, kind)), said)
        raise CheckpointError(f"{name}: no such folder, and it cannot be downloaded from the hub ({reason})") from error


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise CheckpointError(
            f"{folder} has no config.json; expected a folder that transformers' save_pretrained wrote"
        )
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # not UTF-8, not JSON, a number of 5,000 digits, nested too deeply
        raise CheckpointError(f"{path} is not valid JSON ({error}); save the checkpoint again") from error
    if not isinstance(raw, dict):
        raise CheckpointError(f"{path} holds a {type(raw).__name__}, expected a JSON object; save the checkpoint again")
    found = raw.get("model_type")
    if found not in CONFIGS:
        raise CheckpointError(
            f"{path}: model_type is {found!r}, expected 'mobilebert'; only MobileBERT is exported here"
        )
    return raw


def _config(name: str, raw: dict[str, Any], task: Task) -> MobileBertConfig:
    try:
        config = CONFIGS[raw["model_type"]].from_dict({**raw, "architectures": [task.architecture]})
    except Exception as error:  # transformers' checks raise several classes
        raise CheckpointError(f"{name}: config.json is not a MobileBERT's: {' '.join(str(error).split())}") from error
    check_config(config, name)
    if task is QUESTION_ANSWERING and config.num_labels != 2:
        raise CheckpointError(
            f"{name}: question answering has 2 labels (start, end), config.json has {config.num_labels}"
        )
    return config


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


def check_config(config: MobileBertConfig, name: str) -> None:
    """Raises CheckpointError for a config that transformers' own module cannot be built from either."""
    for key in POSITIVE:
        value = getattr(config, key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise CheckpointError(f"{name}: config.json has {key} = {value!r}, expected an integer of at least 1")
    problems = [
        (
            config.normalization_type not in ("no_norm", "layer_norm"),
            f"normalization_type is {config.normalization_type!r}, expected no_norm or layer_norm",
        ),
        (
            not isinstance(config.hidden_act, str) or config.hidden_act not in ACT2FN,
            f"hidden_act is {config.hidden_act!r}, which transformers does not know",
        ),
        (
            not isinstance(config.layer_norm_eps, int | float),
            f"layer_norm_eps is {config.layer_norm_eps!r}, expected a number",
        ),
        (
            student.intra_size(config) % config.num_attention_heads != 0,
            f"{config.num_attention_heads} heads do not divide {student.intra_size(config)} channels",
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
            f"embedding_size {config.embedding_size} is larger than hidden_size {config.hidden_size}",
        ),
        (getattr(config, "is_decoder", False), "is_decoder is true; MobileBERT's attention is bidirectional"),
    ]
    for wrong, line in problems:
        if wrong:
            raise CheckpointError(f"{name}: config.json cannot be built: {line}")
