"""Feeds: arrays for declared inputs, within limits.

Random texts for comparisons, constant ones for trials, and the sizes of the example that a model is traced with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from graphs.execution.inputs.declared import DeclaredInput, ids_among, inputs_of_graph
from graphs.execution.inputs.limits import InputLimits, tried_limits
from graphs.execution.inputs.shapes import BATCH, CHOICES, LENGTH, shapes_of
from graphs.execution.types import Outputs, Runner
from graphs.ir.text_inputs import IDS, MASK, POSITIONS, TYPES

# Batches and lengths of the texts on which two graphs are compared; all texts but the first have padding.
COMPARED = ((3, 23), (2, 64))

# Lengths on which a file is verified where it takes any: the shortest one, a prime that no tile divides, a common one;
# and, once, the longest one.
VERIFIED_LENGTHS = (1, 23, 128)
VERIFIED_BATCHES = (1, 3)

# Sizes of the example that a model is traced with, where they are dynamic. All differ, and none is 0 or 1, which
# torch.export treats as constants.
EXAMPLE_BATCHES, EXAMPLE_CHOICES, EXAMPLE_LENGTH = (3, 4), (2, 6), 5


def feeds_that_run(model: ir.Model, run: Runner) -> tuple[list[dict[str, np.ndarray]], list[Outputs]]:
    """Returns the feeds on which a graph is compared, within the limits with which it runs, and its outputs.

    Args:
        model: The graph.
        run: Runs it; raises any exception for inputs that it does not take.

    Raises the exception of the usual feeds where it runs with no others.
    """
    inputs = inputs_of_graph(model)
    limits = InputLimits.of_graph(model, inputs)
    feeds = compared_feeds(inputs, limits)
    try:
        return feeds, [run(feed) for feed in feeds]
    except Exception:  # onnxruntime's errors have no common class
        narrowed = limits if ids_among(inputs) is None else tried_limits(inputs, run, limits)
        if narrowed == limits:
            raise
        feeds = compared_feeds(inputs, narrowed)
        return feeds, [run(feed) for feed in feeds]


def compared_feeds(inputs: Sequence[DeclaredInput], limits: InputLimits, seed: int = 0) -> list[dict[str, np.ndarray]]:
    """Returns the feeds on which two graphs are compared: texts; for any other model, one feed of random numbers.

    Args:
        inputs: The inputs that the model declares.
        limits: The inputs that it takes.
        seed: The seed of the ids and of the numbers of padding tokens.
    """
    ids = ids_among(inputs)
    if ids is None:
        return [random_feed(inputs, BATCH, LENGTH, seed=seed)]
    generator = np.random.default_rng(seed)
    sizes = dict.fromkeys((limits.batch or batch, limits.fit(length)) for batch, length in COMPARED)
    feeds = []
    for batch, length in sizes:
        shape = shapes_of(inputs, batch, length, limits.choices or CHOICES)[IDS]
        real = np.arange(shape[-1]) < generator.integers(1, shape[-1] + 1, shape[:-1])[..., None]
        real.reshape(-1, shape[-1])[0] = True
        feed = random_feed(inputs, batch, length, choices=limits.choices or CHOICES, seed=seed)
        for one in inputs:
            if one.name == IDS:
                feed[IDS] = generator.integers(0, limits.vocab_size, shape).astype(one.dtype)
            elif one.name == MASK:
                # Some models take the mask in the shape in which it is added to the scores, [batch, 1, 1, seq].
                if feed[MASK].size == real.size:
                    feed[MASK] = real.astype(one.dtype).reshape(feed[MASK].shape)
            elif one.name == TYPES:
                second = (np.arange(shape[-1]) >= shape[-1] // 2) & (limits.segments > 1)
                feed[TYPES] = np.broadcast_to(second, shape).astype(one.dtype)
        feeds.append(feed)
    return feeds if any(not isinstance(dim, int) for dim in ids.shape) else feeds[:1]


def random_feed(
    inputs: Sequence[DeclaredInput], batch: int, length: int, *, choices: int = CHOICES, seed: int = 0
) -> dict[str, np.ndarray]:
    """Returns one feed: normally distributed floats, and integers 0 or 1, which are ids of every vocabulary.

    Positions are 0, 1, 2, …; a single bool is false, since it switches something on, such as training.
    """
    generator = np.random.default_rng(seed)
    feed: dict[str, np.ndarray] = {}
    shapes = shapes_of(inputs, batch, length, choices)
    for one in inputs:
        shape = shapes[one.name]
        array = generator.standard_normal(shape) if one.dtype.kind == "f" else generator.integers(0, 2, shape)
        if one.name == POSITIONS and shape:
            array = np.broadcast_to(np.arange(shape[-1]), shape)
        if one.dtype.kind == "b" and not shape:
            array = np.zeros(shape)
        feed[one.name] = np.asarray(array).astype(one.dtype)
    return feed


def verified_feeds(
    limits: InputLimits, *, has_choices: bool, seed: int, padding: bool = True
) -> Iterator[dict[str, np.ndarray]]:
    """Yields random texts on which a file is verified: each length and batch, with padding and without.

    One text consists of padding only. Where the length is fixed, texts of several lengths are padded to it.

    Args:
        limits: The inputs that the file takes.
        has_choices: Whether inputs are [batch, choices, seq].
        seed: The seed of the ids.
        padding: Whether the file takes a mask; without one no text is padded.

    Yields `input_ids`, `attention_mask` and `token_type_ids`, int64.
    """
    generator = np.random.default_rng(seed)
    fixed, longest = limits.length, limits.longest
    lengths = sorted({min(length, longest) for length in VERIFIED_LENGTHS})
    if not padding:
        lengths = sorted({limits.fit(length) for length in lengths})
    batches = VERIFIED_BATCHES if limits.batch is None else (limits.batch,)
    paddings = (False, True) if padding else (False,)
    cases = [(batch, length, padded) for length in lengths for batch in batches for padded in paddings]
    if longest not in lengths:
        cases.append((batches[0], longest, False))
    for batch, length, padded in cases:
        size = fixed or limits.fit(length)
        shape = (batch, limits.choices or CHOICES, size) if has_choices else (batch, size)
        real = np.full(shape[:-1], length)
        if padded:
            real = generator.integers(1, length + 1, shape[:-1])
            real.flat[-1] = 0 if real.size > 1 else max(1, length // 2)
        types = (np.arange(size) >= (real[..., None] + 1) // 2).astype(np.int64)
        yield {
            IDS: generator.integers(0, limits.vocab_size, shape),
            MASK: (np.arange(size) < real[..., None]).astype(np.int64),
            TYPES: types % min(limits.segments, 2),
        }


def example_sizes(positions: int) -> dict[str, int]:
    """Returns the sizes of the example that a model of so many positions is traced with, by the name of the axis."""
    length = min(EXAMPLE_LENGTH, positions)
    batch, choices = (next(n for n in numbers if n != length) for numbers in (EXAMPLE_BATCHES, EXAMPLE_CHOICES))
    return {"batch": batch, "choices": choices, "sequence": length}
