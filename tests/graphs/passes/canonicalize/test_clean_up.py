"""Clean-up by libraries, and changes that it must not make to any graph."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import Arrays, constant, graph, leaves_alone, run, same_numbers, structure, valid

from graphs.model.constant_folding import LARGEST_FOLDED, fold_small_constants
from graphs.passes.canonicalize.clean_up import CleanUp


def cleaned(before: ir.Model) -> ir.Model:
    after = before.clone()
    CleanUp()(after)
    valid(before, after)
    leaves_alone(CleanUp(), after)
    return after


def same_results(before: ir.Model, after: ir.Model, feed: Arrays) -> None:
    """As `same_numbers`, for graphs whose types the judge in float64 cannot change: exactly the same."""
    found = run(after, feed)
    for name, expected in run(before, feed).items():
        np.testing.assert_array_equal(found[name], expected)


def test_small_constants_are_folded_and_equal_computations_done_once() -> None:
    before = graph("""(float[b, 6] x) => (float[a, 2, 3] y, float[c, 2, 3] z)
        <int64[1] any = {-1}, int64[1] two = {2}, int64[1] three = {3}>
        { target = Concat <axis = 0> (any, two, three) a = Relu(x) y = Reshape(a, target)
          target2 = Concat <axis = 0> (any, two, three) c = Relu(x) w = Reshape(c, target2) z = Neg(w) }""")
    after = cleaned(before)
    same_numbers(before, after)
    assert sorted(node.op_type for node in after.graph) == ["Neg", "Relu", "Reshape"]
    assert [constant(after, name).tolist() for name in after.graph.initializers] == [[-1, 2, 3]]


def test_constants_of_nodes_become_initializers() -> None:
    before = graph("""(float[b, 2] x) => (float[b, 2] y)
        { c = Constant <value = float[2] {1, 2}> () d = Constant <value_float = 2.0> ()
          z = Mul(x, c) y = Add(z, d) }""")
    after = cleaned(before)
    assert structure(after).splitlines() == ["v0.0 = Mul(x, c)", "y = Add(v0.0, d)"]
    same_results(before, after, {"x": np.ones((3, 2), np.float32)})


def test_matches_are_the_nodes_that_are_gone() -> None:
    step = CleanUp()
    step(graph("(float[b, 2] x) => (float[b, 2] y) { a = Relu(x) c = Relu(x) dead = Neg(x) y = Add(a, c) }"))
    assert step.matches == 2


def test_equal_constants_become_one_and_count_as_a_match() -> None:
    before = graph("""(float[b, 6] x) => (float[2, a] y, float[2, c] z)
        <int64[2] first = {2, -1}, int64[2] second = {2, -1}>
        { y = Reshape(x, first) r = Relu(x) z = Reshape(r, second) }""")
    step = CleanUp()
    after = before.clone()
    assert step(after).modified
    assert len(after.graph.initializers) == 1
    assert step.matches == 1
    leaves_alone(CleanUp(), after)


def test_large_constants_that_are_needed_as_they_are_are_not_folded() -> None:
    rows = LARGEST_FOLDED // 64 + 1
    before = graph(f"""(float[b, 64] x) => (float[b, 64] y) <float[{rows}, 64] W>
        {{ V = Transpose(W) z = MatMul(x, V) y = MatMul(z, W) }}""")
    assert structure(cleaned(before)) == structure(before)
    assert not fold_small_constants(before)


@pytest.mark.parametrize(
    ("kept", "widened"),
    [
        ("float16[{rows}, 64] W", "V = Cast <to = 1> (W)"),
        ("bfloat16[{rows}, 64] W", "V = Cast <to = 1> (W)"),
        ("int8[{rows}, 64] W, float[{rows}, 1] S", "U = Cast <to = 1> (W) V = Mul(U, S)"),
    ],
)
def test_weights_kept_in_fewer_bits_are_widened_whatever_their_size(kept: str, widened: str) -> None:
    rows = LARGEST_FOLDED // 64 + 1
    before = graph(f"""(float[b, {rows}] x) => (float[b, 64] y) <{kept.format(rows=rows)}>
        {{ {widened} y = MatMul(x, V) }}""")
    after = cleaned(before)
    assert [node.op_type for node in after.graph] == ["MatMul"]
    [weight] = after.graph.initializers.values()
    assert weight.dtype == ir.DataType.FLOAT
    same_results(before, after, {"x": np.random.default_rng(0).random((3, rows), np.float32)})


def test_large_constants_are_widened_from_half_precision_to_single_alone() -> None:
    rows = LARGEST_FOLDED // 64 + 1
    before = graph(f"""(double[b, {rows}] x, float16[b, {rows}] u) => (double[b, 64] y, float16[b, 64] w)
        <float16[{rows}, 64] W, float[{rows}, 64] U>
        {{ V = Cast <to = 11> (W) y = MatMul(x, V) T = Cast <to = 10> (U) w = MatMul(u, T) }}""")
    assert structure(cleaned(before)) == structure(before)


@pytest.mark.parametrize(("size", "expected"), [(4, ["Add"]), (4096, ["ConstantOfShape", "Add"])])
def test_paddings_are_folded_where_they_are_small(size: int, expected: list[str]) -> None:
    before = graph(f"""(float[b, {size}] x) => (float[b, {size}] y) <int64[1] shape = {{{size}}}>
        {{ z = ConstantOfShape(shape) y = Add(x, z) }}""")
    after = cleaned(before)
    assert [node.op_type for node in after.graph] == expected
    same_results(before, after, {"x": np.ones((3, size), np.float32)})


def test_equal_outputs_are_two() -> None:
    before = graph("(float[b, 2] x) => (float[b, 2] y, float[b, 2] z) { y = Relu(x) z = Relu(x) }")
    after = cleaned(before)
    same_numbers(before, after)


def test_random_numbers_are_drawn_as_often_as_before() -> None:
    before = graph(
        "(float[b, 2] x) => (float[b, 2] y) { a = RandomNormalLike(x) c = RandomNormalLike(x) y = Sub(a, c) }"
    )
    after = cleaned(before)
    assert [node.op_type for node in after.graph] == ["RandomNormalLike", "RandomNormalLike", "Sub"]
    assert np.any(run(after, {"x": np.zeros((3, 2), np.float32)})["y"] != 0)


def test_attributes_and_types_make_a_difference() -> None:
    before = graph("""(float[4, 4] x) => (float[4, 4] y, double[4, 4] z, float16[4, 4] w)
        { a = Softmax <axis = 0> (x) c = Softmax <axis = 1> (x) y = Sub(a, c)
          z = Cast <to = 11> (x) w = Cast <to = 10> (x) }""")
    assert structure(cleaned(before)) == structure(before)


def test_branches_compute_the_same() -> None:
    before = graph("""(float[b, 2] x, bool yes) => (float[b, 2] y)
        { a = Relu(x) c = Relu(x)
          y = If (yes) <then_branch = t () => (float[b, 2] p)
                { k = Constant <value_float = 2.0> () m = Relu(x) p = Mul(m, k) },
              else_branch = e () => (float[b, 2] q)
                { q0 = Add(a, c) k = Constant <value_float = 3.0> () q = Mul(q0, k) }> }""")
    after = cleaned(before)
    x = np.array([[1, -2], [3, 4]], np.float32)
    for yes in (True, False):
        same_results(before, after, {"x": x, "yes": np.array(yes)})


def test_operators_of_others_are_not_modified() -> None:
    before = graph("(float[b, 2] x) => (float[b, 2] y) { a = Relu(x) c = Neg(a) y = Relu(c) }")
    for node in before.graph:
        node.domain = "com.example"
    before.opset_imports["com.example"] = 1
    text = structure(before)
    CleanUp()(before)
    assert structure(before) == text
    assert before.opset_imports["com.example"] == 1


def test_a_default_that_a_caller_may_replace_is_not_folded() -> None:
    before = graph("(float[b, 2] x) => (float[b, 2] y) <float[2] w, float[2] v> { u = Add(w, v) y = Mul(x, u) }")
    before.graph.inputs.append(before.graph.initializers["w"])
    after = cleaned(before)
    x = np.ones((1, 2), np.float32)
    same_numbers(before, after, {"x": x})
    same_numbers(before, after, {"x": x, "w": np.array([5, 6], np.float32)})


def test_a_constant_that_is_an_output_stays() -> None:
    before = graph("(float[b, 2] x) => (float[b, 2] y, float[2] v) <float[2] w> { v = Neg(w) y = Mul(x, v) }")
    after = cleaned(before)
    same_numbers(before, after)
