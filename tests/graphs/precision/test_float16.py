"""Graphs in half precision, and what hardware makes of them."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graph_helpers import Arrays, Text, constant, graph, random_feed, run, valid
from graph_texts import BLOCK

from graphs.ir.masks import is_padding_bias
from graphs.passes.fuse.fuse_ffn import FuseFFN
from graphs.precision.calibration import Range
from graphs.precision.float16 import LARGEST_HALF, LARGEST_SAFE, rounded, to_half, too_large

NETWORK = Text("""(float[n, 4] x) => (float[n, 2] y) <float[4, 3] V, float[3] a, float[3, 2] W>
    { h = Gemm(x, V, a) r = Relu(h) y = MatMul(r, W) }""")

# What SimplifyMask makes of masks.
MASKED = Text("""(int64[b, s] mask, float[b, 1, s, s] scores) => (float[b, 1, s, s] y)
    <float one = {1}, float low, int64[2] axes = {1, 2}>
    { wide = Unsqueeze(mask, axes) real = Cast <to = 1> (wide) padding = Sub(one, real) bias = Mul(padding, low)
      masked = Add(scores, bias) y = Softmax <axis = -1> (masked) }""")
LOWEST = np.array(float(np.finfo(np.float32).min) / 2)
MASKS: Arrays = {
    "mask": np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
    "scores": np.random.default_rng(0).normal(size=(2, 1, 5, 5)).astype(np.float32),
}

HALF, FLOAT = ir.DataType.FLOAT16, ir.DataType.FLOAT


def halved(model: ir.Model, *keep: str) -> ir.Model:
    """A copy in half precision, but for the nodes with these outputs; it is valid."""
    copy = model.clone()
    to_half(copy, [node for node in copy.graph if node.outputs[0].name in keep])
    valid(model, copy)
    return copy


def types(model: ir.Model) -> dict[str, ir.DataType | None]:
    return {str(output.name): output.dtype for node in model.graph for output in node.outputs}


def to16(array: np.ndarray) -> np.ndarray:
    """Rounded to half precision, in float32. Too much is infinite."""
    with np.errstate(over="ignore"):
        return array.astype(np.float16).astype(np.float32)


def eighths(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Numbers whose products and sums are exact in float32, and not in float16."""
    return (rng.integers(-400, 400, size=shape) / 8).astype(np.float32)


# To half precision


def test_weights_and_values_are_of_half_precision() -> None:
    before = graph(NETWORK)
    after = halved(before)
    assert {name: kind for name, kind in types(after).items() if name in "hr"} == {"h": HALF, "r": HALF}
    read = {str(v.name): v for v in after.graph.initializers.values() if v.uses()}
    assert {v.dtype for v in read.values()} == {HALF}
    assert read["V.half"].const_value is not None
    np.testing.assert_array_equal(read["V.half"].const_value.numpy(), constant(before, "V").astype(np.float16))


def test_inputs_and_outputs_stay_as_they_are() -> None:
    before = graph("""(float[n, 4] x, int64[n] i, float[n, 4] z) => (float[n, 4] y, int64[n] j)
        { y = Add(x, z) j = Neg(i) }""")
    after = halved(before)
    feed = random_feed(before)
    found = run(rounded(after), feed)
    np.testing.assert_array_equal(found["y"], to16(to16(feed["x"]) + to16(feed["z"])))
    np.testing.assert_array_equal(found["j"], -feed["i"])
    assert [run(after, feed)[name].dtype for name in "yj"] == [np.float32, np.int64]


def test_a_value_is_cast_once() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 4] y, float[n, 4] z) <float[4] k>
        { p = Mul(x, k) q = Relu(x) k1 = Tanh(p) k2 = Erf(p) s = Add(k1, q) y = Mul(s, k) z = Add(k2, k) }""")
    after = halved(before, "k1", "k2")
    casts = [node for node in after.graph if node.op_type == "Cast"]
    # x, once for both readers; p, back for both that are kept, these again, and the outputs.
    assert len(casts) == 1 + 1 + 2 + 2
    assert [v for v in after.graph.initializers if v.startswith("k.half")] == ["k.half"]


@pytest.mark.parametrize("number", [1e6, 65520.0, np.inf])
def test_a_constant_that_is_too_large_is_the_largest_number(number: float) -> None:
    before = graph("(float[n, 2] x) => (float[n, 2] y) <float[2] k> { y = Min(x, k) }", k=np.array([number, -number]))
    found = run(halved(before), {"x": np.zeros((1, 2), np.float32)})["y"]
    np.testing.assert_array_equal(found, [[0.0, -LARGEST_HALF]])


def test_embeddings_are_of_half_precision() -> None:
    before = graph("(int64[n] ids) => (float[n, 3] y) <float[9, 3] T> { y = Gather(T, ids) }")
    after = halved(before)
    ids = np.array([0, 8, 3])
    np.testing.assert_array_equal(run(after, {"ids": ids})["y"], to16(constant(before, "T")[ids]))
    assert types(after)["y.half"] == HALF


def test_what_casts_to_float_casts_to_half() -> None:
    before = graph("""(int64[n] i) => (float[n] y, int64[n] j)
        { f = Cast <to = 1> (i) g = Mul(f, f) j = Cast <to = 7> (g) y = Neg(g) }""")
    after = halved(before)
    assert (types(after)["f"], types(after)["j"]) == (HALF, ir.DataType.INT64)
    np.testing.assert_array_equal(run(rounded(after), {"i": np.array([3, 51])})["j"], [9, 2600])  # 2601, rounded


def test_a_layer_norm_is_of_half_precision() -> None:
    before = graph("(float[n, 4] x) => (float[n, 4] y) <float[4] g, float[4] b> { y = LayerNormalization(x, g, b) }")
    after = halved(before)
    feed = random_feed(before)
    np.testing.assert_allclose(run(after, feed)["y"], run(before, feed)["y"], atol=1e-2)


# What makes numbers of nothing; each stands for k.
MADE = {
    "a tensor": "k = Constant <value = float[4] {0.1, 0.2, 0.3, 0.4}> ()",
    "a number": "k = Constant <value_float = 0.1> ()",
    "numbers": "k = Constant <value_floats = [0.1, 0.2, 0.3, 0.4]> ()",
    "zeros": "s = Shape(x) k = ConstantOfShape(s)",
    "numbers of a shape": "s = Shape(x) k = ConstantOfShape <value = float[1] {0.1}> (s)",
    "an identity matrix": "k = EyeLike <dtype = 1> (x)",
}


@pytest.mark.parametrize("case", MADE)
def test_constants_that_nodes_make_are_of_one_type_with_what_reads_them(case: str) -> None:
    before = graph(f"(float[4, 4] x) => (float[4, 4] y) {{ {MADE[case]} p = Mul(x, x) y = Add(p, k) }}")
    feed = random_feed(before)
    np.testing.assert_allclose(run(halved(before), feed)["y"], run(before, feed)["y"], atol=1e-2)


def test_nodes_to_keep_stay_float32() -> None:
    before = graph(Text(NETWORK).replace("y = MatMul(r, W)", "t = Tanh(r) y = MatMul(t, W)"))
    after = halved(before, "r", "t")
    assert [types(after)[name] for name in ("h", "r", "t")] == [HALF, FLOAT, FLOAT]
    assert [node.op_type for node in after.graph] == ["Cast", "Gemm", "Cast", "Relu", "Tanh", "Cast", "MatMul", "Cast"]
    feed = random_feed(before)
    np.testing.assert_allclose(run(after, feed)["y"], run(before, feed)["y"], atol=1e-2)


def test_constants_of_nodes_to_keep_stay_float32_and_others_do_not() -> None:
    before = graph("(float[n, 4] x) => (float[n, 4] y, float[n, 4] z) <float[4] k> { y = Mul(x, k) z = Add(x, k) }")
    after = halved(before, "y")
    feed = random_feed(before)
    found, given = run(rounded(after), feed), run(before, feed)
    np.testing.assert_array_equal(found["y"], given["y"])
    np.testing.assert_array_equal(found["z"], to16(to16(feed["x"]) + to16(constant(before, "k"))))


def test_where_all_is_kept_nothing_changes() -> None:
    before = graph(NETWORK)
    assert ir.to_proto(halved(before, "h", "r", "y")) == ir.to_proto(before)


@pytest.mark.parametrize("choice", [True, False])
def test_branches_stay_float32_and_read_what_is_around_them(choice: bool) -> None:
    before = graph("""(float[n, 4] x, bool c) => (float[n, 4] y) <float[4, 4] W, float[4] k>
        { h = MatMul(x, W) p = If (c) <then_branch = g () => (float[n, 4] a) { a = Mul(h, k) },
                                       else_branch = e () => (float[n, 4] b) { i = Neg(h) b = Add(i, x) }>
          y = Add(p, h) }""")
    after = halved(before)
    assert types(after)["h"] == HALF
    feed = {**random_feed(before), "c": np.array(choice)}
    np.testing.assert_allclose(run(after, feed)["y"], run(before, feed)["y"], atol=1e-2)


def test_operators_of_somebody_else_stay_float32() -> None:
    text = """<ir_version: 10, opset_import: ["" : 18, "theirs" : 1]>
        g (float[n, 4] x) => (float[n, 4] y) { h = Neg(x) r = theirs.Twice(h) y = Relu(r) }
        <domain: "theirs", opset_import: ["" : 18]> Twice (u) => (v) { v = Add(u, u) }"""
    before = ir.from_proto(onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text)))
    after = halved(before)
    (call,) = [node for node in after.graph if node.domain == "theirs"]
    given = call.inputs[0]
    assert given is not None
    assert given.dtype == FLOAT
    x = np.full((1, 4), -0.1, np.float32)
    np.testing.assert_allclose(run(after, {"x": x})["y"], 0.2 * np.ones((1, 4)), rtol=1e-3)


def test_8_bit_numbers_are_made_of_float32() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 4] y)
        { h = Neg(x) q, s, z = DynamicQuantizeLinear(h) y = DequantizeLinear(q, s, z) }""")
    after = halved(before, "y")
    feed = random_feed(before)
    np.testing.assert_allclose(run(after, feed)["y"], run(before, feed)["y"], atol=0.03)


def test_it_is_the_same_every_time() -> None:
    assert len({ir.to_proto(halved(graph(NETWORK))).SerializeToString(deterministic=True) for _ in range(3)}) == 1


# Padding


def test_padding_becomes_half_of_the_lowest_number_that_there_is() -> None:
    before = graph(MASKED, low=LOWEST)
    after = halved(before)
    (bias,) = [output for node in after.graph for output in node.outputs if output.name == "bias"]
    assert is_padding_bias(bias)
    found = run(after, MASKS)["y"]
    np.testing.assert_allclose(found, run(before, MASKS)["y"], atol=1e-3)
    np.testing.assert_array_equal(found[1, ..., 3:], np.zeros((1, 5, 2)))


def test_padding_of_layers_to_keep_may_be_the_same() -> None:
    before = graph(MASKED, low=LOWEST)
    after = halved(before, "masked", "y")
    np.testing.assert_allclose(run(after, MASKS)["y"], run(before, MASKS)["y"], atol=1e-6)


# What is too large


def ranged(*largest: float) -> Range:
    high = np.array([largest])
    return Range(-high / 2, high, high, np.array([high.max()]), np.zeros_like(high))


def named(text: str = NETWORK, **values: np.ndarray) -> ir.Model:
    model = graph(text, **values)
    for index, node in enumerate(model.graph):
        node.name = f"layer.{index}/{node.op_type}_0"
    return model


def test_a_value_too_large_is_reported_with_its_name_and_the_option() -> None:
    assert too_large(named().graph, {"h": ranged(1.0, 1e5, -2e5)}) == (
        "h reaches 2.0e+05 in channel 2 on the calibration texts; for fp16 expected at most 8188, an eighth of its "
        "largest number: pass --keep-float layer.0, which keeps these float32"
    )


def test_the_largest_value_and_all_layers_are_reported() -> None:
    ranges = {"h": ranged(1e4), "r": ranged(1e6, 10.0), "y": ranged(1e5)}
    found = too_large(named().graph, ranges)
    assert found is not None
    assert found.startswith("r reaches 1.0e+06 in channel 0 ")
    assert "pass --keep-float layer.0,layer.1,layer.2, which" in found


def test_values_with_room_are_not_reported() -> None:
    assert too_large(named().graph, {"h": ranged(LARGEST_SAFE, 1.0), "r": ranged(0.0)}) is None
    assert too_large(named().graph, {"h": ranged(LARGEST_SAFE * 1.01, 1.0)}) is not None
    assert too_large(named().graph, {}) is None


def test_nodes_to_keep_may_be_large() -> None:
    model = named()
    (first, *_) = model.graph
    ranges = {"h": ranged(1e9), "r": ranged(1.0)}
    assert too_large(model.graph, ranges, [first]) is None
    assert too_large(model.graph, {**ranges, "r": ranged(1e9)}, [first]) is not None


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_what_is_no_number_is_too_large(number: float) -> None:
    found = too_large(named().graph, {"h": ranged(1.0, number, 1e9), "r": ranged(1e5)})
    assert found is not None
    assert found.startswith("h reaches inf in channel 1 ")
    found = too_large(named().graph, {"h": ranged(number, number)})
    assert found is not None
    assert "channel 0" in found


def test_masks_may_be_large() -> None:
    model = named(MASKED, low=LOWEST)
    huge = ranged(1.7e38)
    assert too_large(model.graph, {"bias": huge, "masked": huge}) is None
    assert too_large(model.graph, {"bias": huge, "masked": huge, "real": huge}) is not None


def test_sums_that_are_no_masks_may_not() -> None:
    model = named("(float[n, 4] x) => (float[n, 4] y) <float[4] k> { s = Add(x, k) y = Neg(s) }")
    assert too_large(model.graph, {"s": ranged(1e5)}) is not None


# Rounded


def test_each_node_is_rounded_to_half_precision() -> None:
    rng = np.random.default_rng(0)
    text = Text(NETWORK).replace("y = MatMul(r, W)", "s = Add(r, a) y = MatMul(s, W)")
    v, a, w, x = eighths(rng, 4, 3), eighths(rng, 3), eighths(rng, 3, 2) / 64, eighths(rng, 50, 4)
    model = halved(graph(text, V=v, a=a, W=w))
    found = run(rounded(model), {"x": x})["y"]

    h = to16(to16(x) @ to16(v) + to16(a))
    s = to16(np.maximum(h, 0) + to16(a))
    np.testing.assert_array_equal(found, to16(s @ to16(w)))
    assert (found != np.maximum(x @ v + a, 0) @ w + a @ w).any()
    assert (found != to16(np.maximum(x @ v + a, 0) @ w + a @ w)).any()  # on the way, too


def test_inputs_and_outputs_in_half_precision() -> None:
    model = graph("(float16[n, 2] x) => (float16[n, 2] y) { a = Add(x, x) y = Mul(a, a) }")
    found = run(rounded(model), {"x": np.array([[0.1, 3.3]], np.float16)})["y"]
    assert found.dtype == np.float32
    twice = to16(2 * to16(np.array([[0.1, 3.3]])))
    np.testing.assert_array_equal(found, to16(twice * twice))


def test_what_stays_float32_is_not_rounded() -> None:
    before = graph("""(float[n, 4] x) => (float[n, 4] y, float[n, 4] z) <float[4] k>
        { p = Mul(x, k) y = Add(p, k) z = Neg(p) }""")
    feed = random_feed(before)
    found, given = run(rounded(halved(before, "p", "y")), feed), run(before, feed)
    np.testing.assert_array_equal(found["y"], given["y"])
    np.testing.assert_array_equal(found["z"], to16(given["z"]))


def test_too_much_is_infinite() -> None:
    text = "(float[n, 2] x) => (float[n, 2] y, float[n, 2] z) <float[2] k> { y = Add(x, k) z = Sub(y, k) }"
    model = halved(graph(text, k=np.array([15.0, 16.0])))
    found = run(rounded(model), {"x": np.array([[65504.0, 65504.0], [-65504.0, -65504.0], [1e6, -1e6]], np.float32)})
    # 65519 is nearer to the largest number than to the next one there would be; 65520 is as near, and an odd one's.
    low, infinite = -65504.0, np.inf
    np.testing.assert_array_equal(found["y"], [[65504.0, infinite], [low, low + 32], [infinite, -infinite]])
    np.testing.assert_array_equal(np.isinf(found["z"]), np.isinf(found["y"]))  # and stays so


def test_too_little_is_0() -> None:
    text = "(float[n, 1] x) => (float[n, 1] y) <float[1] k> { p = Mul(x, k) y = Div(p, k) }"
    model = halved(graph(text, k=np.array([1e-4])))
    x = np.array([[1.0], [1e-3], [1e-4]], np.float32)
    k = to16(np.array([1e-4]))
    expected = to16(to16(to16(x) * k) / k)
    np.testing.assert_array_equal(run(rounded(model), {"x": x})["y"], expected)
    assert expected[2] == 0 != expected[1]


def test_within_functions_each_node_is_rounded() -> None:
    rng = np.random.default_rng(0)
    shapes = {"V1": (4, 6), "a1": (6,), "W1": (6, 4), "V2": (4, 6), "a2": (6,), "W2": (6, 4), "Wo": (4, 8)}
    weights = {name: eighths(rng, *shape) / 16 for name, shape in shapes.items()}
    model = halved(graph(BLOCK, **weights))
    plain = model.clone()
    assert FuseFFN()(model).modified
    assert len(model.functions) == 1
    feed = random_feed(graph(BLOCK))
    found = run(rounded(model), feed)["y"]
    np.testing.assert_array_equal(found, run(rounded(plain), feed)["y"])

    u = to16(feed["u"])
    half = {name: to16(array) for name, array in weights.items()}
    for i in (1, 2):
        active = np.maximum(to16(u @ half[f"V{i}"] + half[f"a{i}"]), 0)
        u = to16(active @ half[f"W{i}"] + u)
    # Sums of more than a few numbers may be rounded in another order: by one unit of the last place in each step.
    expected = to16(u @ half["Wo"] + to16(feed["outer"]))
    np.testing.assert_allclose(found, expected, rtol=2**-8, atol=2**-6)
    assert (found == expected).mean() > 0.8


def test_no_node_computes_in_half_precision() -> None:
    model = rounded(halved(graph(MASKED, low=LOWEST)))
    proto = onnx.shape_inference.infer_shapes(ir.to_proto(model), strict_mode=True, check_type=True)
    kinds = {v.name: v.type.tensor_type.elem_type for v in (*proto.graph.value_info, *proto.graph.output)}
    half = [node for node in proto.graph.node if onnx.TensorProto.FLOAT16 in {kinds[name] for name in node.output}]
    assert {node.op_type for node in half} == {"Cast"}
    for node in proto.graph.node:
        if node.op_type != "Cast":
            assert onnx.TensorProto.FLOAT16 not in {kinds.get(name) for name in node.input}
    assert all(tensor.data_type != onnx.TensorProto.FLOAT16 for tensor in proto.graph.initializer)


def test_padding_is_half_of_the_lowest_number_and_no_text_is_infinite() -> None:
    model = rounded(halved(graph(MASKED, low=LOWEST)))
    feed = {**MASKS, "mask": np.array([[1, 1, 1, 1, 1], [0, 0, 0, 0, 0]])}
    found = run(model, feed)["y"]
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=-1), np.ones((2, 1, 5)), atol=2e-3)


@pytest.mark.parametrize("case", ["a tensor", "numbers of a shape"])
def test_constants_that_nodes_make_are_rounded(case: str) -> None:
    before = graph(f"(float[4, 4] x) => (float[4, 4] y) {{ {MADE[case]} y = Add(x, k) }}")
    feed = {"x": np.zeros((4, 4), np.float32)}
    np.testing.assert_array_equal(run(rounded(halved(before)), feed)["y"], to16(run(before, feed)["y"]))


def test_the_model_is_not_modified() -> None:
    model = halved(graph(BLOCK))
    FuseFFN()(model)
    before = ir.to_proto(model)
    rounded(model)
    assert ir.to_proto(model) == before
