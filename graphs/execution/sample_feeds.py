"""Sample inputs for any graph."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from graphs.model.embeddings import FEWEST_ROWS, rows_of

# Batches and lengths in tokens; all texts but the first have padding. The shorter ones are for models of few positions.
TEXTS = ((3, 23), (2, 64))
SHORTER_TEXTS = ((3, 5), (2, 7))
SHORTEST_TEXTS = ((3, 1),)

# Sizes of inputs that are not text: of the first dynamic dimension, the last, and those in between.
ROWS, LENGTH, BETWEEN = 2, 16, 2


def all_feeds(model: ir.Model) -> Iterator[list[dict[str, np.ndarray]]]:
    """Yields lists of feeds, the longest first; a model of few positions runs with the shorter ones only."""
    for texts in (TEXTS, SHORTER_TEXTS, SHORTEST_TEXTS):
        yield text_feeds(model, texts)


def text_feeds(model: ir.Model, texts: Sequence[tuple[int, int]] = TEXTS, seed: int = 0) -> list[dict[str, np.ndarray]]:
    """Returns feeds for a model with transformers' inputs; for any other model, one feed of random numbers.

    Args:
        model: Any model.
        texts: The batch and length of each feed, where they are dynamic.
        seed: The seed of the ids and of the numbers of padding tokens.
    """
    inputs = [value for value in model.graph.inputs if not value.is_initializer()]
    ids = next((value for value in inputs if value.name == "input_ids"), None)
    if ids is None or ids.shape is None or len(ids.shape) not in (2, 3):
        return [random_feed(inputs, seed)]
    rows = rows_of(model.graph) or FEWEST_ROWS
    generator = np.random.default_rng(seed)
    feeds = []
    for batch, length in texts:
        shape = _sizes(ids, batch, length, {})
        real = np.arange(shape[-1]) < generator.integers(1, shape[-1] + 1, shape[:-1])[..., None]
        real.reshape(-1, shape[-1])[0] = True
        feed = random_feed(inputs, seed, batch, length)
        for value in inputs:
            dtype = (value.dtype or ir.DataType.INT64).numpy()
            if value.name == "input_ids":
                feed["input_ids"] = generator.integers(0, rows, shape).astype(dtype)
            elif value.name == "attention_mask":
                # Some models take the mask in the shape in which it is added to the scores, [batch, 1, 1, seq].
                if feed["attention_mask"].size == real.size:
                    feed["attention_mask"] = real.astype(dtype).reshape(feed["attention_mask"].shape)
            elif value.name == "token_type_ids":
                feed["token_type_ids"] = (np.arange(shape[-1]) >= shape[-1] // 2).astype(dtype) + np.zeros(shape, dtype)
        feeds.append(feed)
    return feeds if any(isinstance(dim, ir.SymbolicDim) for dim in ids.shape) else feeds[:1]


def random_feed(inputs: list[ir.Value], seed: int = 0, rows: int = ROWS, length: int = LENGTH) -> dict[str, np.ndarray]:
    """Returns one feed: normally distributed floats, and integers 0 or 1, which are ids of every vocabulary."""
    generator = np.random.default_rng(seed)
    feed: dict[str, np.ndarray] = {}
    named: dict[str, int] = {}  # dimensions of the same name have the same size
    for value in inputs:
        shape, dtype = _sizes(value, rows, length, named), (value.dtype or ir.DataType.FLOAT).numpy()
        array = generator.standard_normal(shape) if dtype.kind == "f" else generator.integers(0, 2, shape)
        feed[value.name or ""] = np.asarray(array).astype(dtype)
    return feed


def _sizes(value: ir.Value, rows: int, length: int, named: dict[str, int]) -> tuple[int, ...]:
    """Returns an input's shape: the last dynamic dimension is the length, the first one the batch, others `BETWEEN`."""
    dims = [] if value.shape is None else list(value.shape)
    dynamic = [axis for axis, dim in enumerate(dims) if not isinstance(dim, int)]
    sizes = []
    for axis, dim in enumerate(dims):
        if isinstance(dim, int):
            sizes.append(dim)
            continue
        batch = axis == 0 and len(dims) > 1 and (axis != dynamic[-1] or len(dynamic) == 1)
        size = rows if batch else length if axis == dynamic[-1] else BETWEEN
        sizes.append(size if dim.value is None else named.setdefault(dim.value, size))
    return tuple(sizes)
