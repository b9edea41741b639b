"""Streams as matrices, and what is brought into its own shape again."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import Arrays, Text, becomes, graph, leaves_alone, random_feed, same_numbers, structure, valid

from graphs.model.shape_inference import infer_sizes
from graphs.passes.canonicalize.flatten_tokens import FlattenTokens
from graphs.passes.canonicalize.simplify_shapes import SimplifyShapes

WEIGHTS = Text("""<float[8, 8] W, float[8, 8] V, float[8] bias, float[1, 1, 8] row, float one = {2.0},
    float[6, 8] table, int64[4] heads = {0, 0, 2, 4}, int64[3] joined = {0, 0, 8}, int64[1] last = {2},
    int64[1] start = {0}, int64[1] four = {4}, int64[2] halves = {4, 4}, int64[1] axis = {1}>""")

# A residual block, of which something is done with the sum.
BLOCK = "product = MatMul(x, W) sum = Add(product, x)"
FLAT = "flat = Reshape(x, sizes) product = MatMul(flat, W) sum = Add(product, flat)"


def weights_and(more: str) -> str:
    return WEIGHTS.replace("<", f"<{more}, ")


def block(nodes: str, signature: str = "(float[b, s, 8] x) => (float[b, s, 8] y)") -> ir.Model:
    return graph(f"{signature} {WEIGHTS} {{ {BLOCK} {nodes} }}")


def flattened(before: ir.Model, *feeds: Arrays) -> ir.Model:
    """Returns the rewritten model, which is valid, computes the same, and is not changed by a second run."""
    after = before.clone()
    assert FlattenTokens()(after).modified
    valid(before, after)
    for feed in feeds or [random_feed(before)]:
        same_numbers(before, after, feed)
    leaves_alone(FlattenTokens(), after)
    return after


def rank_of(model: ir.Model, op_type: str) -> list[int | None]:
    """The ranks of what nodes of this type compute."""
    shapes = [node.outputs[0].shape for node in model.graph if node.op_type == op_type]
    return [None if shape is None else len(shape) for shape in shapes]


WHOLE = "rows = Shape <start = 0, end = 2> (x) target = Concat <axis = 0> (rows, sizes_2)"


def test_a_residual_block() -> None:
    becomes(
        FlattenTokens(),
        block("y = Relu(sum)"),
        f"{FLAT} r = Relu(sum) {WHOLE} y = Reshape(r, target)",
    )


@pytest.mark.parametrize(
    "nodes",
    [
        "y = Tanh(sum)",
        "y = Gelu(sum)",
        "y = Clip(sum, one)",
        "y = Mul(sum, one)",
        "y = Div(one, sum)",
        "y = Sub(sum, bias)",
        "y = Max(sum, bias, x)",
        "y = Min(sum)",
        "y = Softmax(sum)",
        "y = LogSoftmax <axis = 2> (sum)",
        "y = LayerNormalization(sum, bias)",
        "y = LayerNormalization <axis = 2> (sum, bias, bias)",
        "a, c = Split <axis = 2> (sum, halves) y = Concat <axis = -1> (c, a)",
        "a, c = Split <axis = -1, num_outputs = 2> (sum) y = Concat <axis = 2> (c, a)",
        "a = Slice(sum, start, four, last) y = Concat <axis = 2> (a, a)",
        "p = MatMul(sum, V) q = Add(p, bias) y = Add(q, sum)",
        "p = Mul(sum, row) y = Add(p, sum)",
        "p = Add(x, sum) y = Mul(p, x)",
        "d = Cast <to = 11> (sum) e = Neg(d) y = Cast <to = 1> (e)",
    ],
)
def test_what_is_done_to_each_token_alone_is_done_on_matrices(nodes: str) -> None:
    opset = 20 if "Gelu" in nodes else 18
    before = block(nodes.replace("Gelu", "Relu"))
    if "Gelu" in nodes:
        before.opset_imports[""] = opset
        next(node for node in before.graph if node.op_type == "Relu").op_type = "Gelu"
    after = before.clone()
    assert FlattenTokens()(after).modified
    valid(before, after)
    if "Gelu" not in nodes and "Cast" not in nodes:
        same_numbers(before, after)
    ranks = {
        len(o.shape)
        for n in after.graph
        for o in n.outputs
        if n.op_type not in ("Reshape", "Shape", "Concat")
        if o.shape
    }
    assert ranks == {2}
    assert len(rank_of(after, "Reshape")) == 2


@pytest.mark.parametrize(
    "nodes",
    [
        pytest.param("y = Softmax <axis = 1> (sum)", id="over tokens"),
        pytest.param("y = LayerNormalization <axis = 1> (sum, all)", id="normalised over tokens"),
        pytest.param("y = Transpose <perm = [1, 0, 2]> (sum)", id="turned"),
        pytest.param("a, c = Split <axis = 2> (sum, halves) y = Concat <axis = 1> (c, a)", id="joined along tokens"),
        pytest.param("y = Slice(sum, start, four, axis)", id="the first tokens"),
        pytest.param("a = Slice(sum, start, four) y = Neg(a)", id="a slice without axes"),
        pytest.param("a = Slice(sum, two_zeros, halves, two_axes) y = Neg(a)", id="a slice along two axes"),
        pytest.param("y = CumSum(sum, one_axis)", id="summed up"),
        pytest.param("y = ReduceMean(sum, axis)", id="a mean of tokens"),
        pytest.param("k = Transpose <perm = [0, 2, 1]> (sum) p = MatMul(sum, k) y = MatMul(p, sum)", id="attention"),
        pytest.param("y = Gather <axis = 1> (sum, start)", id="the first token"),
    ],
)
def test_what_is_done_to_several_tokens_is_done_on_their_own_shape(nodes: str) -> None:
    before = graph(f"""(float[3, 5, 8] x) => (float[i, j, k] y)
        {weights_and("float[5, 8] all, int64 one_axis = {1}, int64[2] two_axes = {1, 2}, int64[2] two_zeros = {0, 0}")}
        {{ {BLOCK} {nodes} }}""")
    after = flattened(before)
    assert rank_of(after, "Add") == [2]


@pytest.mark.parametrize(
    ("signature", "nodes"),
    [
        pytest.param("float[b, s, 8] x, float[1, s, 8] z", "y = Add(sum, z)", id="positions"),
        pytest.param("float[b, s, 8] x, float[s, 8] z", "y = Add(sum, z)", id="positions of two dimensions"),
        pytest.param("float[b, s, 8] x, float[b, 1, 8] z", "y = Mul(sum, z)", id="a gate for each text"),
        pytest.param("float[b, s, 8] x, float[b, s, 1] z", "y = Mul(sum, z)", id="a gate for each token"),
        pytest.param("float[b, s, 8] x, float[8] z", "y = Mul(sum, z)", id="a gate for each channel"),
        pytest.param("float[b, s, 8] x, float[b, s, 8] z", "y = Mul(sum, z)", id="a gate of the same shape"),
        pytest.param(
            "float[b, s, 8] x, float[1, s, 8] z", "p = MatMul(z, V) y = Add(sum, p)", id="a layer of one text"
        ),
        pytest.param(
            "float[b, s, 8] x, float[b, 1, 8] z", "p = MatMul(z, V) y = Add(p, sum)", id="a layer of one token"
        ),
        pytest.param("float[b, s, 8] x, float[b, s, 1] z", "p = Sigmoid(z) y = Mul(p, sum)", id="a computed gate"),
        pytest.param("float[1, s, 8] x, float[b, 1, 8] z", "y = Add(sum, z)", id="both are broadcast"),
        pytest.param(
            "float[b, s, 8] x, float[s, b, 8] z",
            "t = Transpose <perm = [1, 0, 2]> (z) p = MatMul(t, V) y = Add(sum, p)",
            id="turned",
        ),
    ],
)
def test_operands_that_are_broadcast(signature: str, nodes: str) -> None:
    before = graph(f"({signature}) => (float[b, s, 8] y) {WEIGHTS} {{ {BLOCK} {nodes} }}")
    flattened(before)


def test_constants_of_one_row_for_each_token_are_added_to_the_whole() -> None:
    before = graph(f"""(float[b, 6, 8] x) => (float[b, 6, 8] y, float[1, b, 6, 8] z)
        {weights_and("float[1, 1, 1, 8] deep")}
        {{ {BLOCK} y = Add(sum, table) z = Add(sum, deep) }}""")
    after = flattened(before)
    assert rank_of(after, "Add") == [2, 3, 4]


def test_a_gate_of_a_linear_layer_is_a_matrix_of_one_column() -> None:
    before = graph("""(float[b, s, 8] x) => (float[b, s, 8] y) <float[8, 8] W, float[8, 1] G>
        { product = MatMul(x, W) sum = Add(product, x) g = MatMul(x, G) p = Sigmoid(g) y = Mul(sum, p) }""")
    after = flattened(before)
    assert rank_of(after, "Mul") == [2]


def test_a_dynamic_last_dimension_stays_as_it_is() -> None:
    before = graph("""(float[b, s, 8] x, float[b, s, n] z) => (float[b, s, n] y) <float[8, 8] W, float[8, 1] G>
        { product = MatMul(x, W) sum = Add(product, x) g = MatMul(sum, G) y = Mul(z, g) }""")
    after = flattened(before)
    assert rank_of(after, "Mul") == [3]


def test_a_linear_layer_with_a_bias_starts_a_residual_block() -> None:
    before = graph("""(float[b, s, 8] x) => (float[b, s, 8] y) <float[8, 8] W, float[8] bias>
        { product = MatMul(x, W) shifted = Add(bias, product) y = Add(x, shifted) }""")
    after = flattened(before)
    assert rank_of(after, "Add") == [2, 2]


def test_values_are_outputs_in_their_own_shape() -> None:
    before = block(
        "y = Relu(sum)", "(float[b, s, 8] x) => (float[b, s, 8] sum, float[b, s, 8] y, float[b, s, 8] product)"
    )
    after = flattened(before)
    assert [value.name for value in after.graph.outputs] == ["sum", "y", "product"]


def test_an_output_that_something_else_reads_whole() -> None:
    before = block(
        "y = Transpose <perm = [1, 0, 2]> (sum) z = Softmax <axis = 1> (sum)",
        "(float[b, s, 8] x) => (float[b, s, 8] sum, float[s, b, 8] y, float[b, s, 8] z)",
    )
    after = flattened(before)
    assert rank_of(after, "Reshape") == [2, 3]


def test_streams_of_four_dimensions() -> None:
    before = graph("""(float[b, 2, s, 8] x, float[b, s, 8] z) => (float[b, 2, s, 8] y, float[b, s, 8] w) <float[8, 8] W>
        { product = MatMul(x, W) sum = Add(product, x) y = Relu(sum) p = MatMul(z, W) w = Add(p, z) }""")
    after = flattened(before)
    assert rank_of(after, "Relu") == [2]
    assert rank_of(after, "Add") == [2, 2]


def test_texts_and_choices() -> None:
    """[batch, choices, seq] becomes [batch · choices, seq], which no input has."""
    before = graph("""(int64[b, n, s] ids) => (float[b, n] y)
        <float[9, 8] words, float[8, 8] W, float[8, 1] V,
         int64[1] start = {0}, int64[1] axis = {1}, int64[1] any = {-1}, int64[1] last = {2}, int64[1] first = {0}>
        { size = Shape <start = 2, end = 3> (ids) target = Concat <axis = 0> (any, size) flat = Reshape(ids, target)
          x = Gather(words, flat) product = MatMul(x, W) sum = Add(product, x) scores = MatMul(sum, V)
          token = Gather <axis = 1> (scores, first) logits = Squeeze(token, last) back = Shape <end = 2> (ids)
          y = Reshape(logits, back) }""")
    SimplifyShapes()(before)
    after = flattened(before)
    assert rank_of(after, "Add") == [2]


@pytest.mark.parametrize(
    ("nodes", "flat"),
    [
        pytest.param("y = Reshape(sum, whole)", True, id="all sizes are its own"),
        pytest.param("y = Reshape(sum, heads)", False, id="two are copied"),
        pytest.param("y = Reshape(sum, given)", False, id="sizes of an input"),
        pytest.param("t = Concat <axis = 0> (zero, given2) y = Reshape(sum, t)", False, id="sizes that may copy"),
        pytest.param("t = Concat <axis = 0> (batch, rest) y = Reshape(sum, t)", True, id="sizes of the inputs"),
        pytest.param("t = Concat <axis = 0> (batch, zero, two) y = Reshape(sum, t)", False, id="one of them copied"),
    ],
)
def test_reshapes_read_matrices_where_they_copy_no_size(nodes: str, flat: bool) -> None:
    before = graph(
        f"""(float[b, s, 8] x, int64[4] given, int64[3] given2) => (float[i, j, k, l] y)
        {weights_and("int64[4] whole = {-1, 1, 2, 4}, int64[1] zero = {0}, int64[3] rest = {-1, 2, 4}, int64[2] two")}
        {{ {BLOCK} batch = Shape <start = 0, end = 1> (x) {nodes} }}""",
        two=np.array([2, 4]),
    )
    after = before.clone()
    assert FlattenTokens()(after).modified
    feed = {"x": random_feed(before)["x"], "given": np.array([0, 0, 2, 4]), "given2": np.array([0, 2, 4])}
    same_numbers(before, after, feed)
    read = next(node for node in after.graph if node.outputs[0].name == "y").inputs[0]
    assert read is not None
    assert (read.shape is not None and len(read.shape) == 2) == flat


def test_branches_read_values_in_their_own_shape() -> None:
    before = graph(f"""(float[b, s, 8] x, bool yes, bool no) => (float[i, j, k] y) {WEIGHTS}
        {{ {BLOCK} r = Relu(sum)
          y = If (yes) <then_branch = t () => (float[c, d, 8] p) {{ p = Transpose <perm = [1, 0, 2]> (r) }},
            else_branch = e () => (float[f, g, 8] q) {{
              q = If (no) <then_branch = t2 () => (float[c, d, 8] p2) {{ p2 = Softmax <axis = 1> (sum) }},
                else_branch = e2 () => (float[f, g, 8] q2) {{ q2 = Add(r, x) }}> }}> }}""")
    feeds = [{**random_feed(before), "yes": np.array(yes), "no": np.array(no)} for yes, no in ((1, 0), (0, 1), (0, 0))]
    feeds = [{name: array.astype(bool) if name in ("yes", "no") else array for name, array in f.items()} for f in feeds]
    flattened(before, *feeds)


def test_loops_read_values_in_their_own_shape() -> None:
    before = graph(f"""(float[b, s, 8] x, int64 times) => (float[i, j, k] y) {WEIGHTS}
        {{ {BLOCK} go = Cast <to = 9> (times) r = Relu(sum)
          y = Loop (times, go, r) <body = l (int64 i, bool c, float[d, e, 8] t) => (bool c2, float[d, e, 8] u)
            {{ c2 = Identity(c) u = Add(t, sum) }}> }}""")
    flattened(before, {"x": random_feed(before)["x"], "times": np.array(3)})


@pytest.mark.parametrize(
    ("signature", "nodes"),
    [
        pytest.param("(float[b, s, 8] x) => (float[b, s, 8] y)", "a = MatMul(x, W) y = Relu(a)", id="no residual"),
        pytest.param("(float[n, 8] x) => (float[n, 8] y)", "a = MatMul(x, W) y = Add(a, x)", id="matrices"),
        pytest.param("(float[b, s, 8] x) => (float[b, s, 8] y)", "a = Relu(x) y = Add(a, x)", id="no linear layer"),
        pytest.param("(float[b, s, 8] x) => (float[b, s, 8] y)", "a = MatMul(x, W) y = Add(a, row)", id="a bias"),
        pytest.param(
            "(float[b, s, 8] x, float[8, 8] w) => (float[b, s, 8] y)",
            "a = MatMul(x, w) y = Add(a, x)",
            id="an input",
        ),
        pytest.param("(float[b, s, 8] x) => (float[b, s, 8] y)", "a = MatMul(x, deep) y = Add(a, x)", id="a deep one"),
        pytest.param(
            "(float[b, 3, s, n] x) => (float[b, 3, s, n] y)", "a = Conv(x, kernel) y = Add(a, x)", id="a convolution"
        ),
    ],
)
def test_other_graphs_are_not_modified(signature: str, nodes: str) -> None:
    before = graph(f"""{signature} <float[8, 8] W, float[1, 8] row, float[1, 8, 8] deep, float[3, 3, 1, 1] kernel>
        {{ {nodes} }}""")
    leaves_alone(FlattenTokens(), before)


def test_an_empty_dimension_is_not_modified() -> None:
    before = graph("""(float[b, s, 0] x, float[b, s, 8] z) => (float[b, s, 8] y) <float[0, 8] W, float[8, 8] V>
        { a = MatMul(x, W) c = MatMul(z, V) d = Add(c, z) y = Add(a, d) }""")
    after = before.clone()
    assert FlattenTokens()(after).modified
    feed = {"x": np.zeros((2, 3, 0), np.float32), "z": np.ones((2, 3, 8), np.float32)}
    same_numbers(before, after, feed)
    assert rank_of(after, "MatMul") == [3, 2]


def test_values_of_unknown_shape_are_not_modified() -> None:
    before = block("r = Relu(sum) y = Tanh(r)")
    relu = next(node for node in before.graph if node.op_type == "Relu")
    relu.outputs[0].shape = None
    after = before.clone()
    assert FlattenTokens()(after).modified
    same_numbers(before, after)
    assert rank_of(after, "Tanh") == [3]


def test_two_unknown_sizes_are_not_modified() -> None:
    before = block("y = Relu(sum)")
    for value in [before.graph.outputs[0], *(o for node in before.graph for o in node.outputs)]:
        value.shape = ir.Shape(["p", "q", 8])
    leaves_alone(FlattenTokens(), before)


def test_operators_of_others_read_values_in_their_own_shape() -> None:
    before = block("r = Relu(sum) y = Tanh(r)")
    relu = next(node for node in before.graph if node.op_type == "Relu")
    relu.domain = "com.example"
    after = before.clone()
    assert FlattenTokens()(after).modified
    read = next(node for node in after.graph if node.domain == "com.example").inputs[0]
    assert read is not None
    assert read.shape is not None
    assert len(read.shape) == 3
    assert "Tanh" in structure(after)


def test_a_weight_that_the_graph_puts_together() -> None:
    before = graph("""(float[b, s, 8] x) => (float[b, s, 9] y) <float[8, 8] W, float[9, 6] table, float[2, 9] dense>
        { product = MatMul(x, W) sum = Add(product, x) upper = Transpose(table) V = Concat <axis = 0> (upper, dense)
          y = MatMul(sum, V) }""")
    after = flattened(before)
    assert rank_of(after, "MatMul") == [2, 2]


def test_a_stream_that_is_a_view_is_flattened_from_what_it_is_of() -> None:
    before = graph(f"""(float[b, s, 2, 4] x) => (float[b, s, 8] y) {WEIGHTS}
        {{ v = Reshape(x, joined) product = MatMul(v, W) y = Add(product, v) }}""")
    after = flattened(before)
    assert structure(after).count("Reshape") == 2


# A stream that TensorFlow makes a matrix before each product, and a stream after it.
MATRICES = """(float[b, s, 8] x) => (float[b, s, 8] y) <float[8, 8] W, float[8, 8] V, float[8] bias, float[8] gain,
    int64[2] flat = {-1, 8}, int64[1] last = {8}>
    { whole = Shape(x) m = Reshape(x, flat) p = MatMul(m, W) a = Reshape(p, whole) c = Add(a, bias) sum = Add(c, x)
      norm = Mul(sum, gain) n = Reshape(norm, flat) q = MatMul(n, V) d = Reshape(q, whole) e = Relu(d)
      y = Add(e, norm) }"""


def test_products_between_reshapes_are_of_matrices() -> None:
    before = graph(MATRICES)
    infer_sizes(before)
    after = before.clone()
    assert FlattenTokens()(after).modified
    same_numbers(before, after)
    assert rank_of(after, "Add") == [2, 2, 2]
    assert len(rank_of(after, "Reshape")) == 3  # the input twice, since it is read by both, and the output


def test_a_matrix_that_is_made_a_stream_of_another_width_stays() -> None:
    text = MATRICES.replace("float[8, 8] V", "float[8, 8] V, int64[3] wide = {1, -1, 4}")
    before = graph(text.replace("d = Reshape(q, whole)", "r = Reshape(q, wide) d = Reshape(r, whole)"))
    infer_sizes(before)
    after = before.clone()
    FlattenTokens()(after)
    same_numbers(before, after)
