"""How far a rewritten graph is from the one it was made from: numbers that were worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import LAYER, constant, graph

from graphs.errors import GraphError
from graphs.execution.judge import ABSOLUTE_BAR, BETWEEN_FILES_BAR, FACTOR, Judge, centred_error, float64_runner

INF, NAN = math.inf, math.nan


def numbers(*rows: object) -> np.ndarray:
    return np.array(rows, np.float32)


def test_the_error_is_relative_to_what_varies() -> None:
    # Means 101 and 1; spread √4 = 2; difference 1.
    judge = numbers([100, 0], [102, 2])
    assert centred_error(numbers([100, 0], [102, 3]), judge) == pytest.approx(0.5)


def test_a_mean_is_that_of_a_channel_over_all_tokens() -> None:
    # Channels 0, 2, 4, 6 and 10, 10, 10, 10: the spread is √(9 + 1 + 1 + 9), the difference 2.
    judge = numbers([[0, 10], [2, 10]], [[4, 10], [6, 10]])
    found = judge.copy()
    found[0, 1, 1] = 12
    assert centred_error(found, judge) == pytest.approx(2 / math.sqrt(20))


def test_a_vector_is_centred_as_a_whole() -> None:
    assert centred_error(numbers(11, 13), numbers(11, 14)) == pytest.approx(1 / math.sqrt(4.5))


@pytest.mark.parametrize("shape", [(2,), (1, 2), (1, 1, 2)])
def test_a_single_row_is_relative_to_what_it_is_and_a_vector_is_not(shape: tuple[int, ...]) -> None:
    found, judge = np.reshape([3.0, 5.0], shape), np.reshape([3.0, 4.0], shape)
    assert centred_error(found, judge) == pytest.approx(1 / (math.sqrt(0.5) if len(shape) == 1 else 5))


def test_a_scalar_is_relative_to_what_it_is() -> None:
    assert centred_error(np.array(3.0), np.array(2.0)) == pytest.approx(0.5)


def test_what_is_nearly_constant_is_relative_to_its_size() -> None:
    judge = np.full((100, 2), 3.0) + 1e-7 * np.arange(100)[:, None]
    assert centred_error(judge + 3e-6, judge) == pytest.approx(1e-6, rel=1e-3)


def test_what_is_the_same_has_no_error_however_little_it_varies() -> None:
    assert centred_error(np.ones((3, 2)), np.ones((3, 2))) == 0
    assert centred_error(np.ones((3, 2)) + 1e-9, np.zeros((3, 2))) == INF
    assert centred_error(np.zeros((0, 2)), np.zeros((0, 2))) == 0


def test_float32_is_judged_in_float64() -> None:
    judge = np.array([1e30, -1e30])
    assert centred_error(numbers(1e30, -1e30), judge) < 1e-7


def test_rows_of_padding_are_not_compared() -> None:
    mask = np.array([[1, 1, 0], [1, 0, 0]])
    judge = np.arange(12.0).reshape(2, 3, 2)
    found = judge.copy()
    found[0, 2] = found[1, 1:] = NAN
    assert centred_error(found, judge, mask) == 0
    found[1, 0, 0] = 7
    # Of the real rows [0, 1], [2, 3] and [6, 7]: twice the spread of 0, 2, 6, and a difference of 1.
    assert centred_error(found, judge, mask) == pytest.approx(1 / math.sqrt(2 * 56 / 3))


def test_texts_without_a_token_are_not_compared() -> None:
    mask = np.array([[1, 0], [0, 0], [1, 1]])
    judge = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    found = judge.copy()
    found[1] = NAN
    assert centred_error(found[:, None], judge[:, None], mask) == 0
    found[2, 0] = NAN
    assert np.isnan(centred_error(found[:, None], judge[:, None], mask))


def test_a_mask_of_another_batch_hides_nothing() -> None:
    judge = np.arange(6.0).reshape(3, 2)
    assert centred_error(judge + np.eye(3, 2), judge, np.zeros((2, 2), np.int64)) > 0


def test_infinities_and_nans_that_are_the_same_are_no_error() -> None:
    judge = numbers([-INF, 0], [NAN, 2])
    assert centred_error(judge, judge) == 0
    # Without them: 0, 0 and 0, 2 around 0 and 1, so the spread is √2.
    assert centred_error(numbers([-INF, 1], [NAN, 2]), judge) == pytest.approx(1 / math.sqrt(2))


@pytest.mark.parametrize(("found", "judge", "error"), [(NAN, 1, NAN), (1, NAN, NAN), (INF, 1, INF), (INF, -INF, INF)])
def test_infinities_and_nans_that_differ_pass_no_bar(found: float, judge: float, error: float) -> None:
    result = centred_error(numbers([found], [2], [3]), numbers([judge], [2], [4]))
    assert result == pytest.approx(error, nan_ok=True)
    assert not result <= 1


def test_what_is_no_float_differs_or_not() -> None:
    assert centred_error(np.array([1, 2]), np.array([1, 2])) == 0
    assert centred_error(np.array([1, 2]), np.array([1, 3])) == INF
    assert centred_error(np.array([True]), np.array([False])) == INF


CHAIN = "(float[n, 4] x) => (float[n, 3] y) <float[4, 3] W, float[3] b> { y = Gemm(x, W, b) }"


def test_a_graph_is_as_far_from_float64_as_float32_takes_it() -> None:
    model = graph(LAYER)
    before = ir.to_proto(model)
    judge = Judge.of(model)
    assert ir.to_proto(model) == before
    assert judge.given is not None
    assert 0 < judge.given < ABSOLUTE_BAR
    assert judge.error(model) == judge.given
    assert judge.bar == ABSOLUTE_BAR
    assert {array.dtype for outputs in judge.reference for array in outputs.values()} == {np.dtype(np.float64)}


def test_a_graph_that_loses_more_sets_a_wider_bar() -> None:
    # x + 10000 − 10000 in float32.
    text = "(float[n, 4] x) => (float[n, 4] y) <float[1] c> { a = Add(x, c) y = Sub(a, c) }"
    judge = Judge.of(graph(text, c=np.array([10000.0])))
    assert judge.given is not None
    assert judge.given > ABSOLUTE_BAR
    assert judge.bar == FACTOR * judge.given


def test_another_graph_is_as_far_as_it_is() -> None:
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
    assert np.isnan(judge.error(graph(reversed_text.replace("OP", "Sqrt(x)"))))


def test_a_graph_without_a_counterpart_in_float64_is_compared_as_it_is() -> None:
    # onnxruntime has no OneHot that writes float64.
    text = "(int64[n, 2] x) => (float[n, 2, 3] y) <int64 depth = {3}, float[2] v> { y = OneHot(x, depth, v) }"
    model = graph(text)
    judge = Judge.of(model)
    assert (judge.given, judge.bar) == (None, BETWEEN_FILES_BAR)
    assert judge.error(model) == 0


def test_a_graph_that_is_infinite_in_float32_is_compared_as_it_is() -> None:
    text = "(float[n, 4] x) => (float[n, 4] y) <float[1] c> { a = Mul(x, c) y = Mul(a, c) }"
    model = graph(text, c=np.array([1e30]))
    judge = Judge.of(model)
    assert judge.given is None
    assert judge.error(model) == 0


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            "(float[n, 4] x) => (float[n, 2] y) { y, rest = Split <axis = 1, num_outputs = 2> (x) }",
            r"y has the shape \(2, 2\), not \(2, 4\)",
        ),
        ("(float[n, 4] x) => (float[n, 4] z) { z = Neg(x) }", "y is gone; expected the outputs y"),
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
    assert judge.error_of_file(path) <= judge.bar
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


def test_what_has_no_float64_is_run_as_it_is() -> None:
    model = graph("(float[n, 2] x) => (float[n, 2] y) { y = Celu(x) }")
    feed = {"x": np.array([[3.0, -1.0]], np.float32)}
    run, is_float64 = float64_runner(model, feed)
    assert not is_float64
    assert run(feed)["y"].dtype == np.float32


def test_a_feed_that_is_not_taken_is_one_line() -> None:
    model = graph("(float[n, 2] x) => (float[n, 2] y) { y = Relu(x) }")
    with pytest.raises(GraphError, match="onnxruntime does not run the graph as it is") as caught:
        float64_runner(model, {"x": np.ones((1, 3), np.float32)})
    assert "\n" not in str(caught.value)
