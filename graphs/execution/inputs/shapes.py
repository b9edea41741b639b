"""Shapes of probe inputs: declared dimensions, with sizes in place of those that are dynamic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphs.execution.inputs.declared import DeclaredInput
from graphs.ir.text_inputs import IDS, MASK, POSITIONS, TYPES

# Sizes for inputs that are not text: of the first dynamic dimension, and of the last. Those in between are `CHOICES`,
# which is also the number of choices of a multiple-choice text.
BATCH, LENGTH, CHOICES = 2, 16, 2


def sizes_of(
    one: DeclaredInput, batch: int, length: int, named: dict[str, int], choices: int = CHOICES
) -> tuple[int, ...]:
    """Returns an input's shape: the last dynamic dimension is the length, the first one the batch, others `choices`.

    Args:
        one: The input.
        batch, length, choices: The sizes.
        named: The sizes of named dimensions so far, which are used again; those of this input are added.
    """
    dynamic = [axis for axis, dim in enumerate(one.shape) if not isinstance(dim, int)]
    sizes = []
    for axis, dim in enumerate(one.shape):
        if isinstance(dim, int):
            sizes.append(dim)
            continue
        first = axis == 0 and len(one.shape) > 1 and (axis != dynamic[-1] or len(dynamic) == 1)
        size = batch if first else length if axis == dynamic[-1] else choices
        sizes.append(size if dim is None else named.setdefault(dim, size))
    return tuple(sizes)


def constant_feed(
    inputs: Sequence[DeclaredInput], batch: int, length: int, choices: int, *, token: int = 0, kind: int = 0
) -> dict[str, np.ndarray]:
    """Returns a feed without padding: one id, one token type, positions 0, 1, 2, …, and zeros for the rest."""
    values = {IDS: token, MASK: 1, TYPES: kind}
    named: dict[str, int] = {}
    feed = {}
    for one in inputs:
        shape = sizes_of(one, batch, length, named, choices)
        array = np.full(shape, values.get(one.name, 0))
        if one.name == POSITIONS and shape:
            array = np.broadcast_to(np.arange(shape[-1]), shape)
        feed[one.name] = array.astype(one.dtype)
    return feed
