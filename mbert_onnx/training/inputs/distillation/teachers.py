"""Teachers of a recipe: our own models, and any encoder of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, AutoConfig, AutoModel, AutoModelForMaskedLM
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.checkpoint import CONFIG, checkpoint_folder, load_checkpoint
from mbert_onnx.model.checkpoint_files.config_file import CONFIGS
from mbert_onnx.model.checkpoint_tokenizer.loading import has_tokenizer, loaded_tokenizer, without_warnings
from mbert_onnx.model.padding import pad_with, padding_token_in
from mbert_onnx.text.json_files import brief, read_json
from mbert_onnx.text.sentence_embedding import read_modules
from mbert_onnx.text.tasks import FEATURE_EXTRACTION, task_of_architectures
from mbert_onnx.training.distillation.teachers.encoder import EncoderTeacher
from mbert_onnx.training.distillation.teachers.interface import MEAN, POOLINGS, Teacher
from mbert_onnx.training.distillation.teachers.mobilebert import MobileBertTeacher

# Ends of the names of transformers' classes that have a head of masked words.
WITH_WORD_HEAD = ("ForMaskedLM", "ForPreTraining")


def load_teacher(checkpoint: str, *, heads: int | None = None) -> Teacher:
    """Returns the teacher of a checkpoint.

    Args:
        checkpoint: Folder in transformers' or sentence-transformers' format, hub id, or built-in name.
        heads: Attention heads of the student; attention maps are compared if the teacher has as many. Default: its
            attention maps are not needed.

    Raises CheckpointError for a checkpoint that cannot be read, has no tokenizer, or is no encoder.
    """
    folder = checkpoint_folder(checkpoint)
    config = _config(checkpoint, folder / CONFIG)
    if not has_tokenizer(folder):
        raise CheckpointError(
            f"teacher {checkpoint} has no tokenizer.json and no vocab.txt, but the student uses its tokenizer; "
            "copy the tokenizer's files into its folder"
        )
    if config.get("model_type") in CONFIGS:
        return MobileBertTeacher(_our_model(checkpoint, config))
    _check_kind(checkpoint, config)
    return EncoderTeacher(_encoder(checkpoint, folder, config, heads), checkpoint)


def sentence_pooling(checkpoint: str) -> str:
    """Returns how a teacher pools hidden states into sentence vectors; the mean if it is no model of sentences.

    Raises CheckpointError for a folder of sentence-transformers that computes vectors in a way that cannot be learnt.
    """
    folder = checkpoint_folder(checkpoint)
    # The encoder may be in a folder inside of that with the list of modules.
    modules = read_modules(checkpoint, folder) or read_modules(checkpoint, folder.parent)
    if modules is None or not any(path.resolve() == folder.resolve() for _, path in modules.modules):
        return MEAN
    pooling = modules.pooling()
    if pooling not in POOLINGS:
        kinds = ", ".join(kind for kind, _ in modules.modules)
        reason = f"its pooling is {pooling}" if pooling else f"its modules are {kinds}"
        raise CheckpointError(
            f"teacher {checkpoint} computes sentence vectors in a way that is not supported: {reason}; expected "
            f"Transformer, Pooling ({', '.join(POOLINGS)}) and maybe Normalize"
        )
    return pooling


def use_vocabulary(teacher: Teacher, checkpoint: str, vocabulary: dict[str, int]) -> int:
    """Makes a teacher read token ids of the student's vocabulary; returns the number of words that it knows.

    Other words are read as its unknown token. Raises CheckpointError if it knows none of the words, or has fewer
    embeddings than its tokenizer has words.
    """
    with loaded_tokenizer(checkpoint_folder(checkpoint)) as tokenizer:
        theirs = tokenizer.get_vocab()
        unknown = tokenizer.unk_token_id
    embeddings = words_in(teacher)
    highest = max(theirs.values())
    if highest >= len(embeddings):
        raise CheckpointError(
            f"teacher: {checkpoint} has {len(embeddings)} words, the tokenizer {highest + 1}; "
            "give the tokenizer with which it was trained"
        )
    if isinstance(teacher, MobileBertTeacher):
        pad_with(teacher.model, padding_token_in(theirs))
    if theirs == vocabulary:
        return len(vocabulary)
    common = vocabulary.keys() & theirs.keys()
    if not common - set(tokenizer.all_special_tokens):
        raise CheckpointError(
            f"teacher {checkpoint} knows none of the {len(vocabulary):,} words of the student's vocabulary; expected "
            "a student with words of the teacher's tokenizer"
        )
    known = torch.full((max(vocabulary.values()) + 1,), int(unknown or 0))
    for word in common:
        known[vocabulary[word]] = theirs[word]
    teacher.known_ids = known
    return len(common)


def words_in(teacher: Teacher) -> Tensor:
    """Returns the teacher's embedding table."""
    if isinstance(teacher, MobileBertTeacher):
        return teacher.backbone.embeddings.word_embeddings.weight
    table = teacher.model.get_input_embeddings().weight  # type: ignore[operator]
    assert isinstance(table, Tensor)
    return table


def _our_model(checkpoint: str, config: dict[str, Any]) -> nn.Module:
    """Loads a MobileBERT or an IB-BERT with the heads that it has; without, if its class is not known."""
    named = config.get("architectures")
    known = task_of_architectures([name for name in named if isinstance(name, str)] if isinstance(named, list) else [])
    model = load_checkpoint(checkpoint, task=None if known else FEATURE_EXTRACTION.name).model
    assert isinstance(model, nn.Module)
    return model


def _config(checkpoint: str, path: Path) -> dict[str, Any]:
    """Returns the content of config.json, which may be that of any class."""
    if not path.is_file():
        raise CheckpointError(f"teacher {checkpoint} has no {CONFIG}; expected a folder that save_pretrained wrote")
    try:
        config = read_json(path)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); copy it again") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"{path} holds a {type(config).__name__}, expected a JSON object; copy it again")
    return config


def _check_kind(checkpoint: str, config: dict[str, Any]) -> None:
    """Raises CheckpointError for a model that is no encoder, or that transformers does not have."""
    kind = config.get("model_type")
    advice = "expected an encoder of texts, such as BERT, RoBERTa, DistilBERT, ELECTRA or MPNet"
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        code = ", whose code in the checkpoint is not run" if "auto_map" in config else ""
        raise CheckpointError(f"teacher {checkpoint} has the model_type {brief(kind)}{code}; {advice}")
    if config.get("is_encoder_decoder") or CONFIG_MAPPING[kind]().is_encoder_decoder:
        raise CheckpointError(f"teacher {checkpoint} is a {kind}, an encoder with a decoder; {advice}")
    if kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES or config.get("is_decoder"):
        what = "set up as a decoder" if config.get("is_decoder") else "not an encoder that reads in both directions"
        raise CheckpointError(f"teacher {checkpoint} is a {kind}, {what}; {advice}")


def _encoder(checkpoint: str, folder: Path, config: dict[str, Any], heads: int | None) -> Any:
    """Loads an encoder, with its head of masked words if it has one."""
    architectures = config.get("architectures")
    has_head = isinstance(architectures, list) and any(str(name).endswith(WITH_WORD_HEAD) for name in architectures)
    if has_head:
        model, missing = _loaded(AutoModelForMaskedLM, checkpoint, folder, heads)
        if not missing:
            return model
    model, missing = _loaded(AutoModel, checkpoint, folder, heads)
    if missing:
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise CheckpointError(f"teacher {checkpoint} lacks the weights {shown}; copy its files again")
    return model


def _loaded(kind: Any, checkpoint: str, folder: Path, heads: int | None) -> tuple[Any, list[str]]:
    """Returns a model and the names of missing weights, except those of a pooler."""
    try:
        with without_warnings():
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            # Other implementations of attention do not return the probabilities.
            options: dict[str, Any] = {"attn_implementation": "eager"} if config.num_attention_heads == heads else {}
            model, info = kind.from_pretrained(
                folder,
                config=config,
                output_loading_info=True,
                local_files_only=True,
                trust_remote_code=False,
                **options,
            )
    except Exception as error:  # transformers raises errors of many kinds
        raise CheckpointError(f"teacher {checkpoint} cannot be loaded ({' '.join(str(error).split())})") from error
    wrong = [str(key) for key in info["missing_keys"]] + [str(key[0]) for key in info["mismatched_keys"]]
    return model.float(), sorted(key for key in wrong if "pooler" not in key.split("."))
