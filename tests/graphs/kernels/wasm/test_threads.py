"""The modules with a shared memory: worker threads compute the same bytes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from kernel_models import Widths, attention_feed, model_of, with_8_bit_weights
from wasm_runtime import built, run_in_node

NODE = shutil.which("node")


@pytest.mark.full
@pytest.mark.skipif(NODE is None, reason="node is not installed")
@pytest.mark.parametrize("name", ["mbert", "mbert-relaxed"])
def test_workers(name: str, wasm: Path, tmp_path: Path) -> None:
    widths = Widths(512, 128, 512, 4, 4)
    given = with_8_bit_weights(attention_feed(widths, [60, 13]))
    model = tmp_path / "model.onnx"
    model.write_bytes(model_of(given, widths))
    feed = {"x": given["x"].astype(np.float32), "mask": given["mask"].astype(np.float32), "heads": given["heads"]}
    alone, printed = run_in_node(str(NODE), built(wasm, f"{name}.wasm"), model, feed, tmp_path / "alone")
    file = built(wasm, f"{name}-threads.wasm")
    for threads in (1, 3):
        found, several = run_in_node(str(NODE), file, model, feed, tmp_path / f"threads-{threads}", threads, 100)
        assert several["areSame"]
        assert several["instructionSet"] == printed["instructionSet"]
        np.testing.assert_array_equal(found["y"], alone["y"])
