"""Reads a checkpoint's weight files, and fits their tensors to a model."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import MobileBertConfig

from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.checkpoint_files.int8_weights import dequantize_rows
from mbert_onnx.model.checkpoint_files.tensor_names import (
    PREFIX,
    SHOWN_TENSORS,
    has_adapter,
    modern_names,
    why_no_prefix,
    with_prefix,
    without_wrappers,
)
from mbert_onnx.text.json_files import read_json
from mbert_onnx.text.name_lists import name_list
from mbert_onnx.text.tasks import Task

SINGLE = ("model.safetensors", "pytorch_model.bin")
SHARDED = ("model.safetensors.index.json", "pytorch_model.bin.index.json")

# The files of a variant, such as fp16, beside the names above: transformers puts its name before the last extension.
VARIANT = re.compile(
    r"model\.([\w-]+)\.safetensors|model\.safetensors\.index\.([\w-]+)\.json"
    r"|pytorch_model\.([\w-]+)\.bin|pytorch_model\.bin\.index\.([\w-]+)\.json"
)
SHARD = re.compile(r"-\d{5}-of-\d{5}$")

# Tensors that a checkpoint may hold beyond a task's model: the pooler that its head does not read, the heads of other
# tasks, and a buffer that transformers stored until version 4.31.
OTHER_HEADS = ("cls.predictions.", "cls.seq_relationship.", "qa_outputs.", "classifier.", f"{PREFIX}pooler.")
LM_BIAS, LM_DECODER_BIAS = "cls.predictions.bias", "cls.predictions.decoder.bias"
POSITION_IDS = f"{PREFIX}embeddings.position_ids"
# A tensor that every MobileBERT has, as an example in messages.
WORDS = f"{PREFIX}embeddings.word_embeddings.weight"

# The first bytes of a git-lfs pointer file.
LFS_POINTER = b"version https://git-lfs"

UNSHARED_ATTENTION = re.compile(r"\.bottleneck\.attention\.")


def find_weights(folder: Path) -> Path | None:
    """Returns the file of a checkpoint's weights, or the index of its shards; None for a folder without.

    Raises CheckpointError for one that has only variants, and several.
    """
    for pair in zip(SINGLE, SHARDED, strict=True):
        for name in pair:
            if (folder / name).is_file():
                return folder / name
    variants: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda path: (path.name.endswith(".bin"), path.name)):
        match = VARIANT.fullmatch(path.name)
        variant = next(filter(None, match.groups()), "") if match else ""
        if variant and not SHARD.search(variant) and path.is_file():
            variants.setdefault(variant, path)
    if len(variants) > 1:
        raise CheckpointError(
            f"{folder} has the variants {name_list(variants)} of its weights, and no {SINGLE[0]}; copy the file of one "
            f"of them, such as {next(iter(variants.values())).name}, as {SINGLE[0]}"
        )
    return next(iter(variants.values()), None)


def read_weights(path: Path) -> tuple[dict[str, Tensor], list[str], list[str]]:
    """Reads all tensors of a file or of the shards of an index; returns notes for the user, too.

    Names are those of the model itself. The last of the three says which prefixes of wrappers were removed.

    Raises CheckpointError for files that are truncated, corrupt or a pickle that would run code.
    """
    tensors, notes = _read_shards(path) if path.suffix == ".json" else _read(path)
    if path.name not in (*SINGLE, *SHARDED):
        notes.insert(0, f"the weights are those of {path.name}, widened to float32; there are no others")
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors; save the model again")
    named, removed = without_wrappers(tensors)
    return named, notes, removed


def _read_shards(index: Path) -> tuple[dict[str, Tensor], list[str]]:
    try:
        where = read_json(index)["weight_map"]
        shards = sorted({str(Path(shard)) for shard in where.values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} is not an index of shards: it needs a JSON object with weight_map") from error
    # transformers writes shards beside the index; another place could hold any file.
    outside = [shard for shard in shards if Path(shard).name != shard]
    if outside:
        raise CheckpointError(
            f"{index} names shards outside its folder: {name_list(outside, SHOWN_TENSORS)}; put them beside it"
        )
    missing = [shard for shard in shards if not (index.parent / shard).is_file()]
    if missing:
        raise CheckpointError(
            f"{index} names shards that are not there: {name_list(missing, SHOWN_TENSORS)}; copy them too"
        )
    tensors: dict[str, Tensor] = {}
    notes: list[str] = []
    for shard in shards:
        more, notes = _read(index.parent / shard)
        tensors.update(more)
    return tensors, notes


def _read(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about files of old versions
            if path.suffix == ".safetensors":
                return dequantize_rows(load_file(path)), []
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise  # the file may be fine
    except UnicodeEncodeError as error:
        raise CheckpointError(
            f"the name {path} is not valid UTF-8, which torch needs; rename the file or folder"
        ) from error
    except Exception as error:  # a damaged file raises many classes
        raise CheckpointError(f"{path} {_damage(path, error)}") from error
    if _is_state_dict(loaded):
        return dict(loaded), []
    # A checkpoint of a training: the state dict beside the optimizer's and the numbers of steps.
    inner = [key for key, value in loaded.items() if _is_state_dict(value)] if isinstance(loaded, Mapping) else []
    if len(inner) == 1:
        return dict(loaded[inner[0]]), [f"the weights are those under {inner[0]} in {path.name}"]
    if inner:
        raise CheckpointError(
            f"{path} holds several state dicts, {name_list(inner, SHOWN_TENSORS)}; save one of them alone"
        )
    raise CheckpointError(
        f"{path} holds no state dict (names and tensors), but {_described(loaded)}; "
        "save the model with transformers' save_pretrained"
    )


def _is_state_dict(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items())
    )


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
    return f"a {type(loaded).__name__} with {name_list(loaded, SHOWN_TENSORS)}"


def fit(
    tensors: Mapping[str, Tensor], model: nn.Module, task: Task, config: MobileBertConfig, name: str
) -> tuple[dict[str, Tensor], list[str]]:
    """Returns the state dict of `model` from a checkpoint's tensors, in float32, and notes on tensors left out.

    Raises CheckpointError that names some of the tensors that are missing, unexpected, of another shape, or not finite.
    """
    expected = model.state_dict()
    bare = not any(key.startswith(PREFIX) for key in expected)
    found = modern_names(tensors)
    if bare:
        found = {key.removeprefix(PREFIX): tensor for key, tensor in found.items()}
    _complete(found, expected, config)
    # An unexpected tensor in a part that the task reads would change what the part computes.
    named = [with_prefix(key) for key in expected]
    others = [head for head in OTHER_HEADS if not any(key.startswith(head) for key in named)]
    unread = {key: _unread_part(key, others, config) for key in sorted(set(found) - set(expected))}
    unexpected = [key for key, part in unread.items() if part is None]
    missing = sorted(set(expected) - set(found))
    wrong = [
        f"{key} is {list(found[key].shape)}, expected {list(expected[key].shape)}"
        for key in expected
        if key in found and found[key].shape != expected[key].shape
    ]
    if missing or unexpected or wrong:
        reason = _why_unfit(tensors, found, expected)
        problems = [
            (missing, f"missing for {task.architecture}"),
            (unexpected, f"unexpected in {task.architecture}"),
            (wrong, "of a shape that does not fit config.json"),
        ]
        lines = [f"tensors {what} ({len(keys)}): {name_list(keys, SHOWN_TENSORS)}" for keys, what in problems if keys]
        if reason is None and missing and not wrong:
            # Only a head can be that of another task.
            heads = all(not with_prefix(key).startswith(PREFIX) or "pooler." in key for key in missing)
            reason = "pass the --task that it was trained for" if heads else "save the whole model again"
        raise CheckpointError(f"{name}: {'; '.join(lines)}{'' if reason is None else f'; {reason}'}")
    weights = {key: _float32(key, found[key], name) for key in expected}
    left_out = sorted({part for part in unread.values() if part is not None and part != POSITION_IDS})
    return weights, [f"left out, since {task.name} does not read it: {', '.join(left_out)}"] if left_out else []


def _why_unfit(
    tensors: Mapping[str, Tensor], found: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> str | None:
    """Returns the cause of tensors that do not fit, and what to do, where their names show it."""
    if has_adapter(tensors):
        return (
            "there are weights of a PEFT adapter that is not merged: save what its merge_and_unload() returns, "
            "with save_pretrained"
        )
    reason = why_no_prefix(tensors)
    if reason is None and not found.keys() & expected.keys():
        reason = f"no name is one of MobileBERT's, such as {WORDS}"
    return reason


def _complete(found: dict[str, Tensor], expected: Mapping[str, Tensor], config: MobileBertConfig) -> None:
    """Adds tensors that are stored once but have two names: the LM head's bias, and its decoder if that is tied."""
    decoder, words = "cls.predictions.decoder.weight", WORDS
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


def _unread_part(key: str, others: Sequence[str], config: MobileBertConfig) -> str | None:
    """Returns the part that an unexpected tensor belongs to, if it may be left out; None if it may not.

    `others` are the heads that the task does not have.
    """
    key = with_prefix(key)
    if key == POSITION_IDS:
        return POSITION_IDS
    if config.use_bottleneck_attention and UNSHARED_ATTENTION.search(key):
        return "bottleneck.attention"
    part = next((head for head in others if key.startswith(head)), None)
    return None if part is None else part.removeprefix(PREFIX).rstrip(".")


def _float32(key: str, tensor: Tensor, name: str) -> Tensor:
    if not tensor.is_floating_point():
        raise CheckpointError(
            f"{name}: {key} is {tensor.dtype}, expected floating point; quantized weights cannot be read"
        )
    stored = tensor.untyped_storage().nbytes() if tensor.layout is torch.strided and tensor.device.type == "cpu" else 0
    if stored < tensor.numel() * tensor.element_size():
        raise CheckpointError(
            f"{name}: {key} of shape {list(tensor.shape)} is not stored in full (sparse, expanded or without data); "
            "save it as a dense tensor"
        )
    tensor = tensor.float().contiguous()
    bad = int((~tensor.isfinite()).sum())
    if bad:
        raise CheckpointError(
            f"{name}: {key} has {bad} of {tensor.numel()} values NaN or infinite; train or convert it again"
        )
    return tensor
