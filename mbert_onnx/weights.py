"""A checkpoint's weight files, and how their tensors fit a model."""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import MobileBertConfig

from mbert_onnx.errors import CheckpointError
from mbert_onnx.tasks import Task

SINGLE = ("model.safetensors", "pytorch_model.bin")
SHARDED = ("model.safetensors.index.json", "pytorch_model.bin.index.json")

PREFIX = "mobilebert."

# What a checkpoint may hold beyond a task's model: the pooler that its head does not read, the heads of other tasks,
# and a buffer that transformers stored until version 4.31.
OTHER_HEADS = ("cls.", "qa_outputs.", "classifier.", f"{PREFIX}pooler.")
POSITION_IDS = f"{PREFIX}embeddings.position_ids"

# Names of TensorFlow's layer normalization, in checkpoints converted long ago.
LEGACY_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}

UNSHARED_ATTENTION = re.compile(r"\.bottleneck\.attention\.")


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint by name: safetensors or `pytorch_model.bin`, whole or in shards.

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
        shards = sorted(set(where.values()))
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} is not an index of shards: it needs a JSON object with weight_map") from error
    missing = [shard for shard in shards if not (index.parent / shard).is_file()]
    if missing:
        raise CheckpointError(f"{index.name} names shards that are not there: {', '.join(missing)}; copy them too")
    tensors: dict[str, Tensor] = {}
    for shard in shards:
        tensors.update(_read(index.parent / shard))
    return tensors


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} holds more than tensors, and loading it would run code from the file; "
            "have its author save it as safetensors"
        ) from error
    except (SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()
        raise CheckpointError(
            f"{path} is truncated or corrupt ({reason[0] if reason else type(error).__name__}); copy it again"
        ) from error
    if not isinstance(loaded, Mapping) or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise CheckpointError(f"{path} holds no state dict (names and tensors), but {type(loaded).__name__}")
    return dict(loaded)


def fit(
    tensors: Mapping[str, Tensor], model: nn.Module, task: Task, config: MobileBertConfig, name: str
) -> tuple[dict[str, Tensor], list[str]]:
    """The state dict of `model` out of a checkpoint's tensors, in float32, and what was left out, a line each.

    Raises CheckpointError that lists each tensor that is missing, unexpected, of another shape, or not finite.
    """
    expected = model.state_dict()
    bare = not any(key.startswith(PREFIX) for key in expected)
    found = {_modern(key, tensors): tensor for key, tensor in tensors.items()}
    if bare:
        found = {key.removeprefix(PREFIX): tensor for key, tensor in found.items()}
    _complete(found, expected, config)
    unexpected = sorted(set(found) - set(expected))
    ignored = [key for key in unexpected if _may_be_left_out(key if not bare else _with_prefix(key), config)]
    unexpected = [key for key in unexpected if key not in ignored]
    missing = sorted(set(expected) - set(found))
    wrong = [
        f"{key} is {list(found[key].shape)}, expected {list(expected[key].shape)}"
        for key in expected
        if key in found and found[key].shape != expected[key].shape
    ]
    problems = [
        (missing, f"tensors of {task.architecture} are missing"),
        (unexpected, f"tensors are unexpected in {task.architecture}"),
        (wrong, "tensors have a shape that does not fit config.json"),
    ]
    found_problems = [f"{len(keys)} {what}: {', '.join(keys)}" for keys, what in problems if keys]
    if found_problems:
        advice = "; pass the --task that it was trained for" if missing and not wrong else ""
        raise CheckpointError(f"{name}: {'; '.join(found_problems)}{advice}")
    weights = {key: _float32(key, found[key], name) for key in expected}
    left_out = sorted({key.removeprefix(PREFIX).split(".")[0] for key in ignored if "position_ids" not in key})
    return weights, [f"left out, since {task.name} does not read it: {', '.join(left_out)}"] if left_out else []


def _modern(key: str, tensors: Mapping[str, Tensor]) -> str:
    """The name that transformers gives the tensor today, prefix included."""
    for old, new in LEGACY_NAMES.items():
        key = key.replace(old, new)
    return _with_prefix(key) if not any(name.startswith(PREFIX) for name in tensors) else key


def _with_prefix(key: str) -> str:
    """A bare model's name as it is inside a task model."""
    return PREFIX + key if key.split(".")[0] in ("embeddings", "encoder", "pooler") else key


def _complete(found: dict[str, Tensor], expected: Mapping[str, Tensor], config: MobileBertConfig) -> None:
    """Adds what is stored once though it has two names: the LM head's bias, and its decoder if that is tied."""
    bias, decoder_bias = "cls.predictions.bias", "cls.predictions.decoder.bias"
    decoder, words = "cls.predictions.decoder.weight", f"{PREFIX}embeddings.word_embeddings.weight"
    if bias not in expected:
        return
    for key, other in ((bias, decoder_bias), (decoder_bias, bias)):
        if key not in found and other in found:
            found[key] = found[other]
    if words in found and (config.tie_word_embeddings or decoder not in found):
        found[decoder] = found[words]


def _may_be_left_out(key: str, config: MobileBertConfig) -> bool:
    unread = config.use_bottleneck_attention and UNSHARED_ATTENTION.search(key) is not None
    return key.startswith(OTHER_HEADS) or key == POSITION_IDS or unread


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
