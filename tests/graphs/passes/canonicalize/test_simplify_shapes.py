"""Sizes that hang on the inputs' dimensions alone, computed from them at once."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import Arrays, becomes, graph, random_feed, same_numbers, structure, valid

from graphs.passes.canonicalize.simplify_shapes import SimplifyShapes


def simplified(before: ir.Model, feeds: list[Arrays] | None = None) -> ir.Model:
    """Returns the rewritten model, which is valid, computes the same, and is not changed by a second run."""
    after, step = before.clone(), SimplifyShapes()
    result = step(after)
    assert result.modified == (step.matches > 0)
    assert [v.name for v in after.graph.outputs] == [v.name for v in before.graph.outputs]
    for feed in feeds or [random_feed(before)]:
        same_numbers(before, after, feed)
    again = after.clone()
    assert not SimplifyShapes()(again).modified
    assert structure(again) == structure(after)
    return after


def stays(before: ir.Model, feeds: list[Arrays] | None = None) -> None:
    """Asserts that no node is changed; shapes may be added."""
    assert structure(simplified(before, feeds)) == structure(before)


def test_sizes_computed_from_a_stream_are_read_from_the_input() -> None:
    before = graph("""(float[b, s, 8] x) => (float[b, s, 2, 4] y)
        <int64 zero = {0}, int64 one = {1}, int64[1] axis = {0}, int64[2] heads = {2, 4}>
        { r = Relu(x) t = Shape(r) rows = Gather(t, zero) rows1 = Unsqueeze(rows, axis)
          u = Shape(r) length = Gather(u, one) length1 = Unsqueeze(length, axis)
          target = Concat <axis = 0> (rows1, length1, heads) y = Reshape(r, target) }""")
    becomes(
        SimplifyShapes(),
        before,
        """tokens = Shape <start = 0, end = 2> (x) target = Concat <axis = 0> (tokens, sizes)
        r = Relu(x) y = Reshape(r, target)""",
    )
    simplified(before, [{"x": np.zeros(shape, np.float32)} for shape in ((0, 5, 8), (2, 3, 8))])


def test_one_dynamic_size_is_left_to_reshape() -> None:
    before = graph("""(float[n, 8] x) => (float[n, 2, 4] y) <int64[2] heads = {2, 4}>
        { r = Relu(x) rows = Shape <end = 1> (r) target = Concat <axis = 0> (rows, heads) y = Reshape(r, target) }""")
    becomes(SimplifyShapes(), before, "r = Relu(x) y = Reshape(r, sizes)")


def test_a_size_that_copies_is_written_out_before_another_tensor_is_read() -> None:
    before = graph("""(float[b, s, 8] x) => (float[b, s, 4, 2] y)
        <int64[4] first = {0, 0, 2, 4}, int64[4] second = {0, 0, 4, 2}>
        { r = Relu(x) a = Reshape(r, first) y = Reshape(a, second) }""")
    becomes(
        SimplifyShapes(),
        before,
        """tokens = Shape <start = 0, end = 2> (x) target = Concat <axis = 0> (tokens, sizes_2) r = Relu(x)
        y = Reshape(r, target)""",
    )


def test_what_leaves_its_input_as_it_is_goes() -> None:
    before = graph("""(float[b, s, 8] x) => (float[b, s, 8] y)
        { r = Relu(x) t = Shape(x) a = Reshape(r, t) e = Expand(a, t) y = Relu(e) }""")
    becomes(SimplifyShapes(), before, "r = Relu(x) y = Relu(r)")


def test_an_output_of_the_graph_keeps_its_node() -> None:
    before = graph("(float[b, s, 8] x) => (float[b, s, 8] y) { r = Relu(x) t = Shape(x) y = Reshape(r, t) }")
    after = simplified(before)
    valid(before, after)
    assert [node.op_type for node in after.graph][-2:] == ["Relu", "Reshape"]


def test_of_two_reshapes_the_first_goes() -> None:
    before = graph("""(float[n, 8] x) => (float[a, 4] y) <int64[3] first = {-1, 2, 4}, int64[2] second = {-1, 4}>
        { r = Relu(x) a = Reshape(r, first) y = Reshape(a, second) }""")
    after = simplified(before)
    assert [node.op_type for node in after.graph] == ["Relu", "Reshape"]


def test_a_reshape_that_something_else_reads_stays_for_it() -> None:
    before = graph("""(float[n, 8] x) => (float[a, 4] y, float[n, 2, 4] z)
        <int64[3] first = {-1, 2, 4}, int64[2] second = {-1, 4}>
        { a = Reshape(x, first) y = Reshape(a, second) z = Relu(a) }""")
    after = simplified(before)
    assert [node.op_type for node in after.graph] == ["Reshape", "Reshape", "Relu"]
    assert all(node.inputs[0] is after.graph.inputs[0] for node in list(after.graph)[:2])


def test_other_readers_of_sizes_get_them_as_well() -> None:
    before = graph("""(float[b, s, 8] x) => (float[s] y, int64[s] z, float[b, s] w)
        <int64 at = {1}, int64[1] zero = {0}, int64 first = {0}, int64 step = {1}, int64[2] both = {0, 1}>
        { r = Relu(x) t = Shape(r) end = Gather(t, at) one = Unsqueeze(end, zero)
          y = ConstantOfShape(one) z = Range(first, end, step)
          u = Gather(t, both) w = ConstantOfShape(u) }""")
    becomes(
        SimplifyShapes(),
        before,
        """length = Shape <start = 1, end = 2> (x) y = ConstantOfShape(length)
        one = Squeeze(length) z = Range(first, one, step)
        both = Shape <start = 0, end = 2> (x) w = ConstantOfShape(both)""",
    )


def test_the_shape_of_an_input_is_as_good() -> None:
    stays(graph("(float[b, s, 8] x) => (float[b, s, 8] y) { t = Shape(x) y = ConstantOfShape(t) }"))


# What PyTorch's `x.expand(-1, 3, -1)` is exported as.
EXPAND = """<int64 zero = {{0}}, int64[1] axis = {{0}}, int64[1] keep = {{-1}}, int64[1] three = {{3}},
    int64[3] ones = {{1, 1, 1}}, int64[3] minus = {{-1, -1, -1}}>
    {{ r = Relu(x) size = Shape <end = 1> (r) target = Concat <axis = 0> ({target})
       same = Equal(target, minus) chosen = Where(same, ones, target) e = Expand(r, chosen) y = Relu(e) }}"""


def test_the_sizes_that_expand_keeps_are_known() -> None:
    before = graph("(float[n, 1, 4] x) => (float[n, 3, 4] y) " + EXPAND.format(target="size, three, keep"))
    becomes(
        SimplifyShapes(),
        before,
        """rows = Shape <start = 0, end = 1> (x) chosen = Concat <axis = 0> (rows, sizes) r = Relu(x)
        e = Expand(r, chosen) y = Relu(e)""",
    )


def test_sizes_of_a_reshaped_input_are_read_from_it() -> None:
    """As multiple choice has them: batch and choices are one."""
    before = graph("""(float[b, c, 4] x) => (float[n, 3, 4] y)
        <int64[1] along = {1}, int64[2] flat = {-1, 4},
         int64 zero = {0}, int64[1] axis = {0}, int64[1] three = {3}, int64[1] four = {4}>
        { r = Reshape(x, flat) e = Relu(r) size = Shape(e) rows = Gather(size, zero) one = Unsqueeze(rows, axis)
          target = Concat <axis = 0> (one, three, four) wide = Unsqueeze(e, along) y = Expand(wide, target) }""")
    before.graph.outputs[0].shape = ir.Shape(["b*c", 3, 4])
    becomes(
        SimplifyShapes(),
        before,
        """r = Reshape(x, flat) n = Shape <start = 0, end = 1> (r) target = Concat <axis = 0> (n, sizes) e = Relu(r)
        wide = Unsqueeze(e, along) y = Expand(wide, target)""",
        {"x": np.ones((2, 3, 4), np.float32)},
    )


def test_a_choice_that_depends_on_numbers_of_an_input_stays() -> None:
    text = "(float[n, 1, 4] x, int64[1] given) => (float[n, c, d] y) " + EXPAND.format(target="size, given, keep")
    x = np.ones((2, 1, 4), np.float32)
    stay = simplified(graph(text), [{"x": x, "given": np.array([number])} for number in (-1, 1, 3)])
    assert "Where" in structure(stay)


def test_a_choice_between_unequal_numbers_of_a_dimension_stays() -> None:
    """A dimension may well be 1, or equal to another."""
    before = graph("""(float[n, s] x) => (int64[2] y) <int64[2] one = {1, 1}, int64[2] two = {7, 7}>
        { t = Shape(x) same = Equal(t, one) y = Where(same, two, t) }""")
    stays(before, [{"x": np.ones(shape, np.float32)} for shape in ((1, 2), (2, 1), (2, 2))])


def feed_of(model: ir.Model, sizes: Mapping[str, int]) -> Arrays:
    feed = {}
    for value in model.graph.inputs:
        dims = [dim if isinstance(dim, int) else sizes[str(dim.value)] for dim in value.shape or ()]
        assert value.dtype is not None
        feed[str(value.name)] = np.ones(dims, value.dtype.numpy())
    return feed


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        pytest.param(
            "(float[b, 4] x, float[s, 4] z) => (float[n, 4] y)",
            "u = Add(x, z) t = Shape(x) e = Expand(u, t) y = Relu(e)",
            id="a sum of a tensor and one of one row",
        ),
        pytest.param(
            "(float[b, 4] x, float[s, 4] z) => (float[n, 4] y)",
            "t = Shape(z) e = Expand(x, t) r = Relu(e) u = Shape(r) v = Reshape(r, u) y = Relu(v)",
            id="expanded to another dimension",
        ),
        pytest.param(
            "(float[b, 4] x, float[s, 4] z) => (float[n, 4] y)",
            "p = Slice(x, zero, three, zero) t = Shape(p) e = Expand(z, t) y = Relu(e)",
            id="a slice of more than there may be",
        ),
        pytest.param(
            "(float[b, 6] x, float[s, 4] z) => (float[n, c] y)",
            "t = Shape(x) row = Unsqueeze(t, zero) l = Slice(row, one, two, one) flat = Reshape(l, any) "
            "target = Concat <axis = 0> (any, flat) y = Reshape(x, target)",
            id="numbers by way of a matrix",
        ),
        pytest.param(
            "(float[b, 6] x, float[s, 4] z) => (float[n, c] y)",
            "t = Shape(x) f = Cast <to = 1> (t) h = Div(f, four) u = Ceil(h) i = Cast <to = 7> (u) "
            "y = ConstantOfShape(i)",
            id="numbers by way of floating point",
        ),
        pytest.param(
            "(float[b, 6] x, float[s, 4] z) => (int64[2] y)",
            "t = Shape(x) c = Cast <to = 9> (t) i = Cast <to = 7> (c) y = Add(i, t)",
            id="numbers by way of truth values",
        ),
    ],
)
def test_what_only_seems_to_be_known_is_not_modified(signature: str, body: str) -> None:
    before = graph(f"""{signature} <int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] two = {{2}},
        int64[1] three = {{3}}, int64[1] any = {{-1}}, float[1] four = {{4.0}}> {{ {body} }}""")
    sizes = [{"b": 5, "s": 1}, {"b": 1, "s": 5}, {"b": 3, "s": 3}, {"b": 1, "s": 1}, {"b": 2, "s": 2}]
    simplified(before, [feed_of(before, size) for size in sizes])


def test_an_empty_dimension_stays_as_it_is() -> None:
    before = graph("""(float[n, 0] x) => (float[0, 3] y, float[n, 2, 0] z)
        <int64[2] turned = {0, 3}, int64[1] two = {2}, int64[1] none = {0}>
        { r = Relu(x) y = Reshape <allowzero = 1> (r, turned) rows = Shape <end = 1> (r)
          target = Concat <axis = 0> (rows, two, none) z = Reshape <allowzero = 1> (r, target) }""")
    after = simplified(before, [{"x": np.zeros((3, 0), np.float32)}])
    assert [n.attributes.get_int("allowzero", 0) for n in after.graph if n.op_type == "Reshape"] == [1, 1]


def test_a_size_that_a_branch_reads_is_still_there() -> None:
    before = graph("""(float[n, 8] x, bool yes) => (float[n, 2, 4] y) <int64[2] heads = {2, 4}>
        { r = Relu(x) rows = Shape <end = 1> (r) target = Concat <axis = 0> (rows, heads) z = Reshape(r, target)
          y = If (yes) <then_branch = t () => (float[k, 2, 4] p) { p = Reshape(r, target) },
              else_branch = e () => (float[l, 2, 4] q) { q = Neg(z) }> }""")
    x = np.arange(16, dtype=np.float32).reshape(2, 8)
    after = simplified(before, [{"x": x, "yes": np.array(yes)} for yes in (True, False)])
    assert "Concat" in structure(after)


def test_sizes_that_are_outputs_are_still_there() -> None:
    before = graph("""(float[n, 8] x) => (float[n, 2, 4] y, int64[3] target) <int64[2] heads = {2, 4}>
        { r = Relu(x) rows = Shape <end = 1> (r) target = Concat <axis = 0> (rows, heads) y = Reshape(r, target) }""")
    after = simplified(before)
    valid(before, after)


def test_operators_of_others_are_not_modified() -> None:
    before = graph("(float[n, 8] x) => (float[n, 8] y) { t = Shape(x) a = Reshape(x, t) y = Reshape(a, t) }")
    for node in list(before.graph)[1:]:
        node.domain = "com.example"
    before.opset_imports["com.example"] = 1
    after = before.clone()
    assert not SimplifyShapes()(after).modified
    assert structure(after) == structure(before)


def test_a_default_target_may_be_another_in_each_run() -> None:
    before = graph("""(float[n, 8] x) => (float[a, 4] y) <int64[2] first = {-1, 2}, int64[2] target = {-1, 4}>
        { r = Relu(x) a = Reshape(r, first) y = Reshape(a, target) }""")
    before.graph.inputs.append(before.graph.initializers["first"])
    x = np.ones((2, 8), np.float32)
    simplified(before, [{"x": x}, {"x": x, "first": np.array([4, 4])}])


def test_inputs_of_unknown_shape_are_no_obstacle() -> None:
    before = graph("(float[b, s] x) => (float[b, s] y) { t = Shape(x) r = Relu(x) a = Reshape(r, t) y = Neg(a) }")
    for value in (before.graph.inputs[0], *(o for node in before.graph for o in node.outputs)):
        value.shape = None
    stays(before, [{"x": np.ones((2, 3), np.float32)}])
