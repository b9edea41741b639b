"""The kernels of aarch64, under an emulator of several of its processors: qemu-user, where it is installed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from kernel_driver import WIDTHS, build_driver, check_blocks, run
from kernel_models import Widths, ffn_feed, with_8_bit_weights

from graphs.kernels.tools.count_instructions import PROCESSORS

QEMU = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
pytestmark = [pytest.mark.full, pytest.mark.skipif(QEMU is None, reason="qemu-user is not installed")]


def emulated(isa: str, driver: Path) -> list[str]:
    """The command that runs the program on a processor that has an instruction set, of those that qemu knows."""
    known = subprocess.run([str(QEMU), "-cpu", "help"], capture_output=True, text=True).stdout.split()
    return [str(QEMU), "-cpu", next(one for one in PROCESSORS[isa] if one in known), str(driver)]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_driver(tmp_path_factory.mktemp("driver"), "aarch64-linux-musl", {})


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
@pytest.mark.parametrize("isa", PROCESSORS)
def test_blocks(isa: str, widths: Widths, driver: Path) -> None:
    check_blocks(emulated(isa, driver), isa, widths)


def test_8_bits_are_the_same_numbers_as_on_any_other_processor(driver: Path) -> None:
    from kernel_models import model_of, session
    from kernel_models import run as run_here

    from graphs import kernels

    widths = WIDTHS[0]
    feed = with_8_bit_weights(ffn_feed(widths, 13))
    found = {isa: run(emulated(isa, driver), isa, feed, widths) for isa in PROCESSORS}
    if kernels.library() is not None:
        found["here"] = run_here(session(model_of(feed, widths), kernels.library()), feed)
    for name, y in found.items():
        np.testing.assert_array_equal(y, found["neon"], err_msg=name)
