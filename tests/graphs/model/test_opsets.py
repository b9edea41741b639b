"""Opsets that are possible, and conversion to them."""

from __future__ import annotations

import onnx
import pytest
from graph_helpers import LAYER, OPSET, graph, same_numbers, valid

from graphs.errors import GraphError
from graphs.model.opsets import OLDEST_OPSET, check_opset, convert, newest_opset
from graphs.pipeline import optimize


@pytest.mark.parametrize("opset", range(OLDEST_OPSET, newest_opset() + 1))
def test_a_layer_runs_at_every_opset(opset: int) -> None:
    before = graph(LAYER)
    for model in (convert(before.clone(), opset), optimize(before.clone(), opset=opset).model):
        assert model.opset_imports[""] == opset
        assert model.ir_version == onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
        valid(before, model)
        same_numbers(before, model)


def test_names_survive_the_newest_opset() -> None:
    model = optimize(graph(LAYER), opset=newest_opset()).model
    names = [node.outputs[0].name for node in model.graph]
    assert names[0] == "layer.0/MatMul_0"
    assert names[-1] == "hidden"


def test_the_newest_opset_is_one_that_onnx_defines() -> None:
    assert OLDEST_OPSET < newest_opset() <= onnx.defs.onnx_opset_version()


@pytest.mark.parametrize("opset", [OLDEST_OPSET - 1, newest_opset() + 1, 0, -1])
def test_an_opset_out_of_range_is_refused_with_the_range(opset: int) -> None:
    message = f"^opset {opset} is not possible: graphs here start at {OLDEST_OPSET}, .* go up to {newest_opset()}; .*$"
    with pytest.raises(GraphError, match=message):
        check_opset(opset)
    with pytest.raises(GraphError, match=message):
        convert(graph(LAYER), opset)


@pytest.mark.parametrize("steps", [1, 2])
def test_a_graph_does_not_go_down(steps: int) -> None:
    with pytest.raises(GraphError, match=f"the graph is opset {OPSET + steps} and cannot go down to {OPSET}"):
        convert(convert(graph(LAYER), OPSET + steps), OPSET)


def test_the_opset_that_a_graph_has_is_no_conversion() -> None:
    model = convert(graph(LAYER), OPSET)
    valid(graph(LAYER), model)
    same_numbers(graph(LAYER), model)
