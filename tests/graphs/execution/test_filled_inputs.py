"""Inputs that a feed lacks: positions and zeros."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from graphs.execution.inputs.filled import filled

IDS = SimpleNamespace(name="input_ids", type="tensor(int32)", shape=["batch", "length"])
FEED = {"input_ids": np.ones((2, 5), np.int32), "attention_mask": np.ones((2, 5), np.int32)}


@pytest.mark.parametrize(
    ("name", "kind", "shape", "found"),
    [
        ("labels", "tensor(int64)", ["batch"], np.zeros(2, np.int64)),
        ("labels", "tensor(int64)", ["b", "s"], np.zeros((2, 5), np.int64)),
        ("labels", "tensor(float)", ["length", "batch"], np.zeros((5, 2), np.float32)),
        ("labels", "tensor(bool)", [None, None, 3], np.zeros((2, 5, 3), np.bool_)),
        ("scale", "tensor(double)", [], np.zeros((), np.float64)),
        ("position_ids", "tensor(int32)", [1, "s"], np.arange(5, dtype=np.int32)[None]),
        ("position_ids", "tensor(int64)", ["b", "s"], np.broadcast_to(np.arange(5), (2, 5))),
        ("position_ids", "tensor(int64)", [], np.broadcast_to(np.arange(5), (2, 5))),  # no shape is declared
        ("training", "tensor(bool)", [], np.zeros((), np.bool_)),
    ],
)
def test_an_input_that_is_not_text(name: str, kind: str, shape: list[object], found: np.ndarray) -> None:
    arrays = filled(FEED, [IDS, SimpleNamespace(name=name, type=kind, shape=shape)])
    assert arrays.keys() == {"input_ids", name}
    assert arrays[name].dtype == found.dtype
    np.testing.assert_array_equal(arrays[name], found)


def test_the_batch_of_choices() -> None:
    ids = np.ones((2, 3, 5), np.int64)
    given = SimpleNamespace(name="input_ids", type="tensor(int64)", shape=["b", "c", "s"])
    labels = SimpleNamespace(name="labels", type="tensor(int64)", shape=["x"])
    assert filled({"input_ids": ids}, [given, labels])["labels"].shape == (2,)


def test_text_is_never_filled() -> None:
    with pytest.raises(KeyError, match="token_type_ids"):
        filled(FEED, [IDS, SimpleNamespace(name="token_type_ids", type="tensor(int32)", shape=["b", "s"])])
