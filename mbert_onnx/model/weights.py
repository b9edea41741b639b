"""Reads a checkpoint's weight files, and fits their tensors to a model."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import MobileBertConfig

from mbert_onnx.errors import CheckpointError
from mbert_onnx.text.tasks import Task

SINGLE = ("model.safetensors", "pytorch_model.bin")
SHARDED = ("model.safetensors.index.json", "pytorch_model.bin.index.json")

PREFIX = "mobilebert."

# Tensors that a checkpoint may hold beyond a task's model: the pooler that its head does not read, the heads of other
# tasks, and a buffer that transformers stored until version 4.31.
OTHER_HEADS = ("cls.predictions.", "cls.seq_relationship.", "qa_outputs.", "classifier.", f"{PREFIX}pooler.")
LM_BIAS, LM_DECODER_BIAS = "cls.predictions.bias", "cls.predictions.decoder.bias"
POSITION_IDS = f"{PREFIX}embeddings.position_ids"

# The first bytes of a git-lfs pointer file.
LFS_POINTER = b"version https://git-lfs"

# TensorFlow's names of layer normalization's parameters, in checkpoints from old converters.
LEGACY_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}

UNSHARED_ATTENTION = re.compile(r"\.bottleneck\.attention\.")


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Reads all tensors of a checkpoint by name: safetensors or `pytorch_model.bin`, whole or in shards.

    Raises CheckpointError for a folder with neither, and for files that are truncated, corrupt or a pickle that would
    run code.
    """
    for name in SINGLE:
        if (folder / name).is_file():
            return _read(folder / name)
        index = folder / SHARDED[SINGLE.index(name)]
        if index.is_file():
            return _read_shards(index)
    raise CheckpointError(f"{folder} has no weights; expected {' or '.join(SINGLE)}, or shards with {SHARDED[0]}")


def _read_shards(index: Path) -> dict[str, Tensor]:
    try:
        where = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards = sorted({str(Path(shard)) for shard in where.values()})
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} is not an index of shards: it needs a JSON object with weight_map") from error
    missing = [shard for shard in shards if not (index.parent / shard).is_file()]
    if missing:
        raise CheckpointError(f"{index} names shards that are not there: {', '.join(missing)}; copy them too")
    tensors: dict[str, Tensor] = {}
    for shard in shards:
        tensors.update(_read(index.parent / shard))
    return tensors


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about files of old versions
            if path.suffix == ".safetensors":
                return load_file(path)
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except UnicodeEncodeError as error:
        raise CheckpointError(
            f"the name {path} is not valid UTF-8, which torch needs; rename the file or folder"
        ) from error
    except Exception as error:  # a damaged file raises many classes
        raise CheckpointError(f"{path} {_damage(path, error)}") from error
    named = isinstance(loaded, Mapping) and all(isinstance(k, str) for k in loaded)
    if not named or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise CheckpointError(
            f"{path} holds no state dict (names and tensors), but {_described(loaded)}; "
            "save the model with transformers' save_pretrained"
        )
    return dict(loaded)


def _damage(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        if file.read(len(LFS_POINTER)) == LFS_POINTER:
            return "is a git-lfs pointer and not the weights; fetch them with git lfs pull"
    text = str(error).strip()
    if "Unsupported global" in text or "Unsupported class" in text:
        return (
            "holds more than tensors, and loading it would run code from the file; "
            "have its author save it as safetensors"
        )
    reason = text.splitlines()[0] if text else type(error).__name__
    # torch's message advises to trust the file, which this one must not.
    reason = "no state dict that torch saved" if "weights_only" in text else reason
    return f"is truncated or corrupt ({reason}); copy it again"


def _described(loaded: object) -> str:
    if not isinstance(loaded, Mapping) or not loaded:
        return f"a {type(loaded).__name__}"
    return f"a {type(loaded).__name__} with {_shown(map(str, list(loaded)[:3]))}"


def _shown(names: Iterable[str]) -> str:
    """Joins names in one printable line, also those of a damaged file."""
    return ", ".join(name if name.isprintable() else repr(name) for name in names)


def fit(
    tensors: Mapping[str, Tensor], model: nn.Module, task: Task, config: MobileBertConfig, name: str
) -> tuple[dict[str, Tensor], list[str]]:
    """Returns the state dict of `model` from a checkpoint's tensors, in float32, and notes on tensors left out.

    Raises CheckpointError that lists each tensor that is missing, unexpected, of another shape, or not finite.
    """
    expected = model.state_dict()
    bare = not any(key.startswith(PREFIX) for key in expected)
    found = {_modern(key, tensors): tensor for key, tensor in tensors.items()}
    if bare:
        found = {key.removeprefix(PREFIX): tensor for key, tensor in found.items()}
    _complete(found, expected, config)
    unread = {key: _unread_part(key, expected, config) for key in sorted(set(found) - set(expected))}
    unexpected = [key for key, part in unread.items() if part is None]
    missing = sorted(set(expected) - set(found))
    wrong = [
        f"{key} is {list(found[key].shape)}, expected {list(expected[key].shape)}"
        for key in expected
        if key in found and found[key].shape != expected[key].shape
    ]
    problems = [
        (missing, f"missing for {task.architecture}"),
        (unexpected, f"unexpected in {task.architecture}"),
        (wrong, "of a shape that does not fit config.json"),
    ]
    found_problems = [f"tensors {what} ({len(keys)}): {_shown(keys)}" for keys, what in problems if keys]
    if found_problems:
        advice = "; pass the --task that it was trained for" if missing and not wrong else ""
        raise CheckpointError(f"{name}: {'; '.join(found_problems)}{advice}")
    weights = {key: _float32(key, found[key], name) for key in expected}
    left_out = sorted({part for part in unread.values() if part is not None and part != POSITION_IDS})
    return weights, [f"left out, since {task.name} does not read it: {', '.join(left_out)}"] if left_out else []


def _modern(key: str, tensors: Mapping[str, Tensor]) -> str:
    """Returns the name that transformers gives the tensor today, prefix included."""
    for old, new in LEGACY_NAMES.items():
        key = key.replace(old, new)
    return _with_prefix(key) if not any(name.startswith(PREFIX) for name in tensors) else key


def _with_prefix(key: str) -> str:
    """Returns the name inside a task model of a bare model's tensor."""
    return PREFIX + key if key.split(".")[0] in ("embeddings", "encoder", "pooler") else key


def _complete(found: dict[str, Tensor], expected: Mapping[str, Tensor], config: MobileBertConfig) -> None:
    """Adds tensors that are stored once but have two names: the LM head's bias, and its decoder if that is tied."""
    decoder, words = "cls.predictions.decoder.weight", f"{PREFIX}embeddings.word_embeddings.weight"
    bias, decoder_bias = LM_BIAS, LM_DECODER_BIAS
    if bias not in expected:
        return
    if decoder_bias in found and not config.tie_word_embeddings:
        found[bias] = found[decoder_bias]  # in transformers 5 these are two tensors, of which it reads the decoder's
    for key, other in ((bias, decoder_bias), (decoder_bias, bias)):
        if key not in found and other in found:
            found[key] = found[other]
    if words in found and (config.tie_word_embeddings or decoder not in found):
        found[decoder] = found[words]


def _unread_part(key: str, expected: Mapping[str, Tensor], config: MobileBertConfig) -> str | None:
    """Returns the part that an unexpected tensor belongs to, if it may be left out; None if it may not."""
    key = _with_prefix(key)
    if key == POSITION_IDS:
        return POSITION_IDS
    if config.use_bottleneck_attention and UNSHARED_ATTENTION.search(key):
        return "bottleneck.attention"
    # An unexpected tensor in a part that the task reads would change what the part computes.
    others = [head for head in OTHER_HEADS if not any(_with_prefix(name).startswith(head) for name in expected)]
    part = next((head for head in others if key.startswith(head)), None)
    return None if part is None else part.removeprefix(PREFIX).rstrip(".")


def _float32(key: str, tensor: Tensor, name: str) -> Tensor:
    if not tensor.is_floating_point():
        raise CheckpointError(
            f"{name}: {key} is {tensor.dtype}, expected floating point; quantized weights cannot be read"
        )
    tensor = tensor.float().contiguous()
    bad = int((~tensor.isfinite()).sum())
    if bad:
        raise CheckpointError(
            f"{name}: {key} has {bad} of {tensor.numel()} values NaN or infinite; train or convert it again"
        )
    return tensor
