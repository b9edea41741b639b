"""Loads and saves checkpoints: a student with its weights, from a folder, the hub or a built-in name."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import MobileBertConfig

from mbert_onnx.errors import CheckpointError, UsageError
from mbert_onnx.model import student
from mbert_onnx.model.checkpoint_files.config_file import make_config, read_config, reason_of
from mbert_onnx.model.checkpoint_files.other_formats import foreign_weights, what_it_is
from mbert_onnx.model.checkpoint_files.sentence_files import write_sentence_files
from mbert_onnx.model.checkpoint_files.tensor_names import PREFIX
from mbert_onnx.model.checkpoint_files.weights import LM_BIAS, LM_DECODER_BIAS, SINGLE, find_weights, fit, read_weights
from mbert_onnx.model.presets import PRESETS, initialize, mobilebert_config
from mbert_onnx.reference import FOLDERS, located
from mbert_onnx.text.json_files import brief
from mbert_onnx.text.sentence_embedding import EmbeddingSettings, SentenceModules, default_settings, read_modules
from mbert_onnx.text.tasks import (
    FEATURE_EXTRACTION,
    QUESTION_ANSWERING,
    SENTENCE_SIMILARITY,
    Task,
    task_named,
    task_of_architectures,
)

# Files that are downloaded from a hub repository: configuration, tokenizer, weights.
HUB_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "pytorch_model*.bin"]

CONFIG, ADAPTER = "config.json", "adapter_config.json"
POOLER = "pooler.dense.weight"

# Tasks of the bare model, which a sentence-transformers folder has.
BARE = (FEATURE_EXTRACTION, SENTENCE_SIMILARITY)

BUILT_IN = ", ".join(FOLDERS)

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
        modules: The modules of a sentence-transformers folder, unless another task was asked for.
        embedding: For sentence similarity: how texts become vectors. Default: by all tokens that the model reads.
    """

    name: str
    folder: Path | None
    config: MobileBertConfig
    task: Task
    model: nn.Module
    notes: list[str] = field(default_factory=list)
    modules: SentenceModules | None = None
    embedding: EmbeddingSettings | None = None

    @property
    def pooler(self) -> student.Pooler | None:
        """The model's pooler; None for tasks without one."""
        return backbone_of(self.model).pooler

    def sentence_embedding(self) -> tuple[EmbeddingSettings | None, list[str]]:
        """Returns how texts become vectors, as in sentence-transformers, or None if it is not its model; and notes.

        Raises CheckpointError for a model of sentence-transformers whose embeddings are computed in another way.
        """
        if isinstance(self.model, student.MobileBertForSentenceSimilarity) and self.modules is None:
            longest = self.config.max_position_embeddings
            return self.embedding or EmbeddingSettings(longest, self.model.pooling.normalize), []
        if self.modules is None:
            return None, []
        if self.task in BARE:
            return self.modules.embedding_settings(self.config.max_position_embeddings)
        if len(self.modules.modules) > 1:
            raise self.modules.refusal()
        return None, []


def backbone_of(model: nn.Module) -> student.MobileBertModel:
    """Returns the bare model of a task's model; a bare model itself."""
    backbone = model if isinstance(model, student.MobileBertModel) else model.mobilebert
    assert isinstance(backbone, student.MobileBertModel)
    return backbone


def save_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Writes the weights and the config as transformers' `save_pretrained` does; no tokenizer.

    A model for sentence similarity becomes a folder of sentence-transformers, whose first module is the bare model.
    """
    # Each tensor once, under its first name: transformers reads a tied decoder from the word embeddings.
    tensors = {name: parameter.detach() for name, parameter in checkpoint.model.named_parameters()}
    if LM_BIAS in tensors and not checkpoint.config.tie_word_embeddings:
        tensors[LM_DECODER_BIAS] = tensors[LM_BIAS].clone()  # a tensor of its own in transformers 5
    if checkpoint.task is SENTENCE_SIMILARITY:
        tensors = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    write_config(checkpoint, folder)


def write_config(checkpoint: Checkpoint, folder: Path) -> None:
    """Writes config.json, and the list of modules of a model for sentence similarity with their settings."""
    checkpoint.config.save_pretrained(folder)
    settings, _ = checkpoint.sentence_embedding()
    if checkpoint.task is SENTENCE_SIMILARITY and settings is not None:
        whole = None if checkpoint.modules is None else checkpoint.modules.whole
        write_sentence_files(folder, settings, checkpoint.config.hidden_size, whole)


def load_checkpoint(name: str | Path, *, task: str | None = None, seed: int = 0) -> Checkpoint:
    """Reads a checkpoint.

    Args:
        name: A folder in transformers' format, the id of a hub repository, or a built-in name: `reference` and
            `reference:embed`, small MobileBERTs for sentiment and for sentence embeddings; `random`, `random:tiny`: the
            paper's architectures with random weights; `random:layer-norm`, `random:gelu` and `random:layer-norm-gelu`:
            the variants before its operational optimizations.
        task: A task's name or alias; default: what the config's `architectures` says; question answering for random.
        seed: Seed of random weights.

    Raises:
        CheckpointError: no such checkpoint, not a MobileBERT, or weights that do not fit.
        UsageError: an unknown task or preset.
    """
    wanted = None if task is None else task_named(task)
    if str(name).partition(":")[0] == "random":
        return _random(str(name), wanted or QUESTION_ANSWERING, seed)
    folder, modules = _located(name)
    if not (folder / CONFIG).is_file():
        if modules is not None and not modules.embeds:
            raise modules.refusal()
        raise CheckpointError(_what_it_is(name, folder, CONFIG, "a folder that transformers' save_pretrained wrote"))
    raw = read_config(folder)
    file = find_weights(folder)
    if file is None:
        raise CheckpointError(_what_it_is(name, folder, "weights", f"{' or '.join(SINGLE)}, whole or in shards"))
    foreign = foreign_weights(str(name), folder, file)
    if foreign is not None:
        raise CheckpointError(foreign)
    architectures = raw.get("architectures")
    named = architectures if isinstance(architectures, list) else []
    # TensorFlow's and Flax's classes have the same names, after a prefix.
    found = task_of_architectures(
        [name.removeprefix("TF").removeprefix("Flax") for name in named if isinstance(name, str)]
    )
    if modules is not None and modules.embeds:
        found = SENTENCE_SIMILARITY  # sentence-transformers loads the bare model, whatever the config says
    chosen = wanted or found
    if chosen is None:
        raise CheckpointError(
            f"{name}: config.json has architectures {brief(architectures)}, none of them a MobileBERT's; "
            f"pass --task, one of transformers' names such as {QUESTION_ANSWERING.name} or {FEATURE_EXTRACTION.name}"
        )
    tensors, notes, removed = read_weights(file)
    notes += removed
    if (folder / ADAPTER).is_file():
        notes.append(f"{ADAPTER} is not applied: the weights are those of {file.name}")
    config, more = make_config(str(name), raw, chosen, tensors)
    notes += more
    modules = modules if wanted in (None, *BARE) else None
    embedding, more = _embedding(str(name), folder, modules, chosen, config)
    notes += more
    # Embeddings need no pooler, and most task checkpoints have none.
    pooler = not config.classifier_activation or any(key.endswith(POOLER) for key in tensors)
    try:
        model = build(config, chosen, empty=True, pooler=pooler, normalize=embedding is None or embedding.normalize)
    except Exception as error:  # a fault that no check above covers; torch's layers raise several classes
        raise CheckpointError(f"{name}: config.json cannot be built: {reason_of(error)}") from error
    try:
        weights, more = fit(tensors, model, chosen, config, str(name))
    except CheckpointError as error:  # with what was done to the names, which the message lists
        raise CheckpointError(f"{error}{f' ({removed[0]})' if removed else ''}") from None
    notes += more
    if chosen is FEATURE_EXTRACTION and not pooler:
        notes.append("the checkpoint has no pooler, so there is no pooler_output")
    model.load_state_dict(weights, strict=True, assign=True)
    retie(model)
    return Checkpoint(str(name), folder, config, chosen, model.eval(), notes, modules, embedding)


def _embedding(
    name: str, folder: Path, modules: SentenceModules | None, task: Task, config: MobileBertConfig
) -> tuple[EmbeddingSettings | None, list[str]]:
    """Returns how a model for sentence similarity makes vectors, and notes unless its modules say it.

    Raises CheckpointError for modules of another kind.
    """
    if task is not SENTENCE_SIMILARITY:
        return None, []
    if modules is None:
        return default_settings(name, folder, config.max_position_embeddings)
    return modules.embedding_settings(config.max_position_embeddings)[0], []


def build(
    config: MobileBertConfig, task: Task, *, empty: bool, pooler: bool = True, normalize: bool = True
) -> nn.Module:
    """Builds the student for a task.

    Args:
        config: Its config.
        task: The task.
        empty: Whether to allocate no weights.
        pooler: Whether the bare model has a pooler.
        normalize: Whether vectors of sentences have length 1.
    """
    options: dict[str, bool] = {}
    if task is FEATURE_EXTRACTION:
        options = {"add_pooling_layer": pooler}
    elif task is SENTENCE_SIMILARITY:
        options = {"normalize": normalize}
    with torch.device("meta" if empty else "cpu"):
        model = getattr(student, task.student or task.architecture)(config, **options)
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
        raise UsageError(f"no built-in model is called {name!r}; known: {BUILT_IN}, random, {known}")
    config = mobilebert_config(preset, architectures=[task.architecture])
    model = build(config, task, empty=False)
    initialize(model, config, seed)
    return Checkpoint(name, None, config, task, model.eval(), ["random weights: its answers mean nothing"])


def checkpoint_folder(name: str | Path) -> Path:
    """Returns the folder of a checkpoint's files, after a download from the hub if needed. Raises CheckpointError."""
    return _located(name)[0]


def _located(name: str | Path) -> tuple[Path, SentenceModules | None]:
    """Returns the folder with config.json and weights, and the sentence-transformers modules around it, if any."""
    root = _root(name)
    modules = read_modules(str(name), root)
    return (root, None) if modules is None else (modules.transformer, modules)


def _root(name: str | Path) -> Path:
    path = located(name)
    if path.is_dir() and str(name):  # an empty name would be the current folder
        return path
    if path.suffix == ".onnx" and path.is_file():
        raise CheckpointError(
            f"{name} is an ONNX model, expected a checkpoint of PyTorch; make it faster with: mbert-onnx optimize "
            f"{name} -o FILE, or export the checkpoint that it was made from"
        )
    if path.is_file():
        raise CheckpointError(f"{name} is a file; expected a folder with config.json and weights, or a hub id")
    if isinstance(name, Path) or not HUB_ID.fullmatch(name):
        raise CheckpointError(
            f"{name}: no such folder; expected one with config.json and weights, a hub id, or a built-in name: "
            f"{BUILT_IN}, random"
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


def _what_it_is(name: str | Path, folder: Path, lacks: str, expected: str) -> str:
    return what_it_is(str(name), folder, lacks, expected, () if located(name).is_dir() else _files_on_hub(str(name)))


def _files_on_hub(name: str) -> list[str]:
    """Returns the names of all files of a hub repository, also of those that are not downloaded; none if offline."""
    from huggingface_hub import list_repo_files

    try:
        return list_repo_files(name)
    except Exception:  # the names only make a message more exact
        return []
