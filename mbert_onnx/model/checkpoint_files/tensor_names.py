"""Names of tensors in checkpoints: prefixes that wrappers add, and the names that transformers gives today."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from torch import Tensor

from mbert_onnx.text.name_lists import name_list

PREFIX = "mobilebert."

# TensorFlow's names of layer normalization's parameters, in checkpoints from old converters.
LEGACY_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}

# Modules that torch puts around other modules, anywhere in a model: torch.compile, FSDP, activation checkpointing.
WRAPPERS = re.compile(r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")

# The parts of MobileBERT, and its heads, after the prefix of whatever contains the model.
_BACKBONE = (
    r"embeddings\.(?:word_embeddings|position_embeddings|token_type_embeddings|embedding_transformation|LayerNorm)\.",
    r"encoder\.layer\.\d+\.",
    r"pooler\.dense\.",
)
_HEADS = (r"cls\.(?:predictions|seq_relationship)\.", r"(?:qa_outputs|classifier)\.(?:weight|bias)$")
_PART = re.compile(rf"(?P<prefix>(?:[^.]+\.)*?)(?:(?:mobilebert\.)?(?:{'|'.join(_BACKBONE)})|(?:{'|'.join(_HEADS)}))")

# Names of tensors that a message shows; they are long.
SHOWN_TENSORS = 3

# Parts of the names of adapters' weights beside or around the weights of the model.
_ADAPTER = re.compile(r"\.(?:lora_[A-Z]|lora_embedding_[A-Z]|base_layer|modules_to_save|original_module)\.|^lora_")


# Copies of whole modules that peft trains beside the original ones, with the name of the adapter.
_SAVED_MODULE = re.compile(r"\.modules_to_save\.([^.]+)\.")


def without_wrappers(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Returns the tensors under names without the prefix that they share and without wrappers; and notes on it.

    A prefix such as `module.`, `model.` or `base_model.model.` is removed only if every name has it, and names of
    MobileBERT's remain.
    """
    named, removed = dict(tensors), []
    for _ in range(2):  # a wrapper inside the model may hide a shared prefix
        prefix = _shared_prefix(named)
        if prefix:
            named = {name.removeprefix(prefix): tensor for name, tensor in named.items()}
            removed.append(f"the prefix {prefix} that all {len(named):,} tensor names have")
        plain = {WRAPPERS.sub("", name): tensor for name, tensor in named.items()}
        if plain.keys() == named.keys() or len(plain) < len(named):
            break
        wrappers = sorted({found for name in named for found in WRAPPERS.findall(name)})
        removed.append(f"{' and '.join(wrappers)} inside tensor names")
        named = plain
    merged = _without_saved_modules(named)
    if merged.keys() != named.keys():
        removed.append("peft's modules_to_save inside tensor names")
        named = merged
    return named, [f"removed {' and '.join(removed)}"] if removed else []


def _without_saved_modules(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors with those of peft's trained copies in place of the modules that they replace.

    peft leaves both in some merged models, such as those of LN_TUNING. Copies of several adapters stay as they are.
    """
    if len({match[1] for match in map(_SAVED_MODULE.search, tensors) if match}) != 1:
        return dict(tensors)
    kept = {name: tensor for name, tensor in tensors.items() if ".original_module." not in name}
    return {_SAVED_MODULE.sub(".", name): tensor for name, tensor in kept.items()}


def _shared_prefix(names: Iterable[str]) -> str:
    """Returns the prefix before MobileBERT's part of the names, if all names have the same; else an empty string."""
    names = list(names)
    prefixes = _prefixes(names)
    prefix = next(iter(prefixes), "")
    return prefix if len(prefixes) == 1 and all(name.startswith(prefix) for name in names) else ""


def _prefixes(names: Iterable[str]) -> Counter[str]:
    found = (_PART.match(name) for name in names)
    return Counter(match["prefix"] for match in found if match)


def why_no_prefix(names: Iterable[str]) -> str | None:
    """Returns why the prefix of a wrapper was not removed, for names that have one; None if that is not the problem."""
    names = list(names)
    prefixes = _prefixes(names)
    prefixes.pop("", None)
    if len(prefixes) > 1:
        models = name_list((f"{prefix} ({count})" for prefix, count in prefixes.most_common()), SHOWN_TENSORS)
        return f"there are tensors of several models, {models}; save the state dict of one of them"
    for prefix, count in prefixes.items():
        others = [name for name in names if not name.startswith(prefix)]
        if others and count > len(others):
            rest = name_list(others, SHOWN_TENSORS)
            return f"all tensors but {rest} begin with {prefix}; save the model's own state dict"
    return None


def has_adapter(names: Iterable[str]) -> bool:
    """Returns whether there are weights of a PEFT adapter that was not merged into the model."""
    return any(_ADAPTER.search(name) for name in names)


def modern_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors under the names that transformers gives them today, prefix included."""
    bare = not any(name.startswith(PREFIX) for name in tensors)
    modern: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        for old, new in LEGACY_NAMES.items():
            name = name.replace(old, new)
        modern[with_prefix(name) if bare else name] = tensor
    return modern


def with_prefix(name: str) -> str:
    """Returns the name inside a task model of a bare model's tensor."""
    return PREFIX + name if name.split(".")[0] in ("embeddings", "encoder", "pooler") else name
