"""Models in OpenVINO, as they are timed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from perf_models import VOCAB_SIZE, token_model

pytest.importorskip("openvino", reason="openvino is not installed here; `make test-peers` runs these")

from graphs.execution.centred_error import largest_centred_error
from perf.errors import PerfError, PerfUsageError
from perf.harness import BenchOptions, Subject, bench
from perf.machine.footprint import footprint
from perf.providers import CPU, KNOWN
from perf.sessions.inputs import declared_inputs, synthesise
from perf.sessions.runtimes import OPENVINO, onnxruntime_session
from perf.sessions.runtimes.openvino_session import BF16, F32, describe, open_session, placement
from perf.sessions.session import first_run

pytestmark = pytest.mark.xdist_group("openvino")  # one process installs its environment

AZURE = next(provider for provider in KNOWN if provider.name == "azure")


def test_it_says_what_onnxruntime_says(tmp_path: Path) -> None:
    path = token_model(tmp_path / "a.onnx", mask=TensorProto.INT32, extra=["token_type_ids"])
    theirs, ours = onnxruntime_session.open_session(path, CPU, 1), open_session(path, CPU, 1)
    assert {(i.name, i.type) for i in declared_inputs(ours)} == {(i.name, i.type) for i in declared_inputs(theirs)}
    assert all(item.shape == (None, None) for item in declared_inputs(ours))
    feed = synthesise("a", declared_inputs(ours), batch=2, seq_len=5, vocab_size=VOCAB_SIZE)
    expected, found = first_run("a", theirs, feed), first_run("a", ours, feed)
    assert expected.keys() == found.keys()
    # Floats may be computed in bfloat16.
    np.testing.assert_allclose(found["logits"], expected["logits"], atol=0.02)


def test_outputs_are_kept_though_it_runs_again(tmp_path: Path) -> None:
    session = open_session(token_model(tmp_path / "a.onnx"), CPU, 1)
    kept = first_run("a", session, {"input_ids": np.array([[1, 2]])})["logits"]
    before = kept.copy()
    first_run("a", session, {"input_ids": np.array([[3, 4]])})
    np.testing.assert_array_equal(kept, before)


def test_settings_and_what_is_told_of_it(tmp_path: Path) -> None:
    session = open_session(token_model(tmp_path / "a.onnx", shape=[1, 4]), CPU, 2)
    assert declared_inputs(session)[0].shape == (1, 4)
    compiled = session.compiled
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 2
    assert compiled.get_property("NUM_STREAMS") == 1
    assert str(compiled.get_property("PERFORMANCE_HINT")).endswith("LATENCY")
    placed = placement(session)
    assert placed.operators["OpenVINO"]["Gather"] == 1
    assert not {"Const", "Input", "Output"} & placed.operators["OpenVINO"].keys()
    assert describe(session).startswith("OpenVINO 20")


def test_the_type_of_floats_is_chosen(tmp_path: Path) -> None:
    import openvino

    path = token_model(tmp_path / "a.onnx")
    assert F32.describe(F32.open_session(path, CPU, 1)).endswith("(floats as f32)")
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert BF16.describe(BF16.open_session(path, CPU, 1)).endswith("(floats as bf16)")


def test_the_process_is_left_on_all_its_cores(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    session = open_session(token_model(tmp_path / "a.onnx"), CPU, 2)
    first_run("a", session, {"input_ids": np.array([[1, 2]])})
    assert os.sched_getaffinity(0) == before


def test_what_it_does_not_take_is_one_line(tmp_path: Path) -> None:
    path = token_model(tmp_path / "a.onnx")
    with pytest.raises(PerfUsageError, match=r"a\.onnx runs in OpenVINO on the CPU, not on azure"):
        open_session(path, AZURE, 1)
    with pytest.raises(PerfError, match=r"no file .*none\.xml"):
        open_session(tmp_path / "none.xml", CPU, 1)
    (tmp_path / "broken.xml").write_text("<net")
    with pytest.raises(PerfError, match=r"OpenVINO [0-9.]+ cannot load .*broken\.xml: ") as caught:
        open_session(tmp_path / "broken.xml", CPU, 1)
    assert "\n" not in str(caught.value)
    with pytest.raises(PerfUsageError, match=r"a does not run on input_ids \[4\]"):
        first_run("a", open_session(path, CPU, 1), {"input_ids": np.ones(4, np.int64)})


def test_it_is_timed_beside_onnxruntime(tmp_path: Path) -> None:
    path = token_model(tmp_path / "a.onnx")
    subjects = [Subject("ort", path, VOCAB_SIZE), Subject("ov", path, VOCAB_SIZE, OPENVINO)]
    report = bench(
        subjects, BenchOptions(seq_lens=(4,), threads=(1,), precision=0.5, budget_s=0.05), measure=largest_centred_error
    )
    assert [item.runtime.split()[0] for item in report.subjects] == ["onnxruntime", "OpenVINO"]
    assert report.subjects[1].footprint.load_ms > 0
    assert report.subjects[1].difference is not None
    assert report.subjects[1].difference < 0.02
    assert not [text for text in report.warnings if "fell back" in text]


def test_errors_of_its_child_arrive_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(PerfError, match=r"no file .*none\.xml"):
        footprint(tmp_path / "none.xml", runtime=OPENVINO, seq_len=8)
