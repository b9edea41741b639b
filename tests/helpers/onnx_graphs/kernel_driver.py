"""Builds and runs a program that computes one fused block, or a product, without onnxruntime."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from kernel_models import (
    FLIPPED,
    Arrays,
    Widths,
    attention_by_hand,
    attention_feed,
    ffn_by_hand,
    ffn_feed,
    off,
    real,
    rows_in_8_bits,
    with_8_bit_weights,
    with_scales,
)

from graphs.kernels import build

HERE = Path(__file__).parent / "native"
WIDTHS = [Widths(512, 128, 512, 4, 4), Widths(40, 36, 33, 3, 3), Widths(48, 16, 112, 1, 1)]


# The numbers of weights' precisions other than float32, by numpy's names: those of `Precision` in isa.h.
PRECISIONS = {"int8": 1, "float16": 2}
# The instruction sets that multiply in float16, where weights are float16, and a bound of the error of a block.
FLOAT16_ARITHMETIC = ("neon-dotprod", "neon-i8mm")
FLOAT16_ERROR = 5e-3


def build_driver(folder: Path, triple: str, flags: Mapping[str, Sequence[str]], options: Sequence[str] = ()) -> Path:
    """Builds the program for one of zig's triples, and returns its path.

    Args:
        folder: Output folder.
        triple: Architecture, system and C library. For musl, zig first compiles the C library, which takes a minute of
            processor time where zig's cache is empty; for glibc it does not.
        flags: More compiler flags, by the name of a source.
        options: Compiler and linker flags for the program itself.
    """
    sources = build.sources_of(triple.split("-")[0], build.ARITHMETIC)
    for name, more in flags.items():
        sources[name] += more
    objects = build.compile_sources(triple, sources, [], folder)
    own = ["-std=c++17", "-O1", f"-I{build.HERE}", "-fno-exceptions", "-fno-rtti", "-nostdlib++", *options]
    build.run_clang(triple, [*own, str(HERE / "kernel_driver.cc"), *objects, "-o", str(folder / "driver")])
    return folder / "driver"


def run(driver: Sequence[str], isa: str, feed: Arrays, widths: Widths) -> np.ndarray:
    """Returns the block's output [tokens, hidden or intra]; `driver` is the command that starts the program."""
    precision = max(PRECISIONS.get(array.dtype.name, 0) for array in feed.values())
    if "mask" in feed:
        batch, length = map(int, feed["heads"][:2])
        sizes = ["attention", isa, precision, batch, length, widths.intra, widths.hidden, widths.heads]
        names = ["x", "mask", "weight_in", "bias_in", "weight_qk", "bias_qk", "weight_out"]
    else:
        tokens = len(feed["x"])
        sizes = ["ffn", isa, precision, tokens, widths.intra, widths.wide, widths.hidden, widths.networks]
        parts = [f"{part}_{i}" for i in range(widths.networks) for part in ("weight1", "bias1", "weight2")]
        names = ["x", "residual", *parts, "weight_out"]
    if precision == PRECISIONS["int8"]:
        names = with_scales(names)
    arrays = [feed[name] if feed[name].dtype.name in PRECISIONS else feed[name].astype(np.float32) for name in names]
    return np.frombuffer(output([*driver, *map(str, sizes)], arrays), np.float32).reshape(len(feed["x"]), -1)


def output(command: Sequence[str], arrays: Sequence[np.ndarray]) -> bytes:
    """Returns what the program writes, given these inputs."""
    done = subprocess.run(command, input=b"".join(array.tobytes() for array in arrays), capture_output=True)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout


def check_blocks(driver: Sequence[str], isa: str, widths: Widths) -> None:
    """Checks both blocks in all precisions against float64, at lengths that fill tiles and that leave remainders."""
    half_bound = FLOAT16_ERROR if isa in FLOAT16_ARITHMETIC else 1e-6
    for tokens in (1, 2, 3, 5, 6, 7, 13, 33, 70):
        feed = ffn_feed(widths, tokens, seed=tokens)
        assert off(run(driver, isa, feed, widths), ffn_by_hand(feed, widths.networks)) < 1e-6
        half = with_half_weights(feed)
        assert off(run(driver, isa, half, widths), ffn_by_hand(half, widths.networks)) < half_bound
        feed = with_8_bit_weights(feed)
        expected = ffn_by_hand(real(feed), widths.networks, rows_in_8_bits)
        assert off(run(driver, isa, feed, widths), expected) < FLIPPED
    for lengths in ([1], [6], [17, 3], [33, 33, 5]):
        feed = attention_feed(widths, lengths)
        assert off(run(driver, isa, feed, widths), attention_by_hand(feed)) < 1e-6
        half = with_half_weights(feed)
        assert off(run(driver, isa, half, widths), attention_by_hand(half)) < half_bound
        feed = with_8_bit_weights(feed)
        assert off(run(driver, isa, feed, widths), attention_by_hand(real(feed), rows_in_8_bits)) < FLIPPED


def with_half_weights(feed: Arrays) -> Arrays:
    """Returns the inputs with float16 weights."""
    return {name: array.astype(np.float16) if name.startswith("weight") else array for name, array in feed.items()}


# Rows by [k, n]: around tiles, vectors and panels; k in whole vectors and not.
PRODUCTS = [(1, 1, 1), (2, 7, 17), (5, 33, 16), (6, 128, 96), (7, 64, 31), (13, 37, 50), (25, 130, 65), (70, 512, 33)]


def check_halves(driver: Sequence[str], isa: str) -> None:
    """Checks products with float16 weights against float64, and conversions of float16 against numpy's."""
    relative, absolute = (2e-3, 2.0**-25) if isa in FLOAT16_ARITHMETIC else (1e-6, 0.0)
    rng = np.random.default_rng(0)
    for rows, k, n in PRODUCTS:
        x = rng.normal(size=(rows, k)).astype(np.float32)
        # Weights of all magnitudes; without these, a weight that is lost to underflow would not show.
        scale = np.float32(10.0) ** -rng.integers(0, 8, n).astype(np.float32)
        weight = (rng.normal(size=(k, n)) * scale).astype(np.float16)
        bias, residual = rng.normal(size=n).astype(np.float32) * scale, rng.normal(size=(rows, n)).astype(np.float32)
        plain = x.astype(np.float64) @ weight.astype(np.float64)
        size = np.abs(x).astype(np.float64) @ np.abs(weight).astype(np.float64) + np.abs(bias) + 1e-30
        for epilogue, expected in enumerate([plain, np.maximum(plain + bias, 0), plain + residual]):
            y = product(driver, isa, x, weight, bias if epilogue == 1 else None, epilogue, residual)
            bound = (size + np.abs(residual) * (epilogue == 2)) * relative + k * absolute
            assert np.all(np.abs(y - expected) < bound), (rows, k, n)
    check_extremes(driver, isa)
    check_conversions(driver, isa)


def check_extremes(driver: Sequence[str], isa: str) -> None:
    """Checks sums that are out of float16's range, although their result is not, and numbers that are not finite."""
    x = np.full((9, 64), 300, np.float32)
    weight = np.full((64, 20), 300, np.float16)
    weight[1::2] = -300
    zeros = np.zeros((9, 20), np.float32)
    np.testing.assert_array_equal(product(driver, isa, x, weight, None, 2, zeros), 0)
    x[2, 3], x[4, 5], x[6, 7] = 1e30, np.inf, np.nan
    weight[:, 6], weight[0, 8] = np.float16(6e-8), np.inf
    y = product(driver, isa, x, weight, None, 0, zeros)
    with np.errstate(all="ignore"):
        expected = (x.astype(np.float64) @ weight.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(y, expected, rtol=1e-5)


def product(
    driver: Sequence[str],
    isa: str,
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None,
    epilogue: int,
    residual: np.ndarray,
) -> np.ndarray:
    """Returns rows · float16 weight + bias, then ReLU (epilogue 1) or + residual (epilogue 2)."""
    (rows, k), n = x.shape, weight.shape[1]
    arrays = [x, weight, *([] if bias is None else [bias]), *([residual] if epilogue == 2 else [])]
    sizes = [rows, k, n, int(bias is not None), epilogue]
    return np.frombuffer(output([*driver, "product", isa, "2", *map(str, sizes)], arrays), np.float32).reshape(rows, n)


def check_conversions(driver: Sequence[str], isa: str) -> None:
    """Checks all float16 numbers, and float32 numbers around every tie, of all magnitudes, and not finite."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    positive = halves[:0x7C00].astype(np.float64)
    ties = ((positive[:-1] + positive[1:]) / 2).astype(np.float32)
    limit = np.array([65504, 65519.996, 65520, 65536, 1e30, np.inf, np.nan, 1e-10, 1e-40, 0], np.float32)
    bits = np.random.default_rng(0).integers(0, 2**32, 10007, np.uint32).view(np.float32)
    floats = np.concatenate(
        [ties, np.nextafter(ties, np.float32(0)), np.nextafter(ties, np.float32(1e30)), limit, bits]
    )
    floats = np.concatenate([floats, -floats])
    for count in (1, 15, len(halves)):
        sizes = [count, count if count < 16 else len(floats)]
        given = [halves[-count:], floats[: sizes[1]]]
        found = output([*driver, "convert", isa, "2", *map(str, sizes), "0", "0", "0"], given)
        widened, rounded = np.frombuffer(found[: 4 * count], np.float32), np.frombuffer(found[4 * count :], np.float16)
        with np.errstate(all="ignore"):
            check_equal(widened, given[0].astype(np.float32))
            check_equal(rounded, given[1].astype(np.float16))


def check_equal(found: np.ndarray, expected: np.ndarray) -> None:
    """Checks that two arrays are equal, with NaN in the same places, and zeros of the same sign."""
    np.testing.assert_array_equal(found, expected)
    is_number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found[is_number]), np.signbit(expected[is_number]))
