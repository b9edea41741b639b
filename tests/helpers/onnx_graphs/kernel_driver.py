"""Builds and runs a program that computes one fused block without onnxruntime."""

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
)

from graphs.kernels import build

HERE = Path(__file__).parent
WIDTHS = [Widths(512, 128, 512, 4, 4), Widths(40, 36, 33, 3, 3), Widths(48, 16, 112, 1, 1)]


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
    is_int8 = any(array.dtype == np.int8 for array in feed.values())
    if "mask" in feed:
        batch, length = map(int, feed["heads"][:2])
        sizes = ["attention", isa, int(is_int8), batch, length, widths.intra, widths.hidden, widths.heads]
        names = ["x", "mask", "weight_in", "bias_in", "weight_qk", "bias_qk", "weight_out"]
    else:
        tokens = len(feed["x"])
        sizes = ["ffn", isa, int(is_int8), tokens, widths.intra, widths.wide, widths.hidden, widths.networks]
        parts = [f"{part}_{i}" for i in range(widths.networks) for part in ("weight1", "bias1", "weight2")]
        names = ["x", "residual", *parts, "weight_out"]
    if is_int8:
        names = [part for n in names for part in ((n, n.replace("weight", "scale")) if "weight" in n else (n,))]
    arrays = [feed[name] if feed[name].dtype == np.int8 else feed[name].astype(np.float32) for name in names]
    command = [*driver, *map(str, sizes)]
    done = subprocess.run(command, input=b"".join(array.tobytes() for array in arrays), capture_output=True)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return np.frombuffer(done.stdout, np.float32).reshape(len(feed["x"]), -1)


def check_blocks(driver: Sequence[str], isa: str, widths: Widths) -> None:
    """Checks both blocks in float32 and int8 against float64, at lengths that fill tiles and that leave remainders."""
    for tokens in (1, 2, 3, 5, 6, 7, 13, 33, 70):
        feed = ffn_feed(widths, tokens, seed=tokens)
        assert off(run(driver, isa, feed, widths), ffn_by_hand(feed, widths.networks)) < 1e-6
        feed = with_8_bit_weights(feed)
        expected = ffn_by_hand(real(feed), widths.networks, rows_in_8_bits)
        assert off(run(driver, isa, feed, widths), expected) < FLIPPED
    for lengths in ([1], [6], [17, 3], [33, 33, 5]):
        feed = attention_feed(widths, lengths)
        assert off(run(driver, isa, feed, widths), attention_by_hand(feed)) < 1e-6
        feed = with_8_bit_weights(feed)
        assert off(run(driver, isa, feed, widths), attention_by_hand(real(feed), rows_in_8_bits)) < FLIPPED
