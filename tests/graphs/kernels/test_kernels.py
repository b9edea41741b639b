"""The native kernels, with every instruction set of this processor, against the functions computed in float64."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from built_kernels import ISAS, LIBRARY, needs_kernels
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

from graphs import kernels
from graphs.errors import GraphError

pytestmark = needs_kernels
# MobileBERT's widths; widths that leave remainders of vectors, panels and tiles; heads of an odd size.
WIDTHS = [Widths(512, 128, 512, 4, 4), Widths(), Widths(48, 16, 112, 1, 1), Widths(40, 36, 33, 3, 3)]


# Lengths around the sizes of tiles, vectors and blocks.
FEW = [1, 2, 3, 5, 6, 7, 8, 12, 15, 16, 17, 31, 33, 48, 49, 65]
lengths_of = pytest.mark.parametrize(
    "lengths", [FEW, pytest.param([*range(1, 71), 384], marks=pytest.mark.full)], ids=["few", "all"]
)


def both(feed: Arrays) -> list[Arrays]:
    return [feed, {name: array.copy() for name, array in with_8_bit_weights(feed).items()}]


@lengths_of
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_a_stacked_ffn(widths: Widths, lengths: list[int], isa: str) -> None:
    float_feed, int8_feed = both(ffn_feed(widths, 1))
    sessions = [session(model_of(feed, widths), LIBRARY) for feed in (float_feed, int8_feed)]
    for tokens in lengths:
        other = ffn_feed(widths, tokens, seed=tokens)
        text = {name: other[name] for name in ("x", "residual")}
        feed = {**float_feed, **text}
        assert off(run(sessions[0], feed), ffn_by_hand(feed, widths.networks)) < 1e-6
        feed = {**int8_feed, **text}
        expected = ffn_by_hand(real(feed), widths.networks, rows_in_8_bits)
        assert off(run(sessions[1], feed), expected) < FLIPPED


@lengths_of
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_attention(widths: Widths, lengths: list[int], isa: str) -> None:
    float_feed, int8_feed = both(attention_feed(widths, [3]))
    sessions = [session(model_of(feed, widths), LIBRARY) for feed in (float_feed, int8_feed)]
    ragged = [[5, 3], [16, 1, 7], [33, 33, 2, 20], [4, 9, 31, 17, 70]]
    for texts in [*([length] for length in lengths), *ragged]:
        other = attention_feed(widths, texts, seed=len(texts))
        text = {name: other[name] for name in ("x", "mask", "heads")}
        real_rows = (text["mask"] == 0).reshape(-1)
        found, expected = run(sessions[0], {**float_feed, **text}), attention_by_hand({**float_feed, **text})
        assert off(found[real_rows], expected[real_rows]) < 1e-6
        assert off(found, expected) < 1e-6  # rows of padding are computed, too: they attend to the tokens
        expected = attention_by_hand(real({**int8_feed, **text}), rows_in_8_bits)
        assert off(run(sessions[1], {**int8_feed, **text}), expected) < FLIPPED


# Heads by their size: one head of several panels, heads of one channel, and sizes between the vectors and panels.
HEADS = [(1, 128), (128, 1), (4, 9), (2, 17), (2, 33), (2, 65), (3, 7)]


@pytest.mark.parametrize(("heads", "size"), HEADS)
def test_heads_of_any_size(heads: int, size: int, isa: str) -> None:
    widths = Widths(hidden=44, intra=heads * size, heads=heads)
    for feed in both(attention_feed(widths, [1])):
        opened = session(model_of(feed, widths), LIBRARY)
        read, bound = (rows_in_8_bits, FLIPPED) if "scale_out" in feed else (exactly, 1e-6)
        for texts in ([1], [5, 26], [67]):
            text = attention_feed(widths, texts)
            given = {**feed, **{name: text[name] for name in ("x", "mask", "heads")}}
            assert off(run(opened, given), attention_by_hand(real(given), read)) < bound


@pytest.mark.parametrize("length", [9, 17, 40])
def test_padding_of_any_magnitude_affects_no_token(length: int, isa: str) -> None:
    """The weight of padding is 0, whatever its values are, at the end of a text or at its beginning."""
    widths = Widths()
    for feed in both(attention_feed(widths, [length])):
        opened = session(model_of(feed, widths), LIBRARY)
        for padding in (slice(length - 5, length), slice(0, 5)):
            feed["mask"] = np.zeros((1, 1, 1, length))
            feed["mask"][..., padding] = LOWEST
            feed["x"][padding] = 0.0
            unchanged = run(opened, feed)
            feed["x"][padding] = 1e30
            rest = np.delete(np.arange(length), padding)
            np.testing.assert_allclose(run(opened, feed)[rest], unchanged[rest], atol=2e-6)


# Shapes of a mask that is added to scores [3, 4, 21, 21], and numbers in it.
SHAPES = [(3, 1, 1, 21), (21, 21), (3, 1, 21, 21), (1, 4, 21, 21), (3, 4, 1, 1), (21, 1), (1,)]
NUMBERS = {"a bias": [-1.5, -0.25, 0, 0.75, 2], "-10000": [0, -1e4], "lowest": [0, np.finfo(np.float32).min]}


@pytest.mark.parametrize("numbers", NUMBERS.values(), ids=NUMBERS)
def test_masks_of_any_shape(numbers: list[float], isa: str) -> None:
    widths = Widths()
    for feed in both(attention_feed(widths, [21, 9, 2])):
        opened = {}
        # float32 rounds the sum of a score and -10000 to a multiple of 2^-10.
        bound = FLIPPED if "scale_out" in feed else 1e-4 if -1e4 in numbers else 1e-6
        read = rows_in_8_bits if "scale_out" in feed else exactly
        for shape in SHAPES:
            rank = len(shape)
            feed["mask"] = np.random.default_rng(rank).choice(numbers, shape)
            if rank not in opened:
                opened[rank] = session(model_of(feed, widths), LIBRARY)
            assert off(run(opened[rank], feed), attention_by_hand(real(feed), read)) < bound, shape


@pytest.mark.parametrize("bits", [0x7FC00000, 0xFFC00000, 0x7FC00001, 0x7F800000])
def test_a_mask_that_is_not_finite_gives_nan(bits: int, isa: str) -> None:
    """NaN of either sign, NaN with more bits set, and infinity, whose softmax is NaN."""
    widths = Widths()
    for feed in both(attention_feed(widths, [9, 9])):
        opened = session(model_of(feed, widths), LIBRARY)
        unchanged = run(opened, feed)
        feed["mask"] = feed["mask"].astype(np.float32)
        feed["mask"].view(np.uint32)[0, 0, 0, 3] = bits
        found = run(opened, feed)
        assert np.isnan(found[:9]).all()
        np.testing.assert_array_equal(found[9:], unchanged[9:])


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_integers_are_multiplied_exactly(widths: Widths, isa: str) -> None:
    rng = np.random.default_rng(0)
    feed = with_8_bit_weights(ffn_feed(widths, 70))
    feed["x"] = rng.integers(-127, 128, feed["x"].shape).astype(np.float64)
    feed["x"][:, 0] = 127  # so that a row's step is 1
    for i in range(widths.networks):
        feed[f"weight2_{i}"][:] = 0
    exact = (feed["x"].astype(np.int64) @ feed["weight_out"].astype(np.int64)).astype(np.float32)
    expected = exact * feed["scale_out"] + feed["residual"].astype(np.float32)
    np.testing.assert_array_equal(run(session(model_of(feed, widths), LIBRARY), feed), expected)


def test_int8_is_bit_identical_with_every_instruction_set() -> None:
    for widths in WIDTHS:
        for given in (ffn_feed(widths, 37), attention_feed(widths, [70, 3, 17]), attention_feed(widths, [8])):
            feed = with_8_bit_weights(given)
            found = {}
            for name in ISAS:
                kernels.force_instruction_set(name)
                found[name] = run(session(model_of(feed, widths), LIBRARY), feed)
            kernels.force_instruction_set(None)
            for name in ISAS:
                np.testing.assert_array_equal(found[name], found[ISAS[0]], err_msg=name)


def test_extreme_int8_values_do_not_saturate(isa: str) -> None:
    """AVX2 adds two products of unsigned and signed bytes in 16 bits, which would saturate."""
    widths = Widths(32, 512, 64, 4, 1)
    feed = with_8_bit_weights(ffn_feed(widths, 5))
    feed["x"] = np.where(np.arange(512) % 3, 1.0, -1.0) * np.ones((5, 1))
    for name in ("weight1_0", "weight2_0", "weight_out"):
        feed[name] = np.where(np.arange(len(feed[name]))[:, None] % 3, 127, -128).astype(np.int8) * np.ones_like(
            feed[name]
        )
    found = run(session(model_of(feed, widths), LIBRARY), feed)
    assert off(found, ffn_by_hand(real(feed), 1, rows_in_8_bits)) < 1e-5


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_affects_no_other_row(bad: float, isa: str) -> None:
    widths = Widths()
    for feed in both(ffn_feed(widths, 11)):
        opened = session(model_of(feed, widths), LIBRARY)
        unchanged = run(opened, feed)
        feed["x"][4, 7] = bad
        found = run(opened, feed)
        assert not np.isfinite(found[4]).any()
        np.testing.assert_array_equal(np.delete(found, 4, axis=0), np.delete(unchanged, 4, axis=0))
    for feed in both(attention_feed(widths, [11, 6])):
        opened = session(model_of(feed, widths), LIBRARY)
        unchanged = run(opened, feed)
        feed["x"][4, 7] = bad
        found = run(opened, feed)
        assert not np.isfinite(found[:11]).any()  # all tokens of a text attend to each other
        np.testing.assert_array_equal(found[11:17], unchanged[11:17])


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e20, 1e30])
def test_extreme_scales(scale: float, isa: str) -> None:
    widths = Widths(networks=1)
    for feed in both(ffn_feed(widths, 9)):
        feed["x"] *= scale
        feed["bias1_0"] *= scale
        feed["residual"] *= scale
        read = rows_in_8_bits if "scale_out" in feed else exactly
        found = run(session(model_of(feed, widths), LIBRARY), feed)
        assert off(found.astype(np.float64) / scale, ffn_by_hand(real(feed), 1, read) / scale) < FLIPPED


def test_rows_of_zeros(isa: str) -> None:
    widths = Widths()
    for feed in both(ffn_feed(widths, 4)):
        feed["x"][:] = 0
        assert off(run(session(model_of(feed, widths), LIBRARY), feed), ffn_by_hand(real(feed), 2)) < 0.01


@pytest.mark.parametrize("padding", [LOWEST, 2 * LOWEST])
def test_a_text_without_a_token_is_finite(padding: float, isa: str) -> None:
    """Softmax of a row of equal numbers, of which float32's lowest must not become -inf where it is scaled."""
    widths = Widths()
    for feed in both(attention_feed(widths, [9, 9])):
        feed["mask"][1] = padding
        found = run(session(model_of(feed, widths), LIBRARY), feed)
        assert np.isfinite(found).all()
        assert off(found, run(session(model_of(feed, widths), None), feed)) < 0.03


def test_more_threads_give_the_same_output() -> None:
    widths = Widths(512, 128, 512, 4, 4)
    for feed in (*both(ffn_feed(widths, 100)), *both(attention_feed(widths, [50, 41, 3]))):
        one, three = (session(model_of(feed, widths), LIBRARY, threads) for threads in (1, 3))
        for _ in range(5):
            np.testing.assert_array_equal(run(one, feed), run(three, feed))


def test_two_sessions_and_ten_threads_at_once() -> None:
    widths = Widths()
    feeds = [*both(ffn_feed(widths, 33)), *both(attention_feed(widths, [20, 9]))]
    sessions = [session(model_of(feed, widths), LIBRARY, 2) for feed in feeds]
    expected = [run(opened, feed) for opened, feed in zip(sessions, feeds, strict=True)]
    wrong: list[int] = []

    def work(start: int) -> None:
        for number in range(start, start + 100):
            which = number % len(feeds)
            if not np.array_equal(run(sessions[which], feeds[which]), expected[which]):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_unsupported_instruction_sets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GraphError, match=r"^this processor has no instruction set 'mmx'; expected one of .*portable$"):
        kernels.force_instruction_set("mmx")
    assert kernels.instruction_set() == ISAS[0]
    assert ISAS[-1] == "portable"
    monkeypatch.setenv(kernels.VARIABLE, "mmx")
    with pytest.raises(GraphError, match="MBERT_KERNELS_ISA is 'mmx', which this processor lacks; expected one of"):
        kernels.instruction_set()
    widths = Widths()
    with pytest.raises(Exception, match=r"unknown instruction set mmx; expected one of .* \(MBERT_KERNELS_ISA\)"):
        session(model_of(ffn_feed(widths, 1), widths), LIBRARY)
    monkeypatch.setenv(kernels.VARIABLE, "portable")
    assert kernels.instruction_set() == "portable"


def test_the_library_is_small_and_has_no_cpp_runtime() -> None:
    assert LIBRARY is not None
    assert LIBRARY.stat().st_size < 500_000
    assert Path(LIBRARY).read_bytes().count(b"libstdc++") == 0
