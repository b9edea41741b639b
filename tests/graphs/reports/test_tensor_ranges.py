"""A map of a graph's numbers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import graph
from text_models import bert, text_feed

from graphs.reports.outliers import OUTLIER
from graphs.reports.tensor_ranges import Numbers, as_is, measure_numbers

SUM = """(float[b, s, 8] x, int64[b, s] input_ids, int64[b, s] attention_mask) => (float[b, s, 8] y)
    <float[8] c = {0, 1, 1, 1, 1, 1, 1, 70000}> { y = Mul(x, c) }"""


def numbers_of(feed: dict[str, np.ndarray], text: str = SUM) -> dict[str, Numbers]:
    model = graph(text)
    for number, node in enumerate(model.graph):
        node.name = f"layer.0/{node.op_type}_{number}"
    return {found.name: found for found in measure_numbers(model, [feed])}


def tokens(x: np.ndarray) -> dict[str, np.ndarray]:
    ids = np.arange(100, 100 + x.shape[0] * x.shape[1]).reshape(x.shape[:2])
    return {"x": x.astype(np.float32), "input_ids": ids, "attention_mask": np.ones_like(ids)}


def test_the_range_and_what_fp16_would_lose() -> None:
    x = np.ones((1, 10, 8))
    x[0, 0, 1:3] = -3.0, 2e-5
    found = numbers_of(tokens(x))["y"]
    assert (found.low, found.high) == (-3.0, 70000.0)
    assert found.rms == pytest.approx(np.sqrt((10 * 70000.0**2 + 9 + 58 + 4e-10) / 80), rel=1e-6)
    assert found.overflow == 10 / 80
    assert found.underflow == 1 / 80  # the zeros of channel 0 lose nothing
    assert found.peak == 70000
    assert not found.safe_in_fp16
    assert (found.layer, found.op, found.kind) == ("layer.0", "Mul", "activation")


@pytest.mark.parametrize(("reader", "share"), [("Softmax", 0.0), ("Relu", 1.0)])
def test_small_scores_lose_nothing_that_softmax_sees(reader: str, share: float) -> None:
    text = f"""(float[b, s, 8] x, int64[b, s] input_ids, int64[b, s] attention_mask) => (float[b, s, 8] y)
        <float[8] c = {{1, 1, 1, 1, 1, 1, 1, 1}}, float scale = {{0.5}}, float[8] mask = {{0, 0, 0, 0, 0, 0, 0, -3e38}}>
        {{ u = Add(x, x) v = Mul(u, c) w = Div(v, scale) z = Add(w, mask) y = {reader}(z) }}"""
    found = numbers_of(tokens(np.full((1, 10, 8), 1e-6)), text)
    assert found["u"].underflow == found["v"].underflow == found["w"].underflow == share
    assert found["z"].underflow == share


def test_weights_are_measured_too_and_may_be_as_large_as_fp16_goes() -> None:
    found = numbers_of(tokens(np.ones((1, 10, 8))))["c"]
    assert (found.kind, found.low, found.high) == ("weight", 0.0, 70000.0)
    assert found.overflow == 1 / 8
    assert not found.safe_in_fp16
    text = SUM.replace("70000", "65000")
    found_in = numbers_of(tokens(np.ones((1, 10, 8))), text)
    assert found_in["c"].safe_in_fp16
    assert not found_in["y"].safe_in_fp16  # other texts may have more


def test_channels_that_stand_out_are_named() -> None:
    found = numbers_of(tokens(np.ones((1, 10, 8))))["y"]
    assert found.channel_outliers == 1
    assert [(c.channel, c.peak, c.times) for c in found.channels] == [(7, 70000.0, 70000.0)]
    x = np.ones((1, 10, 8))
    x[..., 7] = 0.9 * OUTLIER / 70000
    assert numbers_of(tokens(x))["y"].channel_outliers == 0


def test_tokens_that_stand_out_are_named_by_position_and_id() -> None:
    x = np.full((2, 10, 8), 1e-3)
    x[:, 3] *= 100
    x[1, 3] *= 2
    found = numbers_of(tokens(x))["y"]
    assert found.token_outliers == 2
    (token,) = found.tokens
    assert (token.position, token.token_id, token.texts) == (3, 113, 2)
    assert token.times == pytest.approx(200)


def test_padding_is_no_token_that_stands_out() -> None:
    feed = tokens(np.full((1, 10, 8), 1e-3))
    feed["x"][0, 9] = 5.0
    assert numbers_of(feed)["y"].token_outliers == 1
    feed["attention_mask"][0, 9] = 0
    assert numbers_of(feed)["y"].token_outliers == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_safe_nowhere(bad: float) -> None:
    x = np.ones((1, 10, 8))
    x[0, 2, 2] = bad
    found = numbers_of(tokens(x))["y"]
    assert found.peak == np.inf
    assert found.overflow >= 11 / 80
    assert not found.safe_in_fp16


def test_a_graph_as_it_is_keeps_its_nodes_and_gets_names() -> None:
    model = bert(hidden=40, inner=32, wide=32)
    named = as_is(model)
    assert sorted(node.op_type for node in named.graph) == sorted(node.op_type for node in model.graph)
    # Its weights have no names of layers; the layers are those of the graph's structure.
    assert {str(node.name).split("/")[0] for node in named.graph} == {"embeddings", "layer.0", "layer.1", "head"}
    found = measure_numbers(named, [text_feed()])
    masks = [one for one in found if one.low < -1e30]
    assert masks == []
    products = [one for one in found if one.error is not None]
    assert products
    assert all(one.bits is not None and 0 <= one.bits <= 8 for one in products)
    assert all(isinstance(one.safe_in_int8, bool) for one in products)
    assert not [one for one in found if one.op in ("Reshape", "Transpose")]


def test_functions_are_written_out() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18, "f" : 1]>
        g (float[n, 8] x) => (float[n, 8] y) { y = f.twice(x) }
        <domain: "f", opset_import: ["" : 18]> twice (x) => (y) { y = Add(x, x) }"""
    model = ir.from_onnx_text(text)
    assert [node.op_type for node in as_is(model).graph] == ["Add"]
