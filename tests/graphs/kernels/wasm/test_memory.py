"""The memory of a module, which never shrinks: weights are in it once, and what was released is used again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from kernel_models import Widths, ffn_feed, model_of
from wasm_runtime import WasmRuntime, built

# Weights of 9 MB, of which the largest has 1 MB.
WIDTHS = Widths(512, 128, 2048, 4, 4)
MEGABYTE = 2**20


@pytest.fixture
def engine(wasm: Path) -> WasmRuntime:
    return WasmRuntime(built(wasm, "mbert-relaxed.wasm"))


def test_packed_weights_take_the_place_of_the_file(engine: WasmRuntime) -> None:
    given = ffn_feed(WIDTHS, 2)
    model = model_of(given, WIDTHS)
    before = engine.memory_bytes
    for _ in range(3):  # models after the first take its memory
        engine.run(model, {name: given[name].astype(np.float32) for name in ("x", "residual")})
        assert engine.memory_bytes - before < len(model) + 4 * MEGABYTE


def test_memory_grows_in_its_place(engine: WasmRuntime) -> None:
    before = engine.memory_bytes
    memory = first = engine.call("extend", 0, MEGABYTE)
    for size in range(2, 65):
        memory = engine.call("extend", memory, size * MEGABYTE)
    assert memory == first
    assert engine.memory_bytes - before < 66 * MEGABYTE
    engine.call("release", memory)
    assert engine.call("allocate", 60 * MEGABYTE) == first
