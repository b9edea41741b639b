"""Error of a model from the float model that it was built from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from perf_models import token_model

from perf.errors import PerfUsageError
from perf.outputs.float_reference import error_seq_len, reference_error
from perf.providers import CPU
from perf.sessions.inputs import as_declared, declared_inputs
from perf.sessions.runtimes.onnxruntime_session import open_session
from perf.sessions.session import first_run
from perf.sessions.types import Feed, Outputs

IDS = {"input_ids": np.array([[3, 1, 4, 1]], np.int32)}


def distance(found: Outputs, judge: Outputs, feed: Feed) -> float:
    assert feed is IDS
    return float(np.abs(found["logits"] - judge["logits"]).max())


@pytest.mark.parametrize(("seq_lens", "at"), [((8, 128, 384), 128), ((8, 32), 32), ((384, 8), 384)])
def test_the_length_of_the_error(seq_lens: tuple[int, ...], at: int) -> None:
    assert error_seq_len(seq_lens) == at


def test_both_models_read_the_same_inputs_in_their_own_types(tmp_path: Path) -> None:
    session = open_session(token_model(tmp_path / "a.onnx", integer=TensorProto.INT32), CPU, threads=1)
    outputs = first_run("a", session, IDS)
    same = token_model(tmp_path / "same.onnx")
    other = token_model(tmp_path / "other.onnx", seed=1)
    assert reference_error(same, outputs, IDS, distance) == 0
    assert reference_error(other, outputs, IDS, distance) > 0.1


def test_an_error_of_nan_is_reported_as_infinite(tmp_path: Path) -> None:
    reference = token_model(tmp_path / "a.onnx")
    assert reference_error(reference, {"logits": np.full((1, 4, 8), np.nan)}, IDS, distance) == np.inf


def test_a_float_model_with_another_input_is_refused(tmp_path: Path) -> None:
    reference = token_model(tmp_path / "a.onnx", extra=["token_type_ids"])
    with pytest.raises(PerfUsageError, match=r"a\.onnx does not run on input_ids \[1, 4\]"):
        reference_error(reference, {}, IDS, distance)


def test_feeds_of_one_model_for_another(tmp_path: Path) -> None:
    declared = declared_inputs(open_session(token_model(tmp_path / "a.onnx"), CPU, threads=1))
    feed = as_declared("a", {**IDS, "attention_mask": np.ones((1, 4), np.int32)}, declared)
    assert list(feed) == ["input_ids"]
    assert feed["input_ids"].dtype == np.int64
