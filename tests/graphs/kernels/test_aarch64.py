"""The kernels for aarch64, of Linux and of Android, on several processors that qemu-user emulates where it exists."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from kernel_driver import WIDTHS, build_driver, check_blocks, check_halves, run
from kernel_models import Widths, attention_feed, ffn_feed, with_8_bit_weights
from text_driver import build_text_driver, tokenized
from text_functions import Tried, check_equal, difficult_bytes, difficult_texts, joined, trained

from graphs.functions.text.tables.row_options import Form
from graphs.kernels import build
from graphs.kernels.building.linking import OWN_FLAGS
from perf.devices.emulated.processors import PROCESSORS

QEMU = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
ISAS = [processor.instruction_set for processor in PROCESSORS]
pytestmark = [pytest.mark.full, pytest.mark.skipif(QEMU is None, reason="qemu-user is not installed")]

# The driver's exit status without arguments; qemu itself ends with another one for a processor that it does not know.
USAGE = 2


def emulated(isa: str, driver: Path) -> list[str]:
    """Returns the command that runs the driver on the first processor with this instruction set that qemu supports."""
    models = next(processor.models for processor in PROCESSORS if processor.instruction_set == isa)
    commands = [[str(QEMU), "-cpu", model, str(driver)] for model in models]
    return next(command for command in commands if subprocess.run(command, capture_output=True).returncode == USAGE)


@pytest.fixture(scope="module", params=["aarch64-linux", "aarch64-android"])
def driver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program with the objects of a target's library. Android's are compiled as musl's, with flags of their own."""
    flags = dict.fromkeys(build.sources_of("aarch64", build.ARITHMETIC), OWN_FLAGS.get(request.param, ()))
    return build_driver(tmp_path_factory.mktemp("driver"), "aarch64-linux-musl", flags, ["-static"])


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
@pytest.mark.parametrize("isa", ISAS)
def test_blocks(isa: str, widths: Widths, driver: Path) -> None:
    check_blocks(emulated(isa, driver), isa, widths)


@pytest.mark.parametrize("isa", ISAS)
def test_float16_weights(isa: str, driver: Path) -> None:
    check_halves(emulated(isa, driver), isa)


def test_int8_is_bit_identical_on_any_processor(driver: Path) -> None:
    from kernel_models import model_of, session
    from kernel_models import run as run_here

    from graphs import kernels

    widths = WIDTHS[0]
    for given in (ffn_feed(widths, 13), attention_feed(widths, [33, 6])):
        feed = with_8_bit_weights(given)
        found = {isa: run(emulated(isa, driver), isa, feed, widths) for isa in ISAS}
        if kernels.library() is not None:
            found["this machine"] = run_here(session(model_of(feed, widths), kernels.library()), feed)
        for name, y in found.items():
            np.testing.assert_array_equal(y, found["neon"], err_msg=name)


def test_texts(tmp_path_factory: pytest.TempPathFactory) -> None:
    program = build_text_driver(tmp_path_factory.mktemp("text_driver"), "aarch64-linux-musl", ["-static"])
    one = Tried(trained())
    texts: list[str | bytes] = [*difficult_texts(300, seed=1), *difficult_bytes(300)]
    for form in Form:
        for begin in range(0, len(texts), 100):
            some = texts[begin : begin + 100]
            feed = dict(zip(("text", "row_splits"), joined(some), strict=True)) | {"max_length": np.array(40)}
            if form.has_pair:
                feed |= dict(zip(("pair", "pair_splits"), joined(some[::-1]), strict=True))
            if form.has_windows:
                feed["stride"] = np.array(7)
            found = tokenized([str(QEMU), str(program)], form, one.tables, one.options, feed)
            check_equal(found, one.compute(form, feed))
