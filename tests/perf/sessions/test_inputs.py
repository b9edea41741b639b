"""Inputs made from a signature: shapes, types, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from perf_models import token_model

from perf.errors import PerfError, PerfUsageError
from perf.providers import CPU
from perf.sessions.inputs import DeclaredInput, DeclaredPorts, declared_inputs, fixed_seq_len, synthesise
from perf.sessions.runtimes.onnxruntime_session import open_session

IDS = DeclaredInput("input_ids", "tensor(int64)", ("batch", "seq"))


def declared(path: Path) -> tuple[DeclaredInput, ...]:
    return declared_inputs(open_session(path, CPU, threads=1))


@pytest.mark.parametrize(("integer", "dtype"), [(TensorProto.INT64, np.int64), (TensorProto.INT32, np.int32)])
@pytest.mark.parametrize(
    ("mask", "mask_dtype"),
    [
        (TensorProto.INT64, np.int64),
        (TensorProto.INT8, np.int8),
        (TensorProto.BOOL, np.bool_),
        (TensorProto.FLOAT, np.float32),
    ],
)
def test_all_inputs_run(tmp_path: Path, integer: int, dtype: type, mask: int, mask_dtype: type) -> None:
    path = token_model(tmp_path / "a.onnx", integer=integer, mask=mask, extra=["token_type_ids", "position_ids"])
    session = open_session(path, CPU, threads=1)
    feeds = synthesise("a", declared_inputs(session), batch=2, seq_len=5, vocab_size=50)
    assert feeds["input_ids"].dtype == dtype
    assert feeds["input_ids"].min() >= 0
    assert feeds["input_ids"].max() < 50
    assert feeds["attention_mask"].dtype == mask_dtype
    assert np.all(feeds["attention_mask"] == 1)
    assert np.array_equal(feeds["position_ids"], [[0, 1, 2, 3, 4]] * 2)
    assert not feeds["token_type_ids"].any()
    assert session.run(None, feeds)[0].shape == (2, 5, 8)


def test_ids_are_the_same_for_every_model_and_differ_by_seed() -> None:
    narrow = DeclaredInput("input_ids", "tensor(int32)", (None, None))
    one = synthesise("one", [IDS], batch=1, seq_len=64)["input_ids"]
    assert np.array_equal(one, synthesise("two", [narrow], batch=1, seq_len=64)["input_ids"])
    assert not np.array_equal(one, synthesise("one", [IDS], batch=1, seq_len=64, seed=1)["input_ids"])
    assert len(np.unique(one)) > 32  # random, not one id


def test_inputs_that_declare_no_shape_are_read_as_texts() -> None:
    ids, mask, other = (DeclaredInput(n, "tensor(int64)", ()) for n in ("input_ids", "attention_mask", "training"))

    class Opened(DeclaredPorts):
        def run(self, output_names: Sequence[str] | None, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
            raise NotImplementedError

    assert [one.shape for one in declared_inputs(Opened([mask, ids, other], []))] == [(None, None), (None, None), ()]
    fixed = replace(ids, shape=(1, 64))
    assert [one.shape for one in declared_inputs(Opened([mask, fixed], []))] == [(1, 64), (1, 64)]


@pytest.mark.parametrize(("choices", "expected"), [("choices", 2), (None, 2), (4, 4)])
def test_rank_three(tmp_path: Path, choices: int | str | None, expected: int) -> None:
    found = declared(token_model(tmp_path / "a.onnx", shape=["batch", choices, "seq"], extra=["position_ids"]))
    feeds = synthesise("a", found, batch=3, seq_len=6)
    assert feeds["input_ids"].shape == feeds["position_ids"].shape == (3, expected, 6)
    assert feeds["position_ids"][2, 1].tolist() == [0, 1, 2, 3, 4, 5]


def test_fixed_shape(tmp_path: Path) -> None:
    found = declared(token_model(tmp_path / "a.onnx", shape=[2, 16]))
    assert fixed_seq_len(found) == 16
    assert synthesise("a", found, batch=2, seq_len=16)["input_ids"].shape == (2, 16)
    with pytest.raises(PerfUsageError, match="a takes only seq-len 16, not 8: pass --seq-len 16"):
        synthesise("a", found, batch=2, seq_len=8)
    with pytest.raises(PerfUsageError, match="a takes only batch 2, not 1: pass --batch 2"):
        synthesise("a", found, batch=1, seq_len=16)


def test_dynamic_shape_has_no_fixed_length() -> None:
    assert fixed_seq_len([IDS, DeclaredInput("attention_mask", "tensor(int64)", (None, None))]) is None


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (DeclaredInput("pixel_values", "tensor(float)", (1, 3)), "'pixel_values' is not known, only input_ids, .* are"),
        (
            DeclaredInput("input_ids", "tensor(float)", (1, 3)),
            r"'input_ids' is a tensor\(float\); expected one of tensor",
        ),
        (DeclaredInput("attention_mask", "tensor(string)", (1, 3)), r"'attention_mask' is a tensor\(string\)"),
        (DeclaredInput("input_ids", "tensor(int64)", ()), r"'input_ids' has the shape \[\]; expected \[batch, seq\]"),
        (
            DeclaredInput("attention_mask", "tensor(int64)", (1, 1, 3, 3)),
            r"'attention_mask' has the shape \[1, 1, 3, 3\]",
        ),
    ],
)
def test_refused(item: DeclaredInput, message: str) -> None:
    with pytest.raises(PerfError, match=f"^a: input {message}"):
        synthesise("a", [item], batch=1, seq_len=3)
