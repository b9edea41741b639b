"""Groups of channels that must share a unit."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graph_helpers import LAYER, Text, graph
from graph_texts import ATTENTION

from graphs.precision.channel_groups import PLAIN, ChannelGroups, scaled_linear


class Found:
    """The choices of a graph's values, by name."""

    def __init__(self, model: ir.Model) -> None:
        self.channels = ChannelGroups(model.graph)
        self.values = {str(v.name): v for node in model.graph for v in node.outputs}
        self.values |= {str(v.name): v for v in model.graph.inputs}

    def layout(self, name: str) -> np.ndarray:
        """Choices in the value's layout; those of which the unit is the inverse are negative, and plain ones 0."""
        found = self.channels.of(self.values[name])
        assert found is not None, f"{name} is not followed"
        return np.where(found[1], -found[0], found[0])

    def __getitem__(self, name: str) -> list[int]:
        found: list[int] = self.layout(name).reshape(-1).tolist()
        return found

    def plain(self, name: str) -> bool:
        found = self.channels.of(self.values[name])
        return found is None or not found[0].any()


def found(text: str, **values: np.ndarray) -> Found:
    return Found(graph(text, **values))


def free(choices: list[int], of: int) -> bool:
    """Returns whether there are this many groups, all different, and none is group 0."""
    return len(set(choices)) == len(choices) == of and PLAIN not in choices


def test_a_linear_layer_chooses_a_unit_for_each_of_its_channels() -> None:
    units = found(
        "(float[n, 4] x) => (float[n, 2] y) <float[4, 3] V, float[3, 2] W> { h = MatMul(x, V) y = MatMul(h, W) }"
    )
    assert free(units["h"], of=3)
    assert units.layout("h").shape == (1, 3)
    assert units.plain("x")  # an input of the graph
    assert units.plain("y")  # an output
    assert units.channels.count == 1 + 3 + 2


@pytest.mark.parametrize(
    "layer", ["MatMul(x, V)", "Gemm(x, V)", "Gemm(x, V, b)", "Gemm <transB = 1> (x, T, b)", "Gemm(x, V, c)"]
)
def test_layers_of_all_forms_choose(layer: str) -> None:
    constants = "<float[4, 3] V, float[3, 4] T, float[3] b, float[5, 3] c, float[3, 2] W>"
    units = found(f"(float[5, 4] x) => (float[5, 2] y) {constants} {{ h = {layer} y = MatMul(h, W) }}")
    assert free(units["h"], of=3)


@pytest.mark.parametrize("layer", ["Gemm <alpha = 2.0> (x, V, b)", "Gemm <beta = 2.0> (x, V, c)", "Gemm(V, x)"])
def test_layers_with_factors_of_their_own_do_not(layer: str) -> None:
    constants = "<float[4, 4] V, float[4] b, float[4, 4] c, float[4, 2] W>"
    units = found(f"(float[4, 4] x) => (float[4, 2] y) {constants} {{ h = {layer} y = MatMul(h, W) }}")
    assert units.plain("h")


def test_layers_in_three_dimensions_choose() -> None:
    units = found(
        "(float[b, s, 4] x) => (float[b, s, 2] y) <float[4, 3] V, float[3, 2] W> { h = MatMul(x, V) y = MatMul(h, W) }"
    )
    assert free(units["h"], of=3)
    assert units.layout("h").shape == (1, 1, 3)


# Sums

TWO = "(float[n, 4] x) => (float[n, 2] y) <float[4, 3] V, float[4, 3] W, float[3, 2] U>"


@pytest.mark.parametrize("op_type", ["Add", "Sub"])
def test_a_sum_has_the_unit_of_both_summands(op_type: str) -> None:
    units = found(f"{TWO} {{ a = MatMul(x, V) b = MatMul(x, W) s = {op_type}(a, b) r = Relu(s) y = MatMul(r, U) }}")
    assert free(units["a"], of=3)
    assert units["a"] == units["b"] == units["s"] == units["r"]


def test_a_residual_within_gemm_is_a_sum() -> None:
    units = found(f"{TWO} {{ a = MatMul(x, V) b = Gemm(x, W, a) y = MatMul(b, U) }}")
    assert free(units["a"], of=3)
    assert units["a"] == units["b"]


def test_a_stream_has_one_unit_through_all_its_residuals() -> None:
    units = found("""(float[n, 4] x) => (float[n, 3] y) <float[4, 3] V, float[3, 5] A, float[5, 3] B, float[3, 6] C,
        float[6, 3] D, float[3, 3] U> { u0 = MatMul(x, V) h0 = MatMul(u0, A) u1 = Gemm(h0, B, u0) h1 = MatMul(u1, C)
        u2 = Gemm(h1, D, u1) y = MatMul(u2, U) }""")
    assert free([*units["u0"], *units["h0"], *units["h1"]], of=3 + 5 + 6)
    assert units["u0"] == units["u1"] == units["u2"]


@pytest.mark.parametrize("residual", ["Add(a, z)", "Add(z, a)", "Gemm(x, V, z)"])
def test_a_residual_from_an_input_is_plain(residual: str) -> None:
    units = found(f"""(float[n, 4] x, float[n, 3] z) => (float[n, 2] y) <float[4, 3] V, float[3, 2] U>
        {{ a = MatMul(x, V) r = Relu(a) s = {residual} y = MatMul(s, U) }}""")
    assert units.plain("s")
    assert units.plain("a") == (residual != "Gemm(x, V, z)")


@pytest.mark.parametrize("order", ["a, p", "p, a"])
def test_a_sum_may_be_broadcast_over_texts(order: str) -> None:
    units = found(f"""(float[b, s, 4] x, float[s, 4] z) => (float[b, s, 2] y)
        <float[4, 3] V, float[4, 3] W, float[3, 2] U>
        {{ a = MatMul(x, V) p = MatMul(z, W) s = Add({order}) y = MatMul(s, U) }}""")
    assert free(units["a"], of=3)
    assert units["a"] == units["p"] == units["s"]
    assert units.layout("s").shape == (1, 1, 3)


def test_a_sum_that_is_broadcast_over_channels_is_plain() -> None:
    units = found("""(float[n, 4] x) => (float[n, 2] y) <float[4, 3] V, float[4, 1] W, float[3, 2] U>
        { a = MatMul(x, V) b = MatMul(x, W) s = Add(a, b) y = MatMul(s, U) }""")
    assert all(units.plain(name) for name in "abs")


def test_a_residual_of_one_number_for_each_token_is_plain() -> None:
    units = found("""(float[n, 4] x) => (float[n, 2] y) <float[4, 3] V, float[4, 1] W, float[3, 2] U>
        { b = MatMul(x, W) s = Gemm(x, V, b) y = MatMul(s, U) }""")
    assert units.plain("b")
    assert units.plain("s")


@pytest.mark.parametrize("shift", ["Add(a, k)", "Add(k, a)", "Sub(a, k)", "Sub(k, a)"])
@pytest.mark.parametrize("shape", ["[3]", "[1]", "[1, 3]", ""])
def test_a_constant_that_is_added_takes_the_unit_of_what_it_is_added_to(shift: str, shape: str) -> None:
    k = "float k = {0.5}" if not shape else f"float{shape} k"
    units = found(f"""(float[n, 4] x) => (float[n, 2] y) <float[4, 3] V, {k}, float[3, 2] U>
        {{ a = MatMul(x, V) s = {shift} y = MatMul(s, U) }}""")
    assert free(units["a"], of=3)
    assert units["s"] == units["a"]


def test_a_constant_for_each_token_is_not_modified() -> None:
    units = found("""(float[5, 4] x) => (float[5, 2] y) <float[4, 3] V, float[5, 3] k, float[3, 2] U>
        { a = MatMul(x, V) s = Add(a, k) y = MatMul(s, U) }""")
    assert units.plain("a")
    assert units.plain("s")


def test_a_constant_that_is_added_to_an_input_is_plain() -> None:
    units = found("(float[n, 4] x) => (float[n, 3] y) <float[4] k, float[4, 3] V> { s = Add(x, k) y = MatMul(s, V) }")
    assert units.plain("s")


def test_integers_have_no_units() -> None:
    units = found("(int64[n, 2] i) => (int64[n, 2] y) <int64[2] k> { s = Add(i, k) t = Mul(s, k) y = Add(t, s) }")
    assert units.channels.count == 1


# Products with constants


@pytest.mark.parametrize("product", ["Mul(a, g)", "Mul(g, a)"])
def test_a_product_with_a_number_for_each_channel_chooses_anew(product: str) -> None:
    units = found(f"""(float[n, 4] x) => (float[n, 2] y) <float[4, 3] V, float[3] g, float[3, 2] U>
        {{ a = MatMul(x, V) m = {product} y = MatMul(m, U) }}""")
    assert free([*units["a"], *units["m"]], of=6)


@pytest.mark.parametrize("constant", ["float g = {-2}", "float[1] g", "float[1, 1] g"])
def test_a_product_with_one_number_keeps_the_unit(constant: str) -> None:
    units = found(f"""(float[n, 4] x) => (float[n, 2] y) <float[4, 3] V, {constant}, float[3, 2] U>
        {{ a = MatMul(x, V) m = Mul(a, g) y = MatMul(m, U) }}""")
    assert free(units["a"], of=3)
    assert units["m"] == units["a"]


def test_a_product_with_a_number_for_each_head_chooses_for_each_channel() -> None:
    units = found("""(float[b, s, 4] x) => (float[b, s, 6] y)
        <float[4, 6] V, float[2, 1] g, int64[4] heads = {0, 0, 2, 3}, int64[3] joined = {0, 0, 6}, float[6, 6] U>
        { a = MatMul(x, V) r = Reshape(a, heads) m = Mul(r, g) t = Reshape(m, joined) y = MatMul(t, U) }""")
    assert free([*units["a"], *units["m"]], of=12)
    assert units["t"] == units["m"]


def test_a_product_with_a_number_for_each_token_is_plain() -> None:
    units = found("""(float[5, 4] x) => (float[5, 2] y) <float[4, 3] V, float[5, 1] g, float[3, 2] U>
        { a = MatMul(x, V) m = Mul(a, g) y = MatMul(m, U) }""")
    assert units.plain("a")
    assert units.plain("m")


# Views


def test_heads_are_views() -> None:
    units = found(ATTENTION)
    assert free(units["value"], of=6)
    np.testing.assert_array_equal(units.layout("value4"), units.layout("value").reshape(1, 1, 2, 3))
    np.testing.assert_array_equal(units.layout("values"), units.layout("value").reshape(1, 2, 1, 3))


def test_a_mean_over_tokens_keeps_the_units_of_values() -> None:
    units = found(ATTENTION)
    np.testing.assert_array_equal(units.layout("context"), units.layout("values"))
    np.testing.assert_array_equal(units.layout("context3"), units.layout("value"))


def test_keys_have_the_inverse_units_of_queries() -> None:
    units = found(ATTENTION)
    assert free(units["query"], of=6)
    assert units["key"] == [-choice for choice in units["query"]]
    assert units.plain("scores")
    assert units.plain("weights")


def test_the_unit_of_a_key_is_the_inverse() -> None:
    units = found(ATTENTION)
    numbers = np.ones(units.channels.count)
    chosen = np.abs(units["query"])
    numbers[chosen] = 2.0 ** np.arange(1, 7)
    query, key = (units.channels.unit(units.values[name], numbers) for name in ("query", "key"))
    assert query is not None
    assert key is not None
    np.testing.assert_array_equal(query * key, np.ones((1, 1, 6)))
    assert set(query.reshape(-1)) | set(key.reshape(-1)) == {2.0**i for i in (*range(-6, 0), *range(1, 7))}
    assert units.channels.unit(units.values["value"], numbers) is None
    assert units.channels.unit(units.values["scores"], numbers) is None


def test_queries_times_themselves_are_plain() -> None:
    units = found("""(float[n, 4] x) => (float[n, n] y) <float[4, 3] Q>
        { q = MatMul(x, Q) k = Transpose(q) y = MatMul(q, k) }""")
    assert units.plain("q")


def test_a_query_whose_key_is_turned_around_is_partly_plain() -> None:
    # The key is the query with its halves exchanged, and the middle at its place: that is its own inverse.
    units = found("""(float[n, 4] x) => (float[n, n] y, float[n, n] z, float[n, n] w)
        <float[4, 3] Q, int64[3] ones = {1, 1, 1}>
        { q = MatMul(x, Q) a, b, c = Split <axis = 1> (q, ones) at = Transpose(a) bt = Transpose(b) ct = Transpose(c)
          y = MatMul(a, ct) z = MatMul(b, bt) w = MatMul(c, at) }""")
    first, middle, last = units["q"]
    assert first == -last != PLAIN
    assert middle == PLAIN


def test_streams_that_are_queries_of_each_other() -> None:
    units = found("""(float[n, 4] x) => (float[n, n] y, float[n, n] z) <float[4, 3] A, float[4, 3] B, float[4, 3] C>
        { a = MatMul(x, A) b = MatMul(x, B) c = MatMul(x, C) bt = Transpose(b) ct = Transpose(c)
          y = MatMul(a, bt) z = MatMul(b, ct) }""")
    assert free(units["a"], of=3)
    assert units["b"] == [-choice for choice in units["a"]]
    assert units["c"] == units["a"]


def test_a_ring_of_inverses_of_odd_length_is_plain() -> None:
    # a = 1/b, b = 1/c, c = 1/a.
    units = found("""(float[n, 4] x) => (float[n, n] y, float[n, n] z, float[n, n] w)
        <float[4, 3] A, float[4, 3] B, float[4, 3] C>
        { a = MatMul(x, A) b = MatMul(x, B) c = MatMul(x, C) at = Transpose(a) bt = Transpose(b) ct = Transpose(c)
          y = MatMul(a, bt) z = MatMul(b, ct) w = MatMul(c, at) }""")
    assert all(units.plain(name) for name in "abc")


def test_a_split_hands_parts_on() -> None:
    units = found("""(float[n, 4] x) => (float[n, 2] y, float[n, 2] z)
        <float[4, 5] V, int64[2] sizes = {2, 3}, float[2, 2] A, float[3, 2] B>
        { a = MatMul(x, V) l, r = Split <axis = -1> (a, sizes) y = MatMul(l, A) z = MatMul(r, B) }""")
    assert free(units["a"], of=5)
    assert (units["l"], units["r"]) == (units["a"][:2], units["a"][2:])


def test_a_split_of_tokens_hands_all_channels_on() -> None:
    units = found("""(float[6, 4] x) => (float[3, 2] y, float[3, 2] z) <float[4, 5] V, float[5, 2] A, float[5, 2] B>
        { a = MatMul(x, V) l, r = Split <axis = 0, num_outputs = 2> (a) y = MatMul(l, A) z = MatMul(r, B) }""")
    assert free(units["a"], of=5)
    assert units["l"] == units["r"] == units["a"]


def test_parts_that_are_added_share_units() -> None:
    units = found("""(float[n, 4] x) => (float[n, 2] y) <float[4, 6] V, int64[2] sizes = {3, 3}, float[3, 2] A>
        { a = MatMul(x, V) l, r = Split <axis = -1> (a, sizes) s = Add(l, r) y = MatMul(s, A) }""")
    assert free(units["l"], of=3)
    assert units["a"] == units["l"] * 2


def test_values_that_are_shifted_and_added_share_one_unit() -> None:
    units = found("""(float[n, 4] x) => (float[n, 2] y) <float[4, 3] V, float[4, 3] W, float[3, 2] U,
        int64[2] later = {1, 2}, int64[2] sooner = {2, 1}, float[2, 2] A>
        { a = MatMul(x, V) b = MatMul(x, W) s = Add(a, b) first, r = Split <axis = -1> (a, later)
          p, last = Split <axis = -1> (b, sooner) t = Add(r, p) c = MatMul(s, U) y = Gemm(t, A, c) }""")
    # a is b; its channels 1 and 2 are those 0 and 1 of b.
    assert len(set(units["a"])) == 1
    assert PLAIN not in units["a"]
    assert units["a"] == units["b"]


def test_rows_that_are_chosen_keep_their_units() -> None:
    units = found("""(float[b, s, 4] x) => (float[b, 2] y) <float[4, 3] V, int64 first = {0}, float[3, 2] U>
        { a = MatMul(x, V) c = Gather <axis = 1> (a, first) y = MatMul(c, U) }""")
    assert free(units["a"], of=3)
    assert units["c"] == units["a"]
    assert units.layout("c").shape == (1, 3)


# Embeddings


def test_rows_of_a_table_choose_a_unit_for_each_column() -> None:
    units = found("""(int64[b, s] ids) => (float[b, s, 3] y) <float[9, 4] T, float[4, 3] V>
        { e = Gather(T, ids) y = MatMul(e, V) }""")
    assert free(units["e"], of=4)
    assert units.layout("e").shape == (1, 1, 4)


def test_words_types_and_positions_have_one_unit() -> None:
    units = found("""(int64[b, 5] ids, int64[b, 5] segments) => (float[b, 5, 3] y)
        <float[9, 4] T, float[2, 4] S, float[12, 4] P, int64[1] start = {0}, int64[1] end = {5}, int64[1] axis = {0},
         float[4, 3] V>
        { e = Gather(T, ids) g = Gather(S, segments) p = Slice(P, start, end, axis) q = Add(g, p) s = Add(e, q)
          y = MatMul(s, V) }""")
    assert free(units["e"], of=4)
    assert units["e"] == units["g"] == units["p"] == units["s"]


LOOKUPS = {
    "columns": ("float[9, 5] y", "float[9, 4] T", "e = Gather <axis = 1> (T, ids)"),
    "numbers": ("float[5] y", "float[9] T", "e = Gather(T, ids)"),
    "rows of more dimensions": ("float[5, 2, 4] y", "float[9, 2, 4] T", "e = Gather(T, ids)"),
    "rows of an input": ("float[5, 4] y", "float[9, 4] T", "e = Gather(theirs, ids)"),
    "rows of a part": (
        "float[5, 2] y",
        "float[9, 4] T, int64[1] start = {0}, int64[1] end = {2}, int64[1] axis = {1}",
        "c = Slice(T, start, end, axis) e = Gather(c, ids)",
    ),
}


@pytest.mark.parametrize("case", LOOKUPS)
def test_other_lookups_are_plain(case: str) -> None:
    output, constants, nodes = LOOKUPS[case]
    units = found(
        f"(int64[5] ids, float[9, 4] theirs) => ({output}) <{constants}> {{ {nodes} r = Relu(e) y = Relu(r) }}"
    )
    assert units.channels.count == 1


def test_rows_are_of_the_units_that_their_reader_wants() -> None:
    text = "(int64[n] ids) => (float[n, 4] y) <float[9, 4] T> { e = Gather(T, ids) y = Softmax(e) }"
    assert found(text)["e"] == [PLAIN] * 4
    assert free(found(text.replace("Softmax(e)", "MatMul(e, W)").replace("T>", "T, float[4, 4] W>"))["e"], of=4)


# What wants plain numbers. h is a linear layer's.
PLAIN_READERS = {
    "softmax": "y = Softmax(h)",
    "tanh": "y = Tanh(h)",
    "gelu": "y = Erf(h)",
    "sigmoid": "y = Sigmoid(h)",
    "layer norm": "y = LayerNormalization(h, gamma)",
    "a division": "y = Div(h, gamma)",
    "a product of two activations": "y = Mul(h, r)",
    "a negation": "y = Neg(h)",
    "a cast": "c = Cast <to = 11> (h) y = Cast <to = 1> (c)",
    "a reduction": "y = ReduceMean <axes = [1]> (h)",
    "a concatenation": "y = Concat <axis = 0> (h, r)",
    "a view that tears tokens apart": "y = Reshape(h, torn)",
    "a product over tokens": "t = Transpose(h) y = MatMul(t, square)",
    "a product with an input": "y = MatMul(h, other)",
    "an input's product": "t = Transpose(h) y = MatMul(other, t)",
    "a branch": """y = If (yes) <then_branch = g () => (float[4, 4] p) { p = Relu(h) },
        else_branch = e () => (float[4, 4] q) { q = Neg(r) }>""",
    "somebody else's operator": "y = theirs.Relu(h)",
}


@pytest.mark.parametrize("case", PLAIN_READERS)
def test_other_readers_want_plain_numbers(case: str) -> None:
    numbers = ", ".join(map(str, range(16)))
    text = f"""<ir_version: 10, opset_import: ["" : 17, "theirs" : 1]>
        g (float[4, 4] x, float[4, 4] other, bool yes) => (float y)
        <float[4, 4] W = {{{numbers}}}, float[4, 4] square = {{{numbers}}},
         float[4] gamma = {{1, 2, 3, 4}}, int64[2] torn = {{2, 8}}>
        {{ h = MatMul(x, W) z = MatMul(x, W) r = Relu(z) {PLAIN_READERS[case]} }}"""
    proto = onnx.parser.parse_model(text)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    model = ir.from_proto(onnx.shape_inference.infer_shapes(proto))
    units = Found(model)
    assert units.plain("h")
    reads_both = case in ("a product of two activations", "a concatenation", "a branch")
    assert units.plain("r") == reads_both
    if not reads_both:
        assert free(units["z"], of=4)


def test_an_output_is_plain_and_so_is_what_is_tied_to_it() -> None:
    units = found("""(float[n, 4] x) => (float[n, 3] s, float[n, 2] y) <float[4, 3] V, float[4, 3] W, float[3, 2] U>
        { a = MatMul(x, V) b = MatMul(x, W) s = Add(a, b) y = MatMul(s, U) }""")
    assert all(units.plain(name) for name in "abs")


def test_what_is_made_of_an_unknown_shape_is_plain() -> None:
    model = graph(
        "(float[n, 4] x) => (float[n, 2] y) <float[4, 3] V, float[3, 2] W> { h = MatMul(x, V) y = MatMul(h, W) }"
    )
    assert not Found(model).plain("h")
    model.graph.inputs[0].shape = None
    assert Found(model).plain("h")


def test_a_layer_has_the_streams_of_the_paper() -> None:
    """The inner stream (anew after each NoNorm), what is shared, queries and keys, values, and hidden channels."""
    units = found(Text(LAYER).replace("Div(query, root)", "Mul(query, root)"))
    hidden = units["active"]
    chosen = ("bottleneck", "inner", "attention", "ffn", "bottleneck2", "shared", "query", "value")
    assert free([choice for name in chosen for choice in units[name]] + hidden, of=4 * len(chosen) + 6)
    assert units["key"] == [-choice for choice in units["query"]]
    assert units["context"] == units["value"]
    assert units["attended"] == units["sum3"] == units["inner"]
    assert units["fed"] == units["sum4"] == units["attention"]
    # What an input is added to, and what becomes the output.
    assert all(units.plain(name) for name in ("embeddings", "x", "outer", "scaled5", "hidden"))


def test_only_onnx_has_linear_layers() -> None:
    text = """<ir_version: 10, opset_import: ["" : 18, "theirs" : 1]>
        g (float[n, 2] x) => (float[n, 2] y) <float[2, 2] W = {1, 2, 3, 4}> { y = theirs.Gemm(x, W, x) }"""
    (node,) = ir.from_proto(onnx.parser.parse_model(text)).graph
    assert scaled_linear(node) is None


def test_a_residual_in_gemm_is_no_bias() -> None:
    model = graph(
        "(float[n, 4] x, float[n, 3] r) => (float[n, 3] y) <float[3, 4] W> { y = Gemm <transB = 1> (x, W, r) }"
    )
    linear = scaled_linear(next(iter(model.graph)))
    assert linear is not None
    assert (linear.transposed, linear.bias, linear.width) == (True, None, 3)


PER_TOKEN = """(float[b, s, 4] x, float[b, s, {size}] m, bool[b, s, {size}] k) => (float[b, s, 2] y)
<float[4, 3] V, float[3, 2] W> {{ h = MatMul(x, V) g = MatMul(x, V) z = {operator} y = MatMul(z, W) }}"""


@pytest.mark.parametrize(
    ("operator", "size", "is_free"),
    [
        ("Mul(h, m)", 1, True),
        ("Mul(m, h)", 1, True),
        ("Mul(h, m)", 3, False),
        ("Mul(h, g)", 1, False),
        ("Where(k, h, g)", 1, True),
        ("Where(k, h, g)", 3, False),
        ("Where(k, h, m)", 1, False),
    ],
)
def test_a_number_or_a_choice_for_each_token_keeps_units(operator: str, size: int, is_free: bool) -> None:
    units = found(PER_TOKEN.format(operator=operator, size=size))
    if not is_free:
        assert units.plain("h")
        return
    assert free(units["h"], of=3)
    assert units["z"] == units["h"]
    if "g" in operator:
        assert units["g"] == units["h"]
