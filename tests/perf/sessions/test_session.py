"""Sessions: how they are set up, what they refuse, and who took the nodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from perf_models import VOCAB_SIZE, token_model

from perf.errors import PerfError, PerfUsageError
from perf.providers import CPU, KNOWN
from perf.sessions.runtimes.onnxruntime_session import describe, open_session, placement
from perf.sessions.session import Placement, fallback_warning, first_run

AZURE = next(provider for provider in KNOWN if provider.name == "azure")


def test_options_and_placement(tmp_path: Path) -> None:
    session = open_session(token_model(tmp_path / "a.onnx"), CPU, threads=2)
    options = session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (2, 1)
    assert options.execution_mode == ort.ExecutionMode.ORT_SEQUENTIAL
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"
    placed = placement(session)
    assert placed == Placement({"CPUExecutionProvider": {"Gather": 1, "MatMul": 1}})
    assert placed.nodes == {"CPUExecutionProvider": 2}
    assert fallback_warning("a.onnx", CPU, placed) is None
    assert describe(session) == f"onnxruntime {ort.__version__}"


@pytest.mark.skipif(AZURE.ort_name not in ort.get_available_providers(), reason="this onnxruntime has no azure")
def test_provider_that_is_listed_but_takes_no_node(tmp_path: Path) -> None:
    path = token_model(tmp_path / "a.onnx")
    assert AZURE.ort_name in ort.InferenceSession(path, providers=[AZURE.ort_name]).get_providers()
    with pytest.raises(PerfError, match=r"AzureExecutionProvider took none of the 2 nodes of .*a\.onnx.*timed nothing"):
        open_session(path, AZURE, threads=1)


def test_provider_that_takes_a_part() -> None:
    placed = Placement({AZURE.ort_name: {"Gemm": 7}, CPU.ort_name: {"Gather": 2, "Pad": 1}})
    warning = fallback_warning("a.onnx", AZURE, placed)
    assert warning is not None
    assert "a.onnx: AzureExecutionProvider took 7 of 10 nodes" in warning
    assert "Gather ×2, Pad ×1" in warning
    assert "partitions" not in warning
    cut = Placement(placed.operators, {AZURE.ort_name: 3})
    assert "took 7 of 10 nodes in 3 partitions, so" in str(fallback_warning("a.onnx", AZURE, cut))


@pytest.mark.parametrize("content", [b"", b"not a protobuf", b"\x08\x08\x12\x00"], ids=["empty", "text", "no graph"])
def test_corrupt_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(PerfError, match=r"cannot load .*broken\.onnx on cpu: ") as caught:
        open_session(path, CPU, threads=1)
    assert "\n" not in str(caught.value)


def test_cut_file(tmp_path: Path) -> None:
    path = token_model(tmp_path / "cut.onnx")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(PerfError, match=r"cannot load .*cut\.onnx"):
        open_session(path, CPU, threads=1)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(PerfError, match=r"no file .*none\.onnx; expected an \.onnx"):
        open_session(tmp_path / "none.onnx", CPU, threads=1)


def test_feeds_that_the_model_does_not_take(tmp_path: Path) -> None:
    session = open_session(token_model(tmp_path / "a.onnx"), CPU, threads=1)
    first_run("a", session, {"input_ids": np.full((1, 4), VOCAB_SIZE - 1)})
    with pytest.raises(
        PerfUsageError, match=r"a does not run on input_ids \[1, 4\] .*out of data bounds.*--seq-len"
    ) as caught:
        first_run("a", session, {"input_ids": np.full((1, 4), VOCAB_SIZE)})
    assert "\n" not in str(caught.value)


def test_a_run_without_enough_memory_is_no_matter_of_lengths() -> None:
    class Session:
        def run(self, *_: object) -> None:
            raise RuntimeError(
                "[ONNXRuntimeError] : 1 : FAIL : Failed to allocate memory for requested buffer of size 9"
            )

    with pytest.raises(
        PerfError, match=r"not enough memory to run a on input_ids \[9, 4\]; free some, or pass a small"
    ) as e:
        first_run("a", Session(), {"input_ids": np.zeros((9, 4))})  # type: ignore[arg-type]
    assert not isinstance(e.value, PerfUsageError)
