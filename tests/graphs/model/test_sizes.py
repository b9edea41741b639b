"""Inferred sizes, compared with what the graph computes for several sizes of inputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import Arrays, graph, run

from graphs.model.shape_inference import infer_sizes
from graphs.model.size_tensors import SizeTensors
from graphs.model.sizes import NUMBERS, Size, numbers_of, shape_of

SEVERAL = ({"n": 5, "m": 5}, {"n": 1, "m": 5}, {"n": 5, "m": 1}, {"n": 2, "m": 2}, {"n": 9, "m": 9}, {"n": 1, "m": 1})


def inferred(text: str, **values: np.ndarray) -> ir.Model:
    """The model of a text, with sizes inferred; those that are known are true wherever it runs."""
    model = graph(text, **values)
    infer_sizes(model)
    ran = [check_sizes(model, sizes) for sizes in SEVERAL]
    assert any(ran)
    return model


def check_sizes(model: ir.Model, sizes: Mapping[str, int]) -> bool:
    """Compares all that is known with what is computed; False if the graph does not run for these sizes."""
    exposed = model.clone()
    values = [output for node in exposed.graph for output in node.outputs]
    shapes, numbers = [shape_of(v) for v in values], [numbers_of(v) for v in values]
    for value in values:
        value.shape = None  # so that onnxruntime does not judge them itself
    exposed.graph.outputs[:] = values
    try:
        found = run(exposed, feed_of(model, sizes))
    except Exception:  # sizes that do not fit each other
        return False
    known = dict(sizes)
    for value, dims, held in zip(values, shapes, numbers, strict=True):
        array = found[str(value.name)]
        if dims is not None:
            agree(dims, list(array.shape), known, str(value.name))
        if held is not None and value.const_value is None:
            agree(held, [int(n) for n in array.reshape(-1)], known, str(value.name))
    return True


def agree(said: list[Size], actual: list[int], known: dict[str, int], where: str) -> None:
    """Asserts that sizes are those that are said; a name that is no input's gets the number that it first has."""
    assert len(said) == len(actual), (where, said, actual)
    for size, number in zip(said, actual, strict=True):
        if isinstance(size, str) and size.isidentifier():
            assert known.setdefault(size, number) == number, (where, said, actual)
        elif isinstance(size, str):
            evaluated = ir.SymbolicDim(size).evaluate(known)
            assert evaluated == number or not isinstance(evaluated, int), (where, said, actual, known)
        else:
            assert size == number, (where, said, actual)


def feed_of(model: ir.Model, sizes: Mapping[str, int]) -> Arrays:
    feed = {}
    for value in model.graph.inputs:
        dims = shape_of(value)
        if value.is_initializer() or dims is None or value.dtype is None:
            continue
        shape = [sizes[dim] if isinstance(dim, str) else dim for dim in dims]
        number = -1 if value.name == "given" else 1
        feed[str(value.name)] = np.full(shape, number, dtype=value.dtype.numpy())
    return feed


def shape(model: ir.Model, name: str = "y") -> list[Size] | None:
    return shape_of(next(o for node in model.graph for o in node.outputs if o.name == name))


def numbers(model: ir.Model, name: str) -> list[Size] | None:
    return numbers_of(next(o for node in model.graph for o in node.outputs if o.name == name))


def test_sizes_are_inferred_in_terms_of_the_inputs() -> None:
    model = inferred("""(float[n, m, 8] x) => (float[a, c, d, e] y) <int64[1] first = {0}, int64[2] heads = {-1, 4}>
        { all = Shape(x) size = Gather(all, first) rows = Shape <start = 1, end = 2> (x)
          target = Concat <axis = 0> (size, rows, heads) y = Reshape(x, target) }""")
    assert numbers(model, "target") == ["n", "m", -1, 4]
    assert shape(model) == ["n", "m", 2, 4]


def test_a_number_that_an_expression_comes_to_is_a_number() -> None:
    model = inferred("""(float[n, 8] x) => (float[a] y, float[c, 8] z) <int64[1] flat = {-1}>
        { y = Reshape(x, flat) twice = Add(x, x) t = Shape(twice) both = Sub(t, t) one = Size(both)
          z = Reshape(x, t) }""")
    assert shape(model) == ["8*n"]
    assert numbers(model, "both") == [0, 0]
    assert shape(model, "z") == ["n", 8]


@pytest.mark.parametrize("op_type", ["Add", "Mul", "Max", "Pow", "Sum", "PRelu"])
def test_two_dynamic_sizes_that_are_broadcast_need_not_be_equal(op_type: str) -> None:
    model = inferred(f"(float[n, 4] x, float[m, 4] z) => (float[a, 4] y) {{ y = {op_type}(x, z) }}")
    assert model.graph.outputs[0].shape is not None
    assert shape(model) not in (["n", 4], ["m", 4])


def test_sizes_that_depend_on_an_unknown_size_are_inferred_in_terms_of_it() -> None:
    model = inferred("""(float[n, 4] x, float[m, 4] z) => (float[a, 4] y, int64[2] t)
        { sum = Add(x, z) r = Relu(sum) y = Add(r, sum) t = Shape(y) }""")
    assert shape(model) == shape(model, "r") == numbers(model, "t")
    assert shape(model) not in (None, ["n", 4], ["m", 4])


def test_a_size_that_is_cut_off_is_the_smaller_one() -> None:
    """Positions are as many as tokens, or as the table has, and a sum with tokens is of as many as tokens."""
    model = inferred("""(float[n, m, 4] x) => (float[a, c, 4] y)
        <float[1, 6, 4] table, int64[1] zero = {0}, int64[1] one = {1}>
        { size = Shape <start = 1, end = 2> (x) part = Slice(table, zero, size, one) y = Add(x, part) }""")
    assert shape(model, "part") == [1, "Min(6, m)", 4]
    assert shape(model) == ["n", "m", 4]


@pytest.mark.parametrize(
    ("starts", "ends", "steps", "expected"),
    [
        pytest.param([0], [3], [1], None, id="longer than the axis may be"),
        pytest.param([2], [7], [1], None, id="beside it"),
        pytest.param([0], [1], [1], [1, 4], id="one of them"),
        pytest.param([0], [-1], [1], ["n - 1", 4], id="all but one"),
        pytest.param([2], [2**63 - 1], [1], ["Max(0, n - 2)", 4], id="from the third on"),
        pytest.param([0], [2**63 - 1], [1], ["n", 4], id="all"),
        pytest.param([0], [-(2**63)], [1], None, id="none"),
        pytest.param([-1], [-(2**63)], [-1], None, id="backwards"),
        pytest.param([-3], [2**63 - 1], [1], None, id="the last three"),
        pytest.param([0], [2**63 - 1], [2], None, id="every second"),
    ],
)
def test_slices(starts: list[int], ends: list[int], steps: list[int], expected: list[Size] | None) -> None:
    given = {"i": np.array(starts), "j": np.array(ends), "k": np.array(steps), "axes": np.array([0])}
    model = inferred(
        """(float[n, 4] x) => (float[a, 4] y) <int64[1] i, int64[1] j, int64[1] k, int64[1] axes>
        { y = Slice(x, i, j, axes, k) }""",
        **given,
    )
    assert expected is None or shape(model) == expected


def test_slices_to_ends_that_are_computed() -> None:
    inferred("""(float[n, 4] x, float[m, 4] z) => (float[a, 4] y, float[c, 4] w)
        <int64[1] i = {0}, int64[1] four = {4}, int64[1] axes = {0}>
        { size = Shape <end = 1> (z) y = Slice(x, i, size, axes)
          less = Sub(size, four) w = Slice(x, i, less, axes) }""")


def test_slices_to_ends_that_an_input_gives() -> None:
    inferred("""(float[n, 4] x, int64[1] given) => (float[a, 4] y, float[c, 4] w)
        <int64[1] i = {0}, int64[1] axes = {0}>
        { y = Slice(x, i, given, axes) end = Concat <axis = 0> (given) w = Slice(x, i, end, axes) }""")


def test_axes_and_steps_of_slices_that_only_a_run_knows() -> None:
    inferred("""(float[n, m] x, int64[1] axis) => (float[a, c] y) <int64[1] i = {0}, int64[1] j = {-1}>
        { y = Slice(x, i, j, axis) }""")


@pytest.mark.parametrize(
    "body",
    [
        "wide = Reshape(sizes, row) g = Gather(wide, zero) r = Reshape(g, any)",
        "wide = Reshape(sizes, row) g = Gather <axis = 1> (wide, zero) r = Reshape(g, any)",
        "wide = Reshape(sizes, row) cut = Slice(wide, one, end, one) flat = Reshape(cut, any) r = Identity(flat)",
        "wide = Reshape(sizes, row) tall = Reshape(sizes, column) sum = Add(wide, tall) r = Reshape(sum, any)",
        "wide = Reshape(sizes, row) tall = Reshape(sizes, column) r0 = Where(yes, wide, tall) r = Reshape(r0, any)",
        "f = Cast <to = 1> (sizes) h = Div(f, half) up = Ceil(h) r = Cast <to = 7> (up)",
        "c = Cast <to = 9> (sizes) r = Cast <to = 7> (c)",
        "c = Cast <to = 2> (large) r = Cast <to = 7> (c)",
        "r = Slice(sizes, last, low, zero, back)",
        "r = Slice(sizes, last, end, zero, back)",
        "r = Where(yes, one, one)",
        "r = Where(more, one, two)",
        "e = Equal(sizes, two) i = Cast <to = 7> (e) r = Mul(i, sizes)",
        "r = Div(sizes, two)",
        "n = Neg(sizes) r = Div(n, two)",
        "r = Mod(sizes, two)",
        "p = Sub(sizes, three) r = Max(p, one)",
        "p = Sub(sizes, three) q = Abs(p) r = Add(q, one)",
        "r = Expand(one, two)",
        "a, r = Split <num_outputs = 2> (sizes)",
        "r = ReduceProd(sizes)",
        "r = ReduceSum(sizes)",
        "r = CumSum(sizes, axis)",
        "r = Concat <axis = 0> (sizes, given)",
        "p = ConstantOfShape(sizes) r = Shape(p)",
        "p = NonZero(sizes) r = Shape(p)",
        "p = Unique(sizes) r = Shape(p)",
        "p = Range(axis, count, step) r = Shape(p)",
        "wide = Unsqueeze(sizes, zero) turned = Transpose(wide) cut = Slice(turned, zero, one, zero) "
        "r = Reshape(cut, any)",
        "r = ScatterElements(sizes, zero, one)",
        "r = Tile(sizes, two)",
        "r = Pad(sizes, ends)",
    ],
)
def test_numbers_are_true_however_they_are_computed(body: str) -> None:
    inferred(
        f"""(float[n, m] x, int64[2] given, bool[3] more) => (int64[k] r)
        <int64[2] row = {{1, -1}}, int64[2] column = {{-1, 1}}, int64[1] any = {{-1}}, int64[1] zero = {{0}},
         int64[1] one = {{1}}, int64[1] two = {{2}}, int64[1] three = {{3}}, int64[1] end = {{9223372036854775807}},
         int64[1] last = {{-1}}, int64[1] low = {{-9223372036854775808}}, int64[1] back = {{-1}},
         int64[1] big = {{300}},
         float[1] half = {{2.0}}, int64 axis = {{0}}, int64 step = {{1}}, int64 at = {{1}}, int64[2] ends = {{1, 1}}>
        {{ sizes = Shape(x) yes = Greater(sizes, zero) count = Gather(sizes, at) large = Mul(sizes, big) {body} }}"""
        if "yes" not in body and "more" not in body
        else f"""(float[n, m] x, bool[1] yes, bool[3] more) => (int64[k] r)
        <int64[2] row = {{1, -1}}, int64[2] column = {{-1, 1}}, int64[1] any = {{-1}}, int64[1] one = {{1}},
         int64[1] two = {{2}}> {{ sizes = Shape(x) {body} }}"""
    )


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        ("(float[n, 4] x, int64[2] given) => (float[a, c] y)", "size = Shape(x) t = Max(size, given) y = Expand(x, t)"),
        ("(float[n, 4] x, float[m, 4] z) => (float[a, c] y)", "t = Shape(z) y = Expand(x, t)"),
        ("(float[n, 2, 3] x, float[m, 3, 4] z) => (float[a, 2, 4] y)", "y = MatMul(x, z)"),
        ("(bool[n, 1] x, float[1, m] z, float[m, m] w) => (float[a, c] y)", "y = Where(x, z, w)"),
        ("(float[n, 4] x, float[m, 4] z) => (float[a, 4] y)", "y = Concat <axis = 0> (x, z)"),
        ("(float[n, m] x) => (float[a, c] y)", "f = Flatten(x) t = Transpose(f) y = Relu(t)"),
        ("(float[n, m] x) => (float[a] y)", "z = NonZero(x) t = Transpose(z) y = GatherND(x, t)"),
        (
            "(float[1, 2, n, m] x) => (float[1, 2, a, c] y)",
            "y = MaxPool <kernel_shape = [2, 2], pads = [1, 1, 0, 0]> (x)",
        ),
    ],
)
def test_shapes_are_true(signature: str, body: str) -> None:
    inferred(f"{signature} {{ {body} }}")


GROWS = """(float[n, 4] x, int64 times, float[m, 4] z) => (float[a, 4] y)
    <bool go = {1}>
    { last = Loop (times, go, x) <body = b (int64 i, bool c, float[k, 4] s) => (bool d, float[l, 4] t)
      { d = Identity(c) t = Concat <axis = 0> (s, x) }> y = Relu(last) }"""
BRANCHES = """(float[n, 4] x, float[m, 4] z, bool yes) => (float[a, 4] y)
    { last = If (yes) <then_branch = t () => (float[k, 4] r) { r = Relu(x) },
      else_branch = e () => (float[l, 4] q) { q = Add(x, z) }> y = Relu(last) }"""


@pytest.mark.parametrize("text", [GROWS, BRANCHES])
def test_loops_and_branches_keep_the_shapes_that_the_file_states(text: str) -> None:
    before = graph(text)
    model = inferred(text)
    assert shape(model, "last") == shape(before, "last")
    inner = [[list(v.shape or ()) for v in (*g.inputs, *g.outputs)] for g in _subgraphs(model)]
    assert inner == [[list(v.shape or ()) for v in (*g.inputs, *g.outputs)] for g in _subgraphs(before)]


def _subgraphs(model: ir.Model) -> list[ir.Graph]:
    return [a.as_graph() for n in model.graph for a in n.attributes.values() if a.type == ir.AttributeType.GRAPH]


def test_operators_of_other_domains_keep_the_shapes_that_the_file_states() -> None:
    model = graph("(float[n, 4] x) => (float[n, 4] y) { a = Relu(x) y = Relu(a) }")
    node = model.graph.node(0)
    node.domain, node.outputs[0].shape = "com.example", ir.Shape(["n", 7])
    infer_sizes(model)
    assert (node.domain, node.op_type) == ("com.example", "Relu")
    assert shape(model, "a") == ["n", 7]
    assert shape(model, "y") == ["n", 7]


def test_a_wrong_statement_about_an_operator_of_onnx_is_not_believed() -> None:
    model = graph("(float[n, 4] x) => (float[n, 4] y) { a = Relu(x) y = Relu(a) }")
    model.graph.node(0).outputs[0].shape = ir.Shape(["n", 7])
    infer_sizes(model)
    assert shape(model, "a") == ["n", 4]


def test_a_default_that_a_caller_may_replace_is_no_size() -> None:
    model = graph("(float[n, 4] x) => (float[a, c] y) <int64[2] target = {-1, 2}> { y = Reshape(x, target) }")
    model.graph.inputs.append(model.graph.initializers["target"])
    infer_sizes(model)
    dims = shape(model)
    assert dims is None or 2 not in dims
    assert model.graph.initializers["target"].const_value is not None


def test_an_operator_that_cannot_be_inferred_leaves_what_onnx_knows() -> None:
    model = graph("(float[n, 4] x) => (float[n, 4] y) { a = Relu(x) y = Relu(a) }")
    bad = ir.node("Reshape", [model.graph.inputs[0]])  # without a target
    model.graph.append(bad)
    infer_sizes(model)
    assert shape(model) == ["n", 4]


def test_dimensions_without_a_name_get_one_each() -> None:
    model = graph("(float[?, 4] x, float[?, 4] z) => (float[?, 4] y) { y = Concat <axis = 0> (x, z) }")
    infer_sizes(model)
    assert [shape_of(value) for value in model.graph.inputs] == [["x_0", 4], ["z_0", 4]]
    assert shape(model) == ["x_0 + z_0", 4]


@pytest.mark.parametrize("name", ["5", "-1", "n-1", "n + m", "batch size", "Max", "floor", "", "größe:0", "a.b", "*"])
def test_names_that_could_be_read_as_an_expression_are_replaced(name: str) -> None:
    model = graph("(float[n, 4] x, float[m, 4] z) => (float[n, 4] y, float[m, 4] w) { y = Relu(x) w = Add(z, z) }")
    for value in (model.graph.inputs[0], model.graph.outputs[0]):
        value.shape = ir.Shape([name, 4])
    infer_sizes(model)
    first, second = shape(model, "y") or [], shape(model, "w") or []
    assert str(first[0]).isidentifier()
    assert first == shape_of(model.graph.inputs[0])
    assert second == ["m", 4] != first


def test_an_equal_name_stays_equal_in_all_inputs() -> None:
    model = graph("(float[n, 4] x, float[n, 4] z) => (float[n, 4] y) { y = Add(x, z) }")
    for value in model.graph.inputs:
        value.shape = ir.Shape(["n-1", 4])
    infer_sizes(model)
    assert shape(model) == shape_of(model.graph.inputs[0]) == shape_of(model.graph.inputs[1])


def test_a_new_name_is_none_that_is_there() -> None:
    model = graph("(float[?, 4] x, float[n, 4] z) => (float[?, 4] y) { y = Relu(x) }")
    model.graph.inputs[1].shape = ir.Shape(["x_0", 4])
    infer_sizes(model)
    assert shape(model) == ["x_0_", 4]


IDS = (
    "(int64[a, c] input_ids, int64[d, e] attention_mask{}) => (int64[f, g] y) {{ y = Mul(input_ids, attention_mask) }}"
)


def test_an_encoders_inputs_have_one_shape() -> None:
    model = graph(IDS.format(", int64[h, 7] token_type_ids"))
    infer_sizes(model)
    assert [shape_of(value) for value in model.graph.inputs] == [["a", "c"], ["a", "c"], ["a", 7]]
    assert shape(model) == ["a", "c"]


@pytest.mark.parametrize("other", [", float[a, 2, p, 8] past_key", ", float[a, 3, h, w] pixel_values"])
def test_a_decoders_mask_is_longer_than_its_ids(other: str) -> None:
    model = graph(IDS.format(other))
    infer_sizes(model)
    assert shape_of(model.graph.inputs[1]) == ["d", "e"]


def test_outputs_keep_what_they_state_where_nothing_is_known() -> None:
    model = graph("(float[n, 4] x) => (float[k, 4] y) { y = Relu(x) }")
    node = model.graph.node(0)
    node.op_type, node.domain = "Relu", "com.example"
    infer_sizes(model)
    assert shape_of(model.graph.outputs[0]) == ["k", 4]


def test_inference_leaves_the_graph_itself_alone() -> None:
    model = graph("(float[n, 4] x, float[m, 4] z) => (float[a, 4] y) { t = Shape(x) w = Reshape(x, t) y = Add(w, z) }")
    nodes = [(node.op_type, node.domain, dict(node.attributes), node.inputs) for node in model.graph]
    infer_sizes(model)
    assert [(node.op_type, node.domain, dict(node.attributes), node.inputs) for node in model.graph] == nodes
    assert all(output.const_value is None for node in model.graph for output in node.outputs)
    left = {output.name: output.metadata_props.get(NUMBERS) for node in model.graph for output in node.outputs}
    assert [name for name, numbers in left.items() if numbers] == ["t"]


@pytest.mark.parametrize(
    ("dims", "expected"),
    [
        ([2, 4], [2, 4]),
        (["n", 4], [-1, 4]),
        (["n", "m", 4], ["n", "m", 4]),
        ([4, "n", "m"], [4, "n", "m"]),
        (["n", "m"], ["n", "m"]),
        (["m", "n", 4], ["m", -1, 4]),
        (["n", 4, "m"], ["n", 4, -1]),
        (["n", "n*m", 4], ["n", -1, 4]),
        (["n*m", "m", 4], [-1, "m", 4]),
        (["n*m", "n - 1"], None),
        (["n", 0], None),
    ],
)
def test_what_reshape_takes_for_a_shape(dims: list[Size], expected: list[Size] | None) -> None:
    sizes = SizeTensors(graph("(float[n, m] x) => (float[n, m] y) { y = Relu(x) }").graph)
    made = sizes.shape(dims)
    assert sizes.shape_possible(dims) == (made is not None)
    assert (None if made is None else list(sizes.numbers(made) or [])) == expected


def test_sizes_are_made_once_and_before_all_nodes() -> None:
    model = graph("(float[n, m] x) => (float[n, m] y) { y = Relu(x) }")
    sizes = SizeTensors(model.graph)
    first, number = sizes.vector(["n", 4, 5]), sizes.scalar("m")
    assert first is sizes.vector(["n", 4, 5]) is SizeTensors(model.graph).vector(["n", 4, 5])
    assert sizes.vector(["k"]) is sizes.scalar("k") is None
    assert first is not None
    assert number is not None
    assert [node.op_type for node in model.graph] == ["Shape", "Concat", "Shape", "Squeeze", "Relu"]
    model.graph.outputs.extend([first, number])
    first.name, number.name = "first", "number"
    found = run(model, {"x": np.zeros((3, 2), dtype=np.float32)})
    np.testing.assert_array_equal(found["first"], [3, 4, 5])
    np.testing.assert_array_equal(found["number"], 2)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (1, 2, True),
        (2, 2, False),
        ("n", -1, True),
        (-1, "n", True),
        ("n", 1, False),
        ("n", "m", False),
        ("k", -1, False),
    ],
)
def test_what_differs_for_certain(left: Size, right: Size, expected: bool) -> None:
    sizes = SizeTensors(graph("(float[n, m] x) => (float[n, m] y) { y = Relu(x) }").graph)
    assert sizes.differ(left, right) is expected


def test_the_shape_of_a_filling_is_known_and_of_what_follows() -> None:
    model = inferred("""(float[n, m] x, float[n, 1, m] z) => (float[n, m, m] y) <int64[1] one = {1}>
        { size = Shape(x) three = Concat <axis = 0> (size, one) ones = ConstantOfShape(three) y = Mul(ones, z) }""")
    shapes = {node.op_type: shape_of(node.outputs[0]) for node in model.graph}
    assert (shapes["ConstantOfShape"], shapes["Mul"]) == (["n", "m", 1], ["n", "m", "m"])


@pytest.mark.parametrize(("declared", "expected"), [(True, [1, 64]), (False, ["batch", "sequence"])])
def test_inputs_of_texts_that_declare_no_shape_have_that_of_the_ids(declared: bool, expected: list[Size]) -> None:
    model = graph("""(int64[1, 64] input_ids, int64[1, 64] attention_mask, int64 other) => (int64[b, s] y)
        { y = Add(input_ids, attention_mask) }""")
    for value in model.graph.inputs[declared:]:
        value.shape = None
    infer_sizes(model)
    ids, mask, other = model.graph.inputs
    assert (shape_of(ids), shape_of(mask), other.shape) == (expected, expected, None)
