"""The kernels for AMX and AVX-VNNI on a machine that has neither: stand_ins.h emulates their instructions.

Also products with float16 weights, of every instruction set, without a block.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from built_kernels import ISAS
from kernel_driver import HERE, WIDTHS, build_driver, check_blocks, check_halves, run
from kernel_models import Widths, attention_feed, ffn_feed, with_8_bit_weights

from graphs import kernels
from graphs.kernels import build

EMULATED = ["amx", "avx-vnni"]
pytestmark = pytest.mark.skipif(
    not kernels.instruction_sets().get("avx512-vnni"), reason="the stand-ins use AVX-512 VNNI"
)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    stand_ins = ["-include", str(HERE / "stand_ins.h"), "-mavx512vl", "-mavx512vnni", "-Wno-unused-function"]
    flags = {"isa/x86/amx": [*stand_ins, "-fhosted"], "isa/x86/avx_vnni": [*stand_ins, "-mno-avxvnni"]}
    return build_driver(tmp_path_factory.mktemp("driver"), build.TARGETS[build.host()], flags, ["-DSTAND_INS=true"])


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
@pytest.mark.parametrize("isa", EMULATED)
def test_blocks(isa: str, widths: Widths, driver: Path) -> None:
    check_blocks([str(driver)], isa, widths)


@pytest.mark.parametrize("isa", [*EMULATED, *(isa for isa in ISAS if isa not in EMULATED)])
def test_float16_weights(isa: str, driver: Path) -> None:
    check_halves([str(driver)], isa)


def test_amx_is_bit_identical_with_any_number_of_rows(driver: Path) -> None:
    widths = Widths(40, 36, 112, 1, 1)
    for rows in [*range(1, 71), 129, 200]:
        feed = with_8_bit_weights(ffn_feed(widths, rows))
        amx, other = (run([str(driver)], isa, feed, widths) for isa in ("amx", "portable"))
        np.testing.assert_array_equal(amx, other, err_msg=f"{rows} rows")
        # Padded texts. Softmax depends on the width of vectors, which is the same in these two.
        feed = with_8_bit_weights(attention_feed(widths, [rows, (rows + 1) // 2, 1]))
        amx, other = (run([str(driver)], isa, feed, widths) for isa in ("amx", "avx512-vnni"))
        np.testing.assert_array_equal(amx, other, err_msg=f"{rows} tokens")


def test_int8_is_bit_identical_with_other_instructions(driver: Path) -> None:
    feed = with_8_bit_weights(ffn_feed(WIDTHS[0], 45))
    found = {isa: run([str(driver)], isa, feed, WIDTHS[0]) for isa in [*EMULATED, "avx512-vnni", "avx2", "portable"]}
    for name, y in found.items():
        np.testing.assert_array_equal(y, found["portable"], err_msg=name)
