"""Judge of a rewritten graph: its error from the given graph in float64, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import LAYER, constant, graph

from graphs.errors import GraphError
from graphs.execution.centred_error import centred_error
from graphs.execution.error_bounds import BETWEEN_FLOAT32, BETWEEN_INT8, FLOAT32, FLOAT32_FACTOR, LARGEST_FLOAT32
from graphs.execution.judge import Judge, float64_runner

CHAIN = "(float[n, 4] x) => (float[n, 3] y) <float[4, 3] W, float[3] b> { y = Gemm(x, W, b) }"


def test_a_graph_is_as_far_from_float64_as_float32_takes_it() -> None:
    model = graph(LAYER)
    before = ir.to_proto(model)
    judge = Judge.of(model)
    assert ir.to_proto(model) == before
    assert judge.given is not None
    assert 0 < judge.given < FLOAT32
    assert judge.error(model) == judge.given
    assert judge.bound == FLOAT32
    assert {array.dtype for outputs in judge.reference for array in outputs.values()} == {np.dtype(np.float64)}


def test_a_graph_with_a_larger_error_has_a_larger_bound() -> None:
    # x + 10000 − 10000 in float32.
    text = "(float[n, 4] x) => (float[n, 4] y) <float[1] c> { a = Add(x, c) y = Sub(a, c) }"
    judge = Judge.of(graph(text, c=np.array([10000.0])))
    assert judge.given is not None
    assert judge.given > FLOAT32
    assert judge.bound == FLOAT32_FACTOR * judge.given


def test_the_error_of_another_graph() -> None:
    model = graph(CHAIN)
    judge = Judge.of(model)
    other = graph(CHAIN.replace("(x, W, b)", "<beta = 1.5> (x, W, b)"))
    expected = centred_error(judge.reference[0]["y"] + constant(model, "b") / 2, judge.reference[0]["y"])
    assert judge.error(other) == pytest.approx(expected, rel=1e-4)


def test_the_largest_error_of_all_outputs_counts() -> None:
    text = "(float[n, 4] x) => (float[n, 4] y, float[n, 4] z) { y = Neg(x) z = OP }"
    judge = Judge.of(graph(text.replace("OP", "Relu(x)")))
    both = judge.error(graph(text.replace("OP", "Abs(x)")))
    assert both > 0.5
    assert np.isnan(judge.error(graph(text.replace("OP", "Sqrt(x)"))))
    reversed_text = text.replace("y, float[n, 4] z", "z, float[n, 4] y")
    judge = Judge.of(graph(reversed_text.replace("OP", "Relu(x)")))
    error = judge.error(graph(reversed_text.replace("OP", "Sqrt(x)")))
    assert (
        judge.refusal("the file", error)
        == "the file is not the same model: z is NaN or infinite, but not in the given graph"
    )


def test_a_graph_without_a_counterpart_in_float64_is_compared_as_it_is() -> None:
    # onnxruntime has no OneHot that writes float64.
    text = "(int64[n, 2] x) => (float[n, 2, 3] y) <int64 depth = {3}, float[2] v> { y = OneHot(x, depth, v) }"
    model = graph(text)
    judge = Judge.of(model)
    assert (judge.given, judge.bound) == (None, BETWEEN_FLOAT32)
    assert judge.error(model) == 0


OVERFLOWING = "(float[n, 4] x) => (float[n, 4] y) <float[1] c> { a = Mul(x, c) y = Mul(a, c) }"


def test_a_graph_that_is_infinite_in_float32_is_refused() -> None:
    model = graph(OVERFLOWING, c=np.array([1e30]))
    with pytest.raises(GraphError, match=r"^the given graph's y is NaN or infinite in 8 of 8 values on sample"):
        Judge.of(model)
    # For callers that check it themselves, nothing is equal to it.
    assert np.isnan(Judge.of(model, refuse=False).error(model))


def test_a_weight_that_is_nan_is_named() -> None:
    with pytest.raises(GraphError, match=r"^the given graph's weight W has 1 of 3 values NaN or infinite; repair"):
        Judge.of(graph("(float[n, 3] x) => (float[n, 3] y) <float[3] W> { y = Mul(x, W) }", W=np.array([1, np.nan, 2])))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            "{ r = RandomUniformLike(x) y = Add(x, r) }",
            ", since it draws random numbers in 1 RandomUniformLike;",
        ),
        ("{ r = RandomUniformLike <seed = 1.0> (x) y = Add(x, r) }", "1 RandomUniformLike; export"),
        ("<float p = {0.5}, bool on = {1}> { y = Dropout(x, p, on) }", "1 Dropout; export it again after model.eval()"),
    ],
)
def test_a_graph_that_does_not_compute_the_same_twice_is_refused(text: str, what: str) -> None:
    with pytest.raises(GraphError, match=r"^the given graph does not compute the same twice: .* differ in y") as caught:
        Judge.of(graph(f"(float[n, 4] x) => (float[n, 4] y) {text}"))
    assert what in str(caught.value)


def test_random_numbers_that_no_output_depends_on_do_not_matter() -> None:
    text = """(float[n, 4] x) => (float[n, 4] y)
        { r = RandomUniformLike(x) s = Shape(r) z = ConstantOfShape(s) y = Add(x, z) }"""
    assert Judge.of(graph(text)).given == 0


def test_statistics_of_a_batch_are_refused() -> None:
    text = """(float[n, 4] x) => (float[n, 4] y) <float[4] s, float[4] b, float[4] m, float[4] v>
        { y, mean, variance = BatchNormalization <training_mode = 1> (x, s, b, m, v) }"""
    with pytest.raises(GraphError, match=r"^1 BatchNormalization nodes are in training mode, so an answer"):
        Judge.of(graph(text))


def test_the_bound_has_an_end() -> None:
    text = "(float[n, 4] x) => (float[n, 4] y) <float[1] c> { a = Add(x, c) y = Sub(a, c) }"
    model = graph(text, c=np.array([2e6]))
    judge = Judge.of(model)
    assert judge.given is not None
    assert judge.given > LARGEST_FLOAT32
    assert judge.bound == LARGEST_FLOAT32
    error = judge.error(model)
    line = judge.refusal("the optimised graph", error)
    assert line.startswith(f"float32 does not hold the given graph, which is {judge.given:.1e} from itself in float64")
    other = judge.error(graph("(float[n, 4] x) => (float[n, 4] y) { y = Neg(x) }"))
    assert judge.refusal("the file", other).startswith("the file is not the same model: centred error 3.9e+00 in y")


def test_a_quantized_graph_is_compared_as_onnxruntime_optimizes_it() -> None:
    """Its two scales in a row are one step of rounding there, and two in the graph as it is."""
    text = """(float[n, 4] x) => (float[n, 3] y) <float[4, 3] w>
        { q, s, z = DynamicQuantizeLinear(x) d = DequantizeLinear(q, s, z) y = MatMul(d, w) }"""
    model = graph(text)
    judge = Judge.of(model)
    assert judge.quantized
    assert (judge.given, judge.bound) == (None, BETWEEN_INT8)
    assert judge.error(model) == 0
    other = graph(text.replace("y = MatMul", "b = MatMul").replace(" }", " y = Neg(b) }"))
    assert judge.error(other) > 1


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            "(float[n, 4] x) => (float[n, 2] y) { y, rest = Split <axis = 1, num_outputs = 2> (x) }",
            r"y has the shape \(2, 2\), not \(2, 4\)",
        ),
        ("(float[n, 4] x) => (float[n, 4] z) { z = Neg(x) }", "the output y is missing; expected the outputs y"),
        ("(float[n, 4] x) => (float[4, n] y) { y = Transpose(x) }", r"y has the shape \(4, 2\), not \(2, 4\)"),
    ],
)
def test_outputs_of_another_name_or_shape_are_refused(other: str, message: str) -> None:
    judge = Judge.of(graph("(float[n, 4] x) => (float[n, 4] y) { y = Neg(x) }"))
    with pytest.raises(GraphError, match=message):
        judge.error(graph(other))


def broken() -> ir.Model:
    """A graph that onnxruntime loads, and cannot run."""
    return graph("(float[n, 4] x) => (float[m] y) <int64[1] to = {7}> { y = Reshape(x, to) }")


def test_a_graph_that_does_not_run_is_refused_at_once() -> None:
    with pytest.raises(GraphError, match=r"^onnxruntime does not run the graph as it is \(.*\); export it again$"):
        Judge.of(broken())


def test_a_rewritten_graph_that_does_not_run_is_our_mistake() -> None:
    judge = Judge.of(graph("(float[n, 4] x) => (float[m] y) <int64[1] to = {-1}> { y = Reshape(x, to) }"))
    with pytest.raises(GraphError, match=r"^the rewritten graph does not run in onnxruntime \(.*this is our mistake$"):
        judge.error(broken())


def test_a_file_is_judged_as_its_users_load_it(tmp_path: Path) -> None:
    model, path = graph(LAYER), tmp_path / "model.onnx"
    ir.save(model, path)
    judge = Judge.of(model)
    assert judge.error_of_file(path) <= judge.bound
    path.write_text("hello")
    with pytest.raises(GraphError, match=r"^the optimised file does not run in onnxruntime"):
        judge.error_of_file(path)


def test_a_model_is_run_in_float64() -> None:
    model = graph("(float[n, 2] x) => (float[n, 2] y) <float third = {0.33333334}> { y = Mul(x, third) }")
    feed = {"x": np.array([[3.0, 1e-3]], np.float32)}
    before = ir.to_proto(model)
    run, is_float64 = float64_runner(model, feed)
    assert is_float64
    assert run(feed)["y"].dtype == np.float64
    third = np.float64(np.float32(0.33333334))
    np.testing.assert_array_equal(run(feed)["y"], feed["x"].astype(np.float64) * third)
    assert ir.to_proto(model) == before


def test_a_model_without_float64_is_run_in_its_own_types() -> None:
    model = graph("(float[n, 2] x) => (float[n, 2] y) { y = Celu(x) }")
    feed = {"x": np.array([[3.0, -1.0]], np.float32)}
    run, is_float64 = float64_runner(model, feed)
    assert not is_float64
    assert run(feed)["y"].dtype == np.float32


def test_a_feed_that_does_not_fit_is_an_error_in_one_line() -> None:
    model = graph("(float[n, 2] x) => (float[n, 2] y) { y = Relu(x) }")
    with pytest.raises(GraphError, match="onnxruntime does not run the graph as it is") as caught:
        float64_runner(model, {"x": np.ones((1, 3), np.float32)})
    assert "\n" not in str(caught.value)
