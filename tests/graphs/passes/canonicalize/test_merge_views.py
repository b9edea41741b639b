"""Chains of views, as one."""

from __future__ import annotations

import numpy as np
import pytest
from graph_helpers import becomes, graph, leaves_alone, same_numbers, valid

from graphs.passes.canonicalize.merge_views import MergeViews
from graphs.passes.canonicalize.simplify_shapes import SimplifyShapes


def test_a_transpose_in_three_dimensions_is_done_in_four() -> None:
    before = graph("""(float[b, 4, 5, 8] key) => (float[b, 4, 8, 5] y)
        <int64[3] merged = {-1, 5, 8}, int64[4] split = {-1, 4, 8, 5}>
        { a = Reshape(key, merged) t = Transpose <perm = [0, 2, 1]> (a) y = Reshape(t, split) }""")
    SimplifyShapes()(before)
    becomes(MergeViews(), before, "y = Transpose <perm = [0, 1, 3, 2]> (key)")


def test_sizes_may_be_dynamic() -> None:
    before = graph("""(float[b, 4, s, 8] key) => (float[b, 4, 8, s] y)
        <int64[1] any = {-1}, int64[1] width = {8}, int64[2] heads = {4, 8}>
        { size = Shape <start = 2, end = 3> (key) merged = Concat <axis = 0> (any, size, width) a = Reshape(key, merged)
          t = Transpose <perm = [0, 2, 1]> (a) split = Concat <axis = 0> (any, heads, size) u = Reshape(t, split)
          y = Relu(u) }""")
    SimplifyShapes()(before)
    becomes(MergeViews(), before, "t = Transpose <perm = [0, 1, 3, 2]> (key) y = Relu(t)")


def test_two_transposes_are_one() -> None:
    before = graph("""(float[2, 3, 4, 5] x) => (float[2, 5, 4, 3] y)
        { a = Transpose <perm = [0, 2, 1, 3]> (x) b = Transpose <perm = [0, 3, 1, 2]> (a) y = Relu(b) }""")
    becomes(MergeViews(), before, "t = Transpose <perm = [0, 3, 2, 1]> (x) y = Relu(t)")


def test_a_transpose_and_its_reverse_are_none() -> None:
    before = graph("""(float[2, 3] x) => (float[2, 3] y)
        { a = Transpose <perm = [1, 0]> (x) b = Transpose <perm = [1, 0]> (a) y = Relu(b) }""")
    becomes(MergeViews(), before, "b = Identity(x) y = Relu(b)")


@pytest.mark.parametrize(("inner", "outer"), [(1, 0), (0, 3), (2, 2), (-1, 0), (0, -1), (1, -2)])
def test_two_unsqueezes_are_one_that_computes_the_same(inner: int, outer: int) -> None:
    before = graph(
        """(float[2, 3] x) => (float[a, c, d, e] y) <int64[1] i, int64[1] o>
        { a = Unsqueeze(x, i) b = Unsqueeze(a, o) y = Relu(b) }""",
        i=np.array([inner]),
        o=np.array([outer]),
    )
    after = before.clone()
    MergeViews()(after)
    valid(before, after)
    same_numbers(before, after)


@pytest.mark.parametrize(
    ("merged", "perm", "split"),
    [
        pytest.param("-1, 5, 8", "0, 2, 1", "-1, 4, 5, 8", id="rows and columns are mixed up"),
        pytest.param("-1, 5, 8", "0, 2, 1", "-1, 2, 8, 10", id="other heads"),
        pytest.param("-1, 5, 8", "1, 2, 0", "-1, 4, 8, 5", id="another order"),
        pytest.param("-1, 10, 4", "0, 2, 1", "-1, 4, 8, 5", id="other rows"),
        pytest.param("5, -1, 8", "0, 2, 1", "-1, 4, 8, 5", id="rows first"),
    ],
)
def test_other_transposes_in_three_dimensions_are_not_modified(merged: str, perm: str, split: str) -> None:
    before = graph(f"""(float[b, 4, 5, 8] key) => (float[a, c, d, e] y)
        <int64[3] merged = {{{merged}}}, int64[4] split = {{{split}}}>
        {{ a = Reshape(key, merged) t = Transpose <perm = [{perm}]> (a) y = Reshape(t, split) }}""")
    SimplifyShapes()(before)
    leaves_alone(MergeViews(), before)


def test_four_dimensions_that_are_merged_otherwise_are_not_modified() -> None:
    before = graph("""(float[4, 5, 2, 8] key) => (float[4, 5, 8, 2] y)
        <int64[3] merged = {4, 10, 8}, int64[4] split = {4, 5, 8, 2}>
        { a = Reshape(key, merged) t = Transpose <perm = [0, 2, 1]> (a) y = Reshape(t, split) }""")
    SimplifyShapes()(before)
    leaves_alone(MergeViews(), before)


def test_what_only_looks_like_a_view_is_not_modified() -> None:
    """The length of a vector of one number is its absolute."""
    before = graph("""(float[1, 4, 5, 8] key) => (float[1, 4, 8, 5] y)
        <int64[1] axis = {0}, int64[4] split = {1, 4, 8, 5}>
        { a = ReduceL2 <keepdims = 0> (key, axis) t = Transpose <perm = [0, 2, 1]> (a) y = Reshape(t, split) }""")
    leaves_alone(MergeViews(), before)


def test_equal_sizes_are_distinguished_by_their_place() -> None:
    """Of a cube any view has the right shape."""
    before = graph("""(float[8, 8, 8, 8] key) => (float[8, 8, 8, 8] y)
        <int64[3] merged = {8, 64, 8}, int64[4] split = {8, 8, 8, 8}>
        { a = Reshape(key, merged) t = Transpose <perm = [0, 2, 1]> (a) y = Reshape(t, split) }""")
    leaves_alone(MergeViews(), before)


def test_operators_of_others_and_unknown_shapes_are_not_modified() -> None:
    text = """(float[2, 4, 5, 8] key) => (float[2, 4, 8, 5] y)
        <int64[3] merged = {-1, 5, 8}, int64[4] split = {-1, 4, 8, 5}>
        { a = Reshape(key, merged) t = Transpose <perm = [0, 2, 1]> (a) y = Reshape(t, split) }"""
    unknown, foreign = graph(text), graph(text)
    for value in [o for node in unknown.graph for o in node.outputs]:
        value.shape = None
    leaves_alone(MergeViews(), unknown)
    foreign.graph.node(1).domain = "com.example"
    leaves_alone(MergeViews(), foreign)


def test_values_in_between_that_are_read_or_outputs_stay() -> None:
    before = graph("""(float[2, 4, 5, 8] key) => (float[2, 4, 8, 5] y, float[8, 8, 5] t, float[8, 5, 8] z)
        <int64[3] merged = {-1, 5, 8}, int64[4] split = {-1, 4, 8, 5}>
        { a = Reshape(key, merged) t = Transpose <perm = [0, 2, 1]> (a) y = Reshape(t, split) z = Relu(a) }""")
    becomes(
        MergeViews(),
        before,
        """y = Transpose <perm = [0, 1, 3, 2]> (key) a = Reshape(key, merged) t = Transpose <perm = [0, 2, 1]> (a)
        z = Relu(a)""",
    )


def test_transposes_in_a_branch_compute_the_same() -> None:
    before = graph("""(float[2, 3] x, bool yes) => (float[a, c] y)
        { a = Transpose(x)
          y = If (yes) <then_branch = t () => (float[2, 3] p) { p0 = Transpose(a) p = Relu(p0) },
              else_branch = e () => (float[3, 2] q) { q = Relu(a) }> }""")
    after = before.clone()
    MergeViews()(after)
    x = np.arange(6, dtype=np.float32).reshape(2, 3) - 3
    for yes in (True, False):
        same_numbers(before, after, {"x": x, "yes": np.array(yes)})


@pytest.mark.parametrize(
    ("bounds", "removed"),
    [
        ("zero, far, axis", True),
        ("both, far2, axes2", True),
        ("zero, far, axis, one", True),
        ("zero, two, axis", False),
        ("one, far, axis", False),
        ("zero, far, axis, two", False),
    ],
)
def test_a_slice_that_cuts_nothing_is_removed(bounds: str, removed: bool) -> None:
    before = graph(f"""(float[5, 4] x) => (float[n, 4] y) <int64[1] zero = {{0}}, int64[1] one = {{1}},
        int64[1] two = {{2}}, int64[1] axis = {{0}}, int64[1] far = {{9223372036854775807}}, int64[2] both = {{0, 0}},
        int64[2] far2 = {{2147483647, 2147483647}}, int64[2] axes2 = {{0, 1}}>
        {{ a = Slice(x, {bounds}) y = Relu(a) }}""")
    if removed:
        becomes(MergeViews(), before, "y = Relu(x)")
    else:
        leaves_alone(MergeViews(), before)
