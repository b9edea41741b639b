"""The native kernels and the functions' bodies accept the same inputs, and compute the same of them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from built_kernels import LIBRARY, needs_kernels
from kernel_models import (
    FLIPPED,
    LOWEST,
    Arrays,
    Widths,
    attention_by_hand,
    attention_feed,
    exactly,
    ffn_by_hand,
    ffn_feed,
    model_of,
    off,
    real,
    rows_in_8_bits,
    run,
    session,
    with_8_bit_weights,
)

pytestmark = needs_kernels
WIDTHS = Widths(16, 8, 12, 2, 1)
BATCH, SEQ, HEADS = 2, 3, 2
FORMS = pytest.mark.parametrize("is_int8", [False, True], ids=["float", "int8"])


def attention(is_int8: bool, **changes: np.ndarray) -> Arrays:
    """Inputs of an attention of 2 texts of 3 tokens, with some of them changed."""
    feed = attention_feed(WIDTHS, [SEQ] * BATCH) | changes
    return with_8_bit_weights(feed) if is_int8 else feed


def computed(feed: Arrays, *, native: bool) -> np.ndarray | None:
    """Returns what a body or a kernel computes; None where it refuses the inputs."""
    opened = session(model_of(feed, WIDTHS), LIBRARY if native else None)
    try:
        return run(opened, feed)
    except Exception:  # onnxruntime's errors have no common class
        return None


def check_accepted(feed: Arrays, expected: np.ndarray, is_int8: bool) -> None:
    body, kernel = computed(feed, native=False), computed(feed, native=True)
    assert body is not None
    assert kernel is not None
    assert body.shape == kernel.shape == expected.shape
    if expected.size:
        assert off(kernel, expected) < (FLIPPED if is_int8 else 1e-6)
        assert off(body, expected) < (0.1 if is_int8 else 1e-5)  # one step for the tensor, not one for each row


def check_attention(feed: Arrays, is_int8: bool) -> None:
    read = rows_in_8_bits if is_int8 else exactly
    check_accepted(feed, attention_by_hand(real(feed), read), is_int8)


# Masks that broadcast to the scores [2, 2, 3, 3].
MASKS = {
    "of all texts": (1, 1, 1, SEQ),
    "of each text": (BATCH, 1, 1, SEQ),
    "of each row": (1, 1, SEQ, SEQ),
    "of each text and row": (BATCH, 1, SEQ, SEQ),
    "of each head": (1, HEADS, 1, SEQ),
    "of everything": (BATCH, HEADS, SEQ, SEQ),
    "the same for all keys": (BATCH, 1, SEQ, 1),
    "one number": (1, 1, 1, 1),
    "a scalar": (),
    "a vector": (SEQ,),
    "a matrix": (SEQ, SEQ),
    "of three dimensions": (HEADS, 1, SEQ),
}


@FORMS
@pytest.mark.parametrize("shape", MASKS.values(), ids=MASKS)
def test_a_mask_of_any_shape_that_broadcasts(shape: tuple[int, ...], is_int8: bool, isa: str) -> None:
    rng = np.random.default_rng(0)
    check_attention(attention(is_int8, mask=rng.normal(size=shape)), is_int8)
    padding = np.where(rng.random(shape) < 0.5, 0.0, LOWEST)
    if padding.ndim:
        padding[..., 0] = 0
    check_attention(attention(is_int8, mask=padding), is_int8)


def test_a_causal_mask_of_several_tiles(isa: str) -> None:
    lengths = [37, 37]
    feed = attention_feed(WIDTHS, lengths) | {"mask": np.triu(np.full((37, 37), LOWEST), 1)}
    assert off(run(session(model_of(feed, WIDTHS), LIBRARY), feed), attention_by_hand(feed)) < 1e-6


@FORMS
@pytest.mark.parametrize("rank", range(5))
def test_the_same_masks_are_refused(rank: int, is_int8: bool) -> None:
    accepted = 0
    for shape in product((0, 1, 2, 3, 6) if rank < 3 else (1, 2, 3), repeat=rank):
        feed = attention(is_int8, mask=np.zeros(shape))
        body, kernel = computed(feed, native=False), computed(feed, native=True)
        assert (body is None) == (kernel is None), shape
        accepted += body is not None
    assert accepted


@FORMS
@pytest.mark.parametrize(
    ("heads", "mask"),
    [
        *(
            ([-1 if axis == place else size for axis, size in enumerate([2, 3, 2, 4])], (1, 1, 1, 3))
            for place in range(4)
        ),
        ([2, 3, 4, 2], (2, 1, 1, 3)),
        ([2, 3, 1, 8], (2, 1, 1, 3)),
        ([1, 6, 2, 4], (1, 1, 1, 6)),
        ([6, 1, 2, 4], (6, 1, 1, 1)),
        ([0, 1, 2, 4], (6, 1, 1, 1)),
    ],
)
def test_heads_as_reshape_reads_them(heads: list[int], mask: tuple[int, ...], is_int8: bool) -> None:
    feed = attention(is_int8, mask=np.zeros(mask))
    sizes = np.zeros((6, 8)).reshape([6 if size == 0 else size for size in heads]).shape
    read = rows_in_8_bits if is_int8 else exactly
    expected = attention_by_hand({**real(feed), "heads": np.array(sizes)}, read)
    check_accepted({**feed, "heads": np.array(heads)}, expected, is_int8)


@FORMS
@pytest.mark.parametrize(
    "heads",
    [[1, 6, 2, 4], [3, 2, 2, 4], [6, 1, 2, 4], [-1, 3, 2, -1], [2, 3, 2, 5], [2, 3, 0, 4], [-2, 3, 2, 4], [0, 3, 2, 4]],
)
def test_heads_that_do_not_fit_are_refused(heads: list[int], is_int8: bool) -> None:
    feed = attention(is_int8, heads=np.array(heads))
    assert computed(feed, native=False) is None
    assert computed(feed, native=True) is None


@FORMS
@pytest.mark.parametrize("heads", [[0, 3, 2, 4], [-1, 3, 2, 4]])
@pytest.mark.parametrize("mask", [(0, 1, 1, 3), (1, 1, 1, 3), (1, 1, 1, 1)])
def test_a_batch_without_texts(mask: tuple[int, ...], heads: list[int], is_int8: bool) -> None:
    feed = attention(is_int8, x=np.zeros((0, 16)), mask=np.zeros(mask), heads=np.array(heads))
    check_accepted(feed, np.zeros((0, 8)), is_int8)


@FORMS
@pytest.mark.parametrize("shape", [(5, 16), (1, 16), (16,), (5, 1), (1, 1), (1,), ()])
def test_a_residual_of_any_shape_that_broadcasts(shape: tuple[int, ...], is_int8: bool, isa: str) -> None:
    feed = ffn_feed(WIDTHS, 5) | {"residual": np.random.default_rng(1).normal(size=shape)}
    feed = with_8_bit_weights(feed) if is_int8 else feed
    read = rows_in_8_bits if is_int8 else exactly
    check_accepted(feed, ffn_by_hand(real(feed), 1, read), is_int8)
    for wrong in ((4, 16), (5, 8), (3,), (5, 16, 1)):
        other = feed | {"residual": np.zeros(wrong)}
        assert computed(other, native=False) is None
        assert computed(other, native=True) is None


@FORMS
def test_stacked_ffns_of_no_tokens(is_int8: bool) -> None:
    feed = ffn_feed(WIDTHS, 0)
    check_accepted(with_8_bit_weights(feed) if is_int8 else feed, np.zeros((0, 16)), is_int8)
