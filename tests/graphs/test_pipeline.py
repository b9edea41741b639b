"""Pipeline: the passes of each target, and the nodes that remain of a layer."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graph_helpers import (
    LAYER,
    constant,
    graph,
    leaves_alone,
    random_feed,
    run,
    same_numbers,
    signature,
    structure,
    valid,
)
from text_models import bert, text_feed

from graphs.errors import GraphError
from graphs.execution.error_bounds import BETWEEN_INT8
from graphs.model.fingerprint import signature as digest
from graphs.passes.fold.fold_affine import FoldAffine
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
    assert said == [stage.name for stage in STAGES if "cpu" in stage.targets and "fp32" in stage.precisions]
    befores = [entry.nodes_before for entry in outcome.ledger]
    assert befores == [graph(LAYER).graph.num_nodes(), *(entry.nodes_after for entry in outcome.ledger[:-1])]
    fired = {entry.name: (entry.matches, entry.nodes_after) for entry in outcome.ledger if entry.matches}
    assert fired == {
        "clean-up": (1, 13),
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
    assert outcome.bound is not None
    assert outcome.error <= outcome.bound
    assert outcome.given_error is not None


def test_nothing_is_measured_where_nothing_shall_be_compared() -> None:
    outcome = optimize(graph(LAYER), compare=False)
    assert all(entry.error is None for entry in outcome.ledger)
    assert (outcome.error, outcome.bound, outcome.given_error) == (None, None, None)
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


def fused(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph if node.domain == "mbert")


@pytest.mark.parametrize("functions", [True, False])
@pytest.mark.parametrize("target", TARGETS)
def test_a_text_model_computes_the_same_for_every_target(target: str, functions: bool) -> None:
    before = bert()
    outcome = optimize(before.clone(), target=target, functions=functions)
    valid(before, outcome.model)
    same_numbers(before, outcome.model, text_feed())
    assert outcome.changed
    assert fused(outcome.model) == Counter({"Encoder": 1} if functions and target != "mobile" else {})
    assert bool(outcome.model.functions) == ("mbert" in outcome.model.opset_imports) == bool(fused(outcome.model))


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_optimised_stays_as_it_is(target: str) -> None:
    once = optimize(bert(), target=target).model
    before = digest(once)
    outcome = optimize(once, target=target)
    assert digest(outcome.model) == before
    assert not outcome.changed


def test_phones_get_no_functions_and_constant_biases() -> None:
    model = optimize(bert(), target="mobile").model
    assert not model.functions
    assert {node.domain for node in model.graph} == {""}
    third = [node.inputs[2] for node in model.graph if node.op_type == "Gemm" and len(node.inputs) > 2]
    assert third
    assert all(value is not None and value.is_initializer() for value in third)


def test_what_was_optimised_for_the_cpu_can_be_for_phones() -> None:
    model = optimize(optimize(bert()).model, target="mobile").model
    valid(bert(), model)
    same_numbers(bert(), model, text_feed())
    assert not model.functions
    gemms = [node for node in model.graph if node.op_type == "Gemm" and len(node.inputs) > 2]
    assert all(node.inputs[2] is not None and node.inputs[2].is_initializer() for node in gemms)


# One of two layers is not quite one; what is left of the functions; who says so, where, and why.
ONE_OF_TWO = {
    "another activation": (
        [("active_1 = Relu", "active_1 = Sigmoid")],
        Counter({"Encoder": 1, "BottleneckAttention": 1}),
        ("fuse-ffn", "the activation is Sigmoid; expected Relu"),
    ),
    "attention that is an output": (
        [("(float[b, s, 8] hidden)", "(float[b, s, 8] hidden, float[b, 2, s, s] weights_0)")],
        Counter({"Encoder": 1, "StackedFFN": 1}),
        ("fuse-attention", "attention probabilities are an output of the graph"),
    ),
}


@pytest.mark.parametrize("case", ONE_OF_TWO)
def test_one_of_two_layers_is_fused_and_the_ledger_says_why_the_other_is_not(case: str) -> None:
    changes, left, (name, reason) = ONE_OF_TWO[case]
    before = bert(*changes)
    outcome = optimize(before.clone())
    valid(before, outcome.model)
    same_numbers(before, outcome.model, text_feed())
    assert fused(outcome.model) == left
    (entry,) = [entry for entry in outcome.ledger if entry.name == name]
    assert [miss.reason for miss in entry.misses] == [reason]


def test_hidden_states_may_be_outputs() -> None:
    before = bert(("(float[b, s, 8] hidden)", "(float[b, s, 8] hidden, float[b, s, 8] h_0, float[b, s, 8] h_1)"))
    outcome = optimize(before.clone())
    valid(before, outcome.model)
    same_numbers(before, outcome.model, text_feed())
    assert fused(outcome.model) == Counter({"Encoder": 2})  # each of one layer, whose result is an output
    assert [key for key in outcome.model.functions if key[1] == "Encoder"] == [("mbert", "Encoder", "")]


def test_functions_of_an_earlier_run_are_written_out_at_every_level() -> None:
    once = optimize(bert()).model
    again = optimize(once.clone(), functions=False).model
    assert {node.domain for node in again.graph} == {""}
    assert not again.functions
    same_numbers(once, again, text_feed())


def test_only_the_passes_that_are_named_run() -> None:
    before = graph(LAYER)
    outcome = optimize(before.clone(), only=["merge-linear"])
    assert [entry.name for entry in outcome.ledger] == ["merge-linear"]
    assert outcome.changed
    valid(before, outcome.model)
    same_numbers(before, outcome.model)
    # Input, shared and value read one tensor, and query and key another.
    assert census(outcome.model) == census(before) - Counter({"Gemm": 3}) + Counter({"Split": 2})


def test_every_place_of_a_pass_that_is_named_counts() -> None:
    outcome = optimize(graph(LAYER), only=["clean-up", "name-nodes"])
    assert [entry.name for entry in outcome.ledger] == ["clean-up"] * 5 + ["name-nodes"] * 2


@pytest.mark.parametrize("name", sorted({stage.name for stage in STAGES if "fp32" in stage.precisions}))
def test_any_pass_alone_or_left_out_leaves_the_same_model(name: str) -> None:
    before = bert(layers=1)
    target = "mobile" if name == "separate-residual" else "cpu"
    run_all = [stage.name for stage in STAGES if target in stage.targets and "fp32" in stage.precisions]
    for only, skip in (([name], []), (None, [name])):
        outcome = optimize(before.clone(), target=target, only=only, skip=skip)
        assert [entry.name for entry in outcome.ledger] == [n for n in run_all if (n == name) == (only is not None)]
        valid(before, outcome.model)
        same_numbers(before, outcome.model, text_feed())


def test_a_pass_that_is_named_and_left_out_does_not_run() -> None:
    outcome = optimize(graph(LAYER), only=["merge-linear", "fold-affine"], skip=["fold-affine"])
    assert [entry.name for entry in outcome.ledger] == ["merge-linear"]


def test_no_pass_at_all_changes_nothing() -> None:
    before = graph(LAYER)
    outcome = optimize(before.clone(), only=[])
    assert (outcome.ledger, outcome.changed) == ([], False)
    assert structure(outcome.model) == structure(before)


@pytest.mark.parametrize("choice", ["only", "skip"])
def test_an_unknown_pass_is_refused_with_those_that_are_known(choice: str) -> None:
    names = ["merge-linear", "fold-afine"]
    with pytest.raises(GraphError, match=r"^no pass is called 'fold-afine'; known: accumulate-residual, .*, split-"):
        optimize(graph(LAYER), only=names if choice == "only" else None, skip=names if choice == "skip" else ())


def test_a_pass_of_another_target_is_known_and_does_not_run() -> None:
    outcome = optimize(graph(LAYER), target="mobile", only=["accumulate-residual", "fuse-ffn"])
    assert (outcome.ledger, outcome.changed) == ([], False)


UNCHANGED = {
    "a layer that stands alone": "(float[n, 4] x) => (float[n, 3] y) <float[4, 3] W, float[3] b> { y = Gemm(x, W, b) }",
    "a perceptron": """(float[n, 4] x) => (float[n, 2] y) <float[4, 6] V, float[6] a, float[6, 2] W, float[2] b>
        { h = Gemm(x, V, a) r = Relu(h) y = Gemm(r, W, b) }""",
    "convolutions": """(float[n, 3, 8, 8] x) => (float[n, 5] y) <float[4, 3, 3, 3] K, float[4] k, float[4, 5] W>
        { c = Conv <pads = [1, 1, 1, 1]> (x, K, k) r = Relu(c) p = GlobalAveragePool(r) f = Flatten(p)
          y = MatMul(f, W) }""",
    "nothing": "(float[n, 4] x) => (float[n, 4] x) { }",
    "branches": """(float[n, 4] x, bool c) => (float[n, 4] y) <float[4] w>
        { y = If (c) <then_branch = g () => (float[n, 4] a) { h = Relu(x) a = Mul(h, w) },
                      else_branch = e () => (float[n, 4] b) { b = Neg(x) }> }""",
    "a loop": """(float[2] x, int64 count, bool go) => (float[2] y) <float[2] w>
        { y = Loop (count, go, x) <body = l (int64 i, bool on, float[2] u) => (bool still, float[2] v)
            { still = Identity(on) v = Add(u, w) }> }""",
    "a constant that is an output": "(float[n] x) => (float[n] y, float[2] w) <float[2] w> { y = Relu(x) }",
    "strings": "(string[n] x) => (string[n] y) { y = StringNormalizer <case_change_action = \"UPPER\"> (x) }",
}  # fmt: skip


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("case", UNCHANGED)
def test_where_nothing_applies_nothing_changes(case: str, target: str) -> None:
    before = graph(UNCHANGED[case])
    outcome = optimize(before.clone(), target=target, compare=case not in ("nothing", "strings"))
    assert not outcome.changed
    assert structure(outcome.model) == structure(before)
    assert signature(outcome.model) == signature(before)


def test_equal_constants_become_one_and_that_alone_is_no_change() -> None:
    text = """(float[n, 4] x) => (float[n, 3] y, float[n, 3] z) <float[4, 3] V, float[4, 3] W>
        { r = Relu(x) y = MatMul(x, V) z = MatMul(r, W) }"""
    same = np.ones((4, 3))
    before = graph(text, V=same, W=same)
    outcome = optimize(before.clone())
    assert not outcome.changed
    valid(before, outcome.model)
    same_numbers(before, outcome.model)


def test_a_constant_that_is_folded_and_an_output_stays_an_output() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 3] y, float[4] gamma, float[4, 3] W)
        <float[4] gamma, float[4, 3] W> { a = Mul(x, gamma) y = MatMul(a, W) }""")
    outcome = optimize(before.clone())
    valid(before, outcome.model)
    same_numbers(before, outcome.model)
    found = run(outcome.model, random_feed(before))
    np.testing.assert_array_equal(found["gamma"], constant(before, "gamma").astype(np.float32))


# The bodies use the names of values, constants and nodes outside.
SHARED_NAMES = """(float[n, 4] x, bool c) => (float[n, 4] y)
    <float[4] gamma, float[4] beta, float[4, 4] W, float[4, 4] V>
    {
        a = Mul(x, gamma) b = Add(a, beta) m = MatMul(b, W) k = MatMul(b, V)
        i = If (c) <
            then_branch = g () => (float[n, 4] t) { p = Mul(b, gamma) t = MatMul(p, W) },
            else_branch = h () => (float[n, 4] t) { p = Relu(m) t = Add(p, beta) }>
        s = Add(i, k)
        y = Add(s, m)
    }"""


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("condition", [True, False])
def test_branches_that_read_what_is_rewritten_around_them(target: str, condition: bool) -> None:
    before = graph(SHARED_NAMES)
    outcome = optimize(before.clone(), target=target)
    valid(before, outcome.model)
    same_numbers(before, outcome.model, {**random_feed(before), "c": np.array(condition)})


def test_a_loop_that_reads_what_is_rewritten_around_it() -> None:
    before = graph("""(float[2, 4] x, int64 count, bool go) => (float[2, 4] y) <float[4] gamma, float[4, 4] W>
        {
            a = Mul(x, gamma) m = MatMul(a, W)
            z = Loop (count, go, m) <body = l (int64 i, bool on, float[2, 4] u) => (bool still, float[2, 4] v)
                { still = Identity(on) p = MatMul(u, W) v = Add(p, a) }>
            y = Add(z, m)
        }""")
    outcome = optimize(before.clone())
    valid(before, outcome.model)
    feed = {"x": random_feed(before)["x"], "count": np.array(3), "go": np.array(True)}
    same_numbers(before, outcome.model, feed)


def test_functions_of_somebody_else_stay() -> None:
    text = """<ir_version: 10, opset_import: ["" : 18, "theirs" : 1]>
        g (float[n, 4] x) => (float[n, 4] y) <float[4] gamma, float[4, 4] W>
        { a = Mul(x, gamma) m = MatMul(a, W) y = theirs.Twice(m) }
        <domain: "theirs", opset_import: ["" : 18]> Twice (u) => (v) { v = Add(u, u) }"""
    proto = onnx.parser.parse_model(
        text.replace(
            "<float[4] gamma, float[4, 4] W>",
            "<float[4] gamma = {1, 2, 3, 4}, float[4, 4] W = {" + ", ".join(map(str, range(16))) + "}>",
        )
    )
    before = ir.from_proto(proto)
    outcome = optimize(before.clone())
    valid(before, outcome.model)
    assert outcome.changed
    assert census(outcome.model) == Counter({"MatMul": 1, "Twice": 1})
    assert [identifier[0] for identifier in outcome.model.functions] == ["theirs"]
    feed = random_feed(before)
    np.testing.assert_allclose(run(outcome.model, feed)["y"], run(before, feed)["y"], rtol=1e-5, atol=1e-4)


def test_a_function_of_somebody_else_alone_is_no_change() -> None:
    text = """<ir_version: 10, opset_import: ["" : 18, "theirs" : 1]>
        g (float[n, 4] x) => (float[n, 4] y) { y = theirs.Twice(x) }
        <domain: "theirs", opset_import: ["" : 18]> Twice (u) => (v) { v = Add(u, u) }"""
    outcome = optimize(ir.from_proto(onnx.parser.parse_model(text)))
    assert not outcome.changed
    assert len(outcome.model.functions) == 1


# Graphs that are not at inference in float32


DROPPED = """(float[n, 4] x) => (float[n, 3] y) <float[4, 3] W, float p = {0.5}, bool on = {1}>
    { d = Dropout(x, p, on) y = MatMul(d, W) }"""


def test_live_dropout_is_removed_before_anything_is_compared() -> None:
    outcome = optimize(graph(DROPPED))
    assert (outcome.ledger[0].name, outcome.ledger[0].matches, outcome.changed) == ("remove-dropout", 1, True)
    assert outcome.error is not None
    assert outcome.error < 1e-6
    assert [node.op_type for node in outcome.model.graph] == ["MatMul"]
    assert len(outcome.notes) == 1
    with pytest.raises(GraphError, match="does not compute the same twice"):
        optimize(graph(DROPPED), skip=["remove-dropout"])


def test_half_precision_is_optimized_in_float32() -> None:
    text = LAYER.replace("float[", "float16[")
    outcome = optimize(graph(text))
    assert census(outcome.model) == census(optimize(graph(LAYER)).model)
    assert outcome.error is not None
    assert outcome.error < 1e-5
    assert {value.dtype for value in (*outcome.model.graph.inputs, *outcome.model.graph.outputs)} == {ir.DataType.FLOAT}
    assert outcome.ledger[1].name == "widen-half"
    assert outcome.ledger[1].bytes_saved < 0


def test_half_precision_that_overflows_is_refused_although_float32_would_not() -> None:
    text = "(float16[n, 4] x) => (float16[n, 4] y) <float16[1] big> { a = Mul(x, big) y = Mul(a, big) }"
    model = graph(text, big=np.array([6e4]))
    with pytest.raises(GraphError, match=r"y is NaN or infinite in .* \(the first such tensor is a, the result of Mul"):
        optimize(model.clone())
    assert optimize(model.clone(), compare=False).changed


def test_products_in_8_bits_are_left_alone() -> None:
    text = """(float[n, 4] x) => (float[n, 3] y) <int8[4, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3}, float s = {0.5}>
        { q, t, z = DynamicQuantizeLinear(x) p = MatMulInteger(q, w, z) f = Cast <to = 1> (p) g = Mul(f, t)
          y = Mul(g, s) }"""
    before = graph(text)
    for precision in ("fp32", "int8"):
        outcome = optimize(before.clone(), precision=precision)
        assert ([entry.name for entry in outcome.ledger], outcome.changed) == (["remove-dropout"], False)
        assert structure(outcome.model) == structure(before)
    outcome = optimize(before.clone(), opset=21)
    assert outcome.changed
    assert outcome.bound == BETWEEN_INT8
    assert outcome.error is not None
    assert outcome.error <= BETWEEN_INT8


def test_blocks_of_an_earlier_run_of_another_opset() -> None:
    """onnxruntime runs them."""
    model = optimize(bert(), compare=False).model
    function = next(iter(model.functions.values()))
    function.opset_imports[""] = 7
    with pytest.raises(GraphError, match=r"blocks of an earlier run cannot be written out \(Opset mismatch .*\); opt"):
        optimize(model, compare=False)
