"""Shapes of probe inputs: declared dimensions, with sizes in place of those that are dynamic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphs.execution.inputs.declared import DeclaredInput, ids_among
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


def shapes_of(
    inputs: Sequence[DeclaredInput], batch: int, length: int, choices: int = CHOICES
) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each input, by its name.

    Named dimensions of the token ids have the same sizes in all other inputs, wherever the ids stand among them. Beside
    token ids, an input of one dimension has a number for each text, such as a label or the number of a question.

    Args:
        inputs: The inputs.
        batch, length, choices: The sizes.
    """
    named: dict[str, int] = {}
    ids = ids_among(inputs)
    if ids is not None:
        sizes_of(ids, batch, length, named, choices)
    shapes = {}
    for one in inputs:
        is_of_text = ids is not None and len(one.shape) == 1 and one.name not in (MASK, TYPES, POSITIONS)
        shapes[one.name] = sizes_of(one, batch, batch if is_of_text else length, named, choices)
    return shapes


def constant_feed(
    inputs: Sequence[DeclaredInput], batch: int, length: int, choices: int, *, token: int = 0, kind: int = 0
) -> dict[str, np.ndarray]:
    """Returns a feed without padding: one id, one token type, positions 0, 1, 2, …, and zeros for the rest."""
    values = {IDS: token, MASK: 1, TYPES: kind}
    shapes = shapes_of(inputs, batch, length, choices)
    feed = {}
    for one in inputs:
        shape = shapes[one.name]
        array = np.full(shape, values.get(one.name, 0))
        if one.name == POSITIONS and shape:
            array = np.broadcast_to(np.arange(shape[-1]), shape)
        feed[one.name] = array.astype(one.dtype)
    return feed
