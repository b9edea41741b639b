"""Which passes run for which target, and what they leave of a layer."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import LAYER, graph, leaves_alone, same_numbers, valid

from graphs.errors import GraphError
from graphs.passes.fold_affine import FoldAffine
from graphs.pipeline import STAGES, TARGETS, optimize

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
    model = optimize(graph(LAYER), target=target, functions=False).model
    assert census(model) == ATTENTION + WRITTEN_OUT + MERGED + FEED_FORWARD + Counter({"Gemm": 3})


@pytest.mark.parametrize("target", ["cpu", "web"])
def test_blocks_become_operators_where_providers_take_functions(target: str) -> None:
    model = optimize(graph(LAYER), target=target).model
    # Of the Gemms, the attention's is left.
    assert census(model) == ATTENTION + WRITTEN_OUT + MERGED + Counter({"Gemm": 1, "StackedFFN": 1})
    assert [identifier[:2] for identifier in model.functions] == [("mbert", "StackedFFN")]


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
    assert said == [entry.name for entry in outcome.ledger]
    assert said == [stage.name for stage in STAGES if "cpu" in stage.targets]
    befores = [entry.nodes_before for entry in outcome.ledger]
    assert befores == [graph(LAYER).graph.num_nodes(), *(entry.nodes_after for entry in outcome.ledger[:-1])]
    fired = {entry.name: (entry.matches, entry.nodes_after) for entry in outcome.ledger if entry.matches}
    assert fired == {
        "clean-up": (1, 16),
        "fold-affine": (11, 20),
        "merge-linear": (2, 19),
        "accumulate-residual": (3, 16),
        "fuse-ffn": (1, 13),
        "name-nodes": (13, 13),
    }


def test_the_ledger_says_what_was_saved_and_how_far_the_graph_is_from_the_first() -> None:
    outcome = optimize(graph(LAYER))
    by_name = {entry.name: entry for entry in outcome.ledger}
    # γ, β and biases are gone: 5 · (8 or 4) scales and shifts, less those that were written out again.
    assert by_name["fold-affine"].bytes_saved > 0
    assert all(entry.macs_saved == 0 for entry in outcome.ledger)
    assert all((entry.error is None) == (entry.matches == 0) for entry in outcome.ledger)
    assert outcome.error is not None
    assert outcome.bar is not None
    assert outcome.error <= outcome.bar
    assert outcome.given_error is not None


def test_nothing_is_measured_where_nothing_shall_be_compared() -> None:
    outcome = optimize(graph(LAYER), compare=False)
    assert all(entry.error is None for entry in outcome.ledger)
    assert (outcome.error, outcome.bar, outcome.given_error) == (None, None, None)
    same_numbers(graph(LAYER), outcome.model)


def test_nodes_are_named_in_the_end() -> None:
    names = [node.name for node in optimize(graph(LAYER)).model.graph]
    assert names[0] == "layer.0/MatMul_0"
    assert names[-1] == "head/Add_0"


def test_constants_that_nothing_reads_are_gone() -> None:
    model = optimize(graph(LAYER)).model
    assert all(value.uses() for value in model.graph.initializers.values())


def test_comparing_guards_against_cancellation() -> None:
    # far is x − 69, and β takes the 69 away again: β·W is much larger than what it would be added to.
    text = """(float[n, 4] x) => (float[n, 3] y) <float[1] tiny, float[4] beta, float[4, 3] W>
        { e = Exp(x) p = Mul(e, tiny) far = Log(p) a = Add(far, beta) y = MatMul(a, W) }"""
    model = graph(text, tiny=np.array([1e-30]), beta=np.full(4, 69.0))
    before = Counter({"Exp": 1, "Mul": 1, "Log": 1})
    assert census(optimize(model.clone(), compare=False).model) == before + Counter({"Gemm": 1})
    guarded = optimize(model)
    assert census(guarded.model) == before + Counter({"Add": 1, "MatMul": 1})
    assert guarded.restarts == 1


def test_the_opset_is_kept_or_raised() -> None:
    assert optimize(graph(LAYER)).model.opset_imports[""] == 18
    assert optimize(graph(LAYER), opset=20).model.opset_imports[""] == 20


def test_what_was_optimised_has_nothing_left_to_fold() -> None:
    leaves_alone(FoldAffine(bias_in_gemm=True), optimize(graph(LAYER), target="mobile").model)
