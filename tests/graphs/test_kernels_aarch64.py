"""The kernels of aarch64, under an emulator of several of its processors: qemu-user, where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
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

QEMU = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
pytestmark = [pytest.mark.full, pytest.mark.skipif(QEMU is None, reason="qemu-user is not installed")]

# Of each instruction set, a processor that has it; cortex-a72 has neither dotprod nor i8mm, neoverse-n1 the one.
PROCESSORS = {"neon": "cortex-a72", "neon-dotprod": "neoverse-n1", "neon-i8mm": "max"}
WIDTHS = [Widths(512, 128, 512, 4, 4), Widths(40, 36, 33, 3, 3), Widths(48, 16, 112, 1, 1)]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("driver")
    sources = {"blocks": "", "processor": "", **build.INSTRUCTION_SETS["aarch64"]}
    compiler = [sys.executable, "-m", "ziglang", "c++", "-target", "aarch64-linux-musl"]
    objects = []
    for name, flags in sources.items():
        objects.append(folder / f"{name}.o")
        source = build.HERE / f"{name}.cc"
        subprocess.run([*compiler, *build.FLAGS, *flags.split(), "-c", source, "-o", objects[-1]], check=True)
    own = Path(__file__).parent / "kernel_driver.cc"
    options = ["-static", "-std=c++17", "-O1", "-fno-exceptions", "-fno-rtti", "-nostdlib++"]
    subprocess.run([*compiler, *options, own, *objects, "-o", folder / "driver"], check=True)
    return folder / "driver"


def run(driver: Path, isa: str, feed: Arrays, widths: Widths) -> np.ndarray:
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
    command = [str(QEMU), "-cpu", PROCESSORS[isa], str(driver), *map(str, sizes)]
    done = subprocess.run(command, input=b"".join(array.tobytes() for array in arrays), capture_output=True)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return np.frombuffer(done.stdout, np.float32).reshape(len(feed["x"]), -1)


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
@pytest.mark.parametrize("isa", PROCESSORS)
def test_blocks(isa: str, widths: Widths, driver: Path) -> None:
    for tokens in (1, 2, 3, 5, 6, 7, 13, 33):
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


def test_8_bits_are_the_same_numbers_as_on_any_other_processor(driver: Path) -> None:
    from kernel_models import model_of, session
    from kernel_models import run as run_here

    from graphs import kernels

    widths = WIDTHS[0]
    feed = with_8_bit_weights(ffn_feed(widths, 13))
    found = {isa: run(driver, isa, feed, widths) for isa in PROCESSORS}
    if kernels.library() is not None:
        found["here"] = run_here(session(model_of(feed, widths), kernels.library()), feed)
    for name, y in found.items():
        np.testing.assert_array_equal(y, found["neon"], err_msg=name)
