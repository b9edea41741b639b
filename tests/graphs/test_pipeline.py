"""Which passes run for which target, and what they leave of a layer."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import LAYER, graph, leaves_alone, random_feed, same_numbers, valid

from graphs.errors import GraphError
from graphs.passes.fold_affine import FoldAffine
from graphs.pipeline import TARGETS, optimize

# Softmax(q·kᵀ + mask)·v, the mask, and the NoNorm of the output, which is written out.
ATTENTION = Counter({"Transpose": 1, "Add": 1, "Softmax": 1, "MatMul": 2})
WRITTEN_OUT = Counter({"Mul": 1, "Add": 1})
# input | shared | value has no bias left; query | key has the query's; the last: of the intermediate layer.
MERGED = Counter({"MatMul": 1, "Gemm": 1, "Split": 2})
FEED_FORWARD = Counter({"Gemm": 1, "Relu": 1})


def census(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph)


@pytest.mark.parametrize("target", TARGETS)
def test_a_layer_computes_the_same_for_every_target(target: str) -> None:
    before = graph(LAYER)
    outcome = optimize(before.clone(), target=target)
    valid(before, outcome.model)
    same_numbers(before, outcome.model)
    assert outcome.restarts == 0


@pytest.mark.parametrize("target", ["cpu", "web"])
def test_residuals_become_gemms_where_providers_take_them(target: str) -> None:
    model = optimize(graph(LAYER), target=target).model
    assert census(model) == ATTENTION + WRITTEN_OUT + MERGED + FEED_FORWARD + Counter({"Gemm": 3})


def test_phones_get_gemms_with_constant_biases_and_residuals_beside_them() -> None:
    model = optimize(graph(LAYER), target="mobile").model
    assert census(model) == ATTENTION + WRITTEN_OUT + MERGED + FEED_FORWARD + Counter({"Gemm": 3, "Add": 3})
    third = [node.inputs[2] for node in model.graph if node.op_type == "Gemm"]
    assert all(value is not None and value.is_initializer() for value in third)


def test_a_residual_without_a_bias_stays_beside_its_product_on_phones() -> None:
    text = "(float[n, 4] x, float[n, 3] u) => (float[n, 3] y) <float[4, 3] W> { p = MatMul(x, W) y = Add(p, u) }"
    assert census(optimize(graph(text), target="cpu").model) == Counter({"Gemm": 1})
    assert census(optimize(graph(text), target="mobile").model) == Counter({"MatMul": 1, "Add": 1})


def test_no_target_is_the_cpu() -> None:
    assert census(optimize(graph(LAYER)).model) == census(optimize(graph(LAYER), target="cpu").model)


def test_an_unknown_target_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(GraphError, match="no target is called 'toaster'; known: cpu, mobile, web"):
        optimize(graph(LAYER), target="toaster")


def test_every_pass_reports_itself_and_its_nodes() -> None:
    said: list[str] = []
    outcome = optimize(graph(LAYER), progress=said.append)
    assert said == [step.name for step in outcome.steps]
    assert said[:3] == ["FoldAffine", "MergeLinear", "AccumulateResidual"]
    assert said[-1] == "NameNodes"
    assert [step.nodes_after for step in outcome.steps[:3]] == [20, 19, 16]
    befores = [step.nodes_before for step in outcome.steps]
    assert befores == [graph(LAYER).graph.num_nodes(), *(step.nodes_after for step in outcome.steps[:-1])]


def test_nodes_are_named_in_the_end() -> None:
    names = [node.name for node in optimize(graph(LAYER)).model.graph]
    assert names[0] == "layer.0/MatMul_0"
    assert names[-1] == "head/Add_0"


def test_constants_that_nothing_reads_are_gone() -> None:
    model = optimize(graph(LAYER)).model
    assert all(value.uses() for value in model.graph.initializers.values())


def test_samples_guard_against_cancellation() -> None:
    text = "(float[n, 4] x) => (float[n, 3] y) <float[4] beta, float[4, 3] W> { a = Add(x, beta) y = MatMul(a, W) }"
    model = graph(text, beta=np.full(4, 100.0))
    assert census(optimize(model.clone()).model) == Counter({"Gemm": 1})
    # x + β is random_feed's, and β a hundred times as large.
    guarded = optimize(model, samples={"x": random_feed(model)["x"] - 100})
    assert census(guarded.model) == Counter({"Add": 1, "MatMul": 1})
    assert guarded.restarts == 1


def test_the_opset_is_kept_or_raised() -> None:
    assert optimize(graph(LAYER)).model.opset_imports[""] == 18
    assert optimize(graph(LAYER), opset=20).model.opset_imports[""] == 20


def test_what_was_optimised_has_nothing_left_to_fold() -> None:
    leaves_alone(FoldAffine(bias_in_gemm=True), optimize(graph(LAYER), target="mobile").model)
