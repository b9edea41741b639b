"""Inputs that a feed lacks: the positions of the tokens, and zeros for labels and the like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphs.execution.types import Feed

# The inputs of a text, which a feed must have: zeros would be another text.
TEXT_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
POSITION_IDS = "position_ids"

NUMPY_TYPES = {"float": "float32", "double": "float64"}


def filled(feed: Feed, declared: Sequence[Any]) -> dict[str, np.ndarray]:
    """Returns the arrays of the declared inputs: those of a feed, and where it lacks one, positions or zeros.

    A dynamic dimension has the size of the one of the same name in the feed; else the first dimension is the batch,
    and the last one of several is the length.

    Args:
        feed: Arrays by name; at least one of them is declared.
        declared: A session's inputs, with `name`, `type` and `shape` as onnxruntime has them.

    Raises KeyError where the feed lacks ids, a mask or token types.
    """
    found = {one.name: feed[one.name] for one in declared if one.name in feed or one.name in TEXT_INPUTS}
    if len(found) == len(declared):
        return found
    sizes: dict[Any, int] = {}
    for one in declared:
        if one.name in found:
            sizes.update(zip(one.shape, found[one.name].shape, strict=False))
    text = max(found.values(), key=np.ndim).shape if found else ()
    for one in declared:
        if one.name not in found:
            found[one.name] = _fill(one, sizes, text)
    return found


def _fill(one: Any, sizes: dict[Any, int], text: tuple[int, ...]) -> np.ndarray:
    if one.name == POSITION_IDS and not one.shape:  # no shape is declared: that of the text
        return np.broadcast_to(np.arange(text[-1]), text).astype(np.int64 if "64" in one.type else np.int32)
    rank = len(one.shape)
    usual = [*text[: rank - 1], *text[-1:]] if rank > 1 else list(text[:rank])
    usual += [1] * (rank - len(usual))
    shape = [dim if isinstance(dim, int) else sizes.get(dim, size) for dim, size in zip(one.shape, usual, strict=True)]
    name = one.type.removeprefix("tensor(").removesuffix(")")
    dtype = np.dtype(NUMPY_TYPES.get(name, name))
    if one.name == POSITION_IDS and shape:
        return np.broadcast_to(np.arange(shape[-1]), shape).astype(dtype)
    return np.zeros(shape, dtype)
