"""One slice of a tensor, by its index."""

from __future__ import annotations

import numpy as np
import pytest
from graph_helpers import becomes, constant, graph, leaves_alone, same_numbers, valid

from graphs.passes.canonicalize.select_index import SelectIndex

SPLIT = "(float[b, s, 2] x) => (float[b, s] y, float[b, s] z) <int64[1] axis = {2}, int64[2] sizes = {1, 1}>"


@pytest.mark.parametrize("axis", [2, -1])
def test_logits_of_start_and_end(axis: int) -> None:
    before = graph(f"{SPLIT} {{ a, c = Split <axis = {axis}> (x, sizes) y = Squeeze(a, axis) z = Squeeze(c, axis) }}")
    after = becomes(SelectIndex(), before, "y = Gather <axis = 2> (x, index) z = Gather <axis = 2> (x, index_2)")
    assert [constant(after, name).item() for name in ("index", "index.2")] == [0, 1]


def test_a_part_that_something_else_reads_stays_for_it() -> None:
    before = graph("""(float[b, s, 2] x) => (float[b, s] y, float[b, s, 1] z)
        <int64[1] axis = {2}, int64[2] sizes = {1, 1}>
        { a, c = Split <axis = 2> (x, sizes) y = Squeeze(a, axis) z = Relu(c) }""")
    becomes(SelectIndex(), before, "y = Gather <axis = 2> (x, index) a, c = Split <axis = 2> (x, sizes) z = Relu(c)")


def test_a_part_that_is_an_output_stays() -> None:
    before = graph("""(float[b, s, 2] x) => (float[b, s] y, float[b, s, 1] a)
        <int64[1] axis = {2}, int64[2] sizes = {1, 1}>
        { a, c = Split <axis = 2> (x, sizes) y = Squeeze(a, axis) }""")
    becomes(SelectIndex(), before, "y = Gather <axis = 2> (x, index) a, c = Split <axis = 2> (x, sizes)")


@pytest.mark.parametrize("steps", ["", ", one"])
def test_the_first_token(steps: str) -> None:
    before = graph(f"""(float[b, s, 8] x) => (float[b, 8] y)
        <int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] axis = {{1}}, int64[1] back = {{-2}}>
        {{ a = Slice(x, zero, one, back{steps}) y = Squeeze(a, axis) }}""")
    after = becomes(SelectIndex(), before, "y = Gather <axis = 1> (x, index)")
    assert constant(after, "index").item() == 0


@pytest.mark.parametrize(
    ("first", "last", "axes", "step", "squeezed"),
    [
        pytest.param(0, 2, 1, 1, None, id="more than one"),
        pytest.param(-2, -1, 1, 1, 1, id="counted from the end"),
        pytest.param(0, 1, 1, 2, 1, id="a step of 2"),
        pytest.param(2, 1, 1, -1, 1, id="backwards"),
        pytest.param(0, 1, 1, 1, 0, id="another axis is squeezed"),
    ],
)
def test_slices_that_are_not_modified(first: int, last: int, axes: int, step: int, squeezed: int | None) -> None:
    """The first dimension is 1, so that it can be squeezed as well."""
    end = "y = Relu(a)" if squeezed is None else "y = Squeeze(a, squeezed)"
    before = graph(
        f"""(float[1, 5, 8] x) => (float[k, l{"" if squeezed is not None else ", m"}] y)
        <int64[1] first, int64[1] last, int64[1] axes, int64[1] step, int64[1] squeezed>
        {{ a = Slice(x, first, last, axes, step) {end} }}""",
        first=np.array([first]),
        last=np.array([last]),
        axes=np.array([axes]),
        step=np.array([step]),
        squeezed=np.array([squeezed or 0]),
    )
    leaves_alone(SelectIndex(), before)


def test_a_slice_whose_step_only_a_run_knows_is_not_modified() -> None:
    before = graph("""(float[1, 5, 8] x, int64[1] step) => (float[1, 8] y)
        <int64[1] zero = {0}, int64[1] one = {1}> { a = Slice(x, zero, one, one, step) y = Squeeze(a, one) }""")
    leaves_alone(SelectIndex(), before)


def test_a_slice_along_two_axes_is_not_modified() -> None:
    before = graph("""(float[3, 5, 8] x) => (float[1, 8] y)
        <int64[2] zero = {0, 0}, int64[2] one = {1, 1}, int64[2] axes = {1, 0}, int64[1] axis = {1}>
        { a = Slice(x, zero, one, axes) y = Squeeze(a, axis) }""")
    leaves_alone(SelectIndex(), before)


def test_a_slice_without_axes_is_not_modified() -> None:
    before = graph("""(float[3, 5] x) => (float[5] y) <int64[1] zero = {0}, int64[1] one = {1}>
        { a = Slice(x, zero, one) y = Squeeze(a, zero) }""")
    leaves_alone(SelectIndex(), before)


@pytest.mark.parametrize(
    ("x", "y", "split", "squeeze"),
    [
        pytest.param("1, s, 4", "s, 2", "Split <axis = 2> (x, twos)", "Squeeze(a, zero)", id="a part of two"),
        pytest.param("b, s, 3", "b, s", "Split <axis = 2> (x, uneven)", "Squeeze(a, two)", id="uneven parts"),
        pytest.param("1, s, 2", "s, 1", "Split <axis = 2> (x, ones)", "Squeeze(a, zero)", id="another axis"),
        pytest.param("1, s, 2", "s", "Split <axis = 2> (x, ones)", "Squeeze(a, both)", id="two axes"),
        pytest.param("2, s, 2", "s, d", "Split (x, ones)", "Squeeze(a)", id="no axes"),
    ],
)
def test_splits_that_are_not_modified(x: str, y: str, split: str, squeeze: str) -> None:
    before = graph(f"""(float[{x}] x) => (float[{y}] y) <int64[1] zero = {{0}}, int64[1] two = {{2}},
        int64[2] ones = {{1, 1}}, int64[2] twos = {{2, 2}}, int64[2] uneven = {{1, 2}}, int64[2] both = {{0, 2}}>
        {{ a, c = {split} y = {squeeze} }}""")
    leaves_alone(SelectIndex(), before)


def test_splits_of_unknown_size_are_not_modified() -> None:
    before = graph(f"{SPLIT} {{ a, c = Split <axis = 2> (x, sizes) y = Squeeze(a, axis) z = Squeeze(c, axis) }}")
    for value in before.graph.node(0).outputs:
        value.shape = None
    leaves_alone(SelectIndex(), before)


def test_a_part_that_a_branch_reads_stays_for_it() -> None:
    before = graph("""(float[b, s, 2] x, bool yes) => (float[b, s] y) <int64[1] axis = {2}, int64[2] sizes = {1, 1}>
        { a, c = Split <axis = 2> (x, sizes) p = Squeeze(a, axis)
          y = If (yes) <then_branch = t () => (float[b, s] q) { q = Squeeze(c, axis) },
              else_branch = e () => (float[b, s] r) { r = Neg(p) }> }""")
    x = np.arange(12, dtype=np.float32).reshape(2, 3, 2) + 1
    becomes(
        SelectIndex(),
        before,
        """p = Gather <axis = 2> (x, index) a, c = Split <axis = 2> (x, sizes)
        y = If (yes) <then_branch = t () => (float[b, s] q) { q = Squeeze(c, axis) },
            else_branch = e () => (float[b, s] r) { r = Neg(p) }>""",
        {"x": x, "yes": np.array(True)},
    )


def test_a_name_that_an_input_has_is_not_taken() -> None:
    before = graph("""(float[n, 2] x, float[n] index) => (float[n] y) <int64[1] axis = {1}>
        { a, b = Split <axis = 1, num_outputs = 2> (x) c = Squeeze(b, axis) y = Add(c, index) }""")
    after = before.clone()
    SelectIndex()(after)
    valid(before, after)
    same_numbers(before, after)


def test_the_first_token_of_tensorflow() -> None:
    """Its slices name axes that they do not cut."""
    before = graph("""(float[b, s, 8] x) => (float[b, 8] y)
        <int64[2] zero = {0, 0}, int64[2] one = {2147483647, 1}, int64[2] axes = {0, 1}, int64[1] axis = {1}>
        { a = Slice(x, zero, one, axes) y = Squeeze(a, axis) }""")
    after = becomes(SelectIndex(), before, "y = Gather <axis = 1> (x, index)")
    assert constant(after, "index").item() == 0
