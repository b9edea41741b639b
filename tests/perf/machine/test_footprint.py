"""Load time and memory come from fresh processes, which find the right `perf`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from perf_models import VOCAB_SIZE, token_model

from perf.errors import PerfError, PerfUsageError
from perf.machine import footprint as module
from perf.machine.footprint import LOADS, footprint
from perf.sessions import subprocess_module as child

WEIGHT_BYTES = 64 * 2**20


@pytest.fixture
def one_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process costs the import of onnxruntime."""
    monkeypatch.setattr(module, "LOADS", 1)


def test_every_load_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Qualcomm's library prints a line when the process ends.
    noise = "import atexit; atexit.register(print, '# the end'); print('# the beginning')"
    monkeypatch.setattr(child, "BOOTSTRAP", f"{noise}\n{child.BOOTSTRAP}")
    found = footprint(token_model(tmp_path / "a.onnx"), seq_len=8, vocab_size=VOCAB_SIZE)
    assert len(found.loads_ms) == LOADS
    assert found.load_ms == sorted(found.loads_ms)[LOADS // 2] > 0
    assert found.peak_bytes > 0


@pytest.mark.usefixtures("one_load")
def test_peak_holds_the_weights_and_nothing_of_this_process(tmp_path: Path) -> None:
    ballast = np.ones(4 * WEIGHT_BYTES, np.uint8)  # a child must not count what its parent holds
    rows = WEIGHT_BYTES // 4 // 256
    table = numpy_helper.from_array(np.ones((rows, 256), np.float32), "table")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["rows"])],
        "big",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [None, None])],
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, None, 256])],
        [table],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), tmp_path / "b.onnx")
    peak = footprint(tmp_path / "b.onnx", seq_len=8).peak_bytes
    assert WEIGHT_BYTES < peak < 4 * WEIGHT_BYTES <= ballast.nbytes


@pytest.mark.usefixtures("one_load")
def test_decoy_package_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = token_model(tmp_path / "a.onnx")
    for decoy in ("perf", "onnxruntime"):
        (tmp_path / decoy).mkdir()
        (tmp_path / decoy / "__init__.py").write_text("raise SystemExit('the decoy was imported')\n")
    monkeypatch.chdir(tmp_path)
    assert footprint(Path(path.name), seq_len=8, vocab_size=VOCAB_SIZE).load_ms > 0


@pytest.mark.usefixtures("one_load")
def test_decoy_package_in_pythonpath(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "perf").mkdir()
    (tmp_path / "perf" / "__init__.py").write_text("raise SystemExit('the decoy was imported')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert footprint(token_model(tmp_path / "a.onnx"), seq_len=8, vocab_size=VOCAB_SIZE).load_ms > 0


def test_errors_of_the_child_arrive_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(PerfError, match=r"no file .*none\.onnx") as caught:
        footprint(tmp_path / "none.onnx", seq_len=8)
    assert caught.value.exit_code == 1
    with pytest.raises(PerfUsageError, match="takes only seq-len 4, not 8"):
        footprint(token_model(tmp_path / "a.onnx", shape=[1, 4]), seq_len=8)


def test_child_that_dies_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "BOOTSTRAP", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)")
    with pytest.raises(PerfError, match=r"the process that loads .*a\.onnx ended with "):
        footprint(tmp_path / "a.onnx", seq_len=8)
    monkeypatch.setattr(child, "BOOTSTRAP", "raise MemoryError('gone')")
    with pytest.raises(PerfError, match=r"ended with exit 1 \(MemoryError: gone\).*free some memory"):
        footprint(tmp_path / "a.onnx", seq_len=8)
