"""8-bit numbers."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graph_helpers import constant, graph, random_feed, run, structure
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.functions.dynamic_product import dynamic_product
from graphs.precision.channel_groups import scaled_linear
from graphs.precision.int8 import LARGEST, SMALLEST_PRODUCT, insert, is_large, quantized, quantized_product


@pytest.mark.parametrize("axis", [0, 1])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_numbers_are_half_a_step_away_at_most(axis: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 9, size=2)
    array = rng.normal(size=shape) * 10.0 ** rng.uniform(-20, 20, size=shape if rng.random() < 0.5 else (shape[0], 1))
    numbers, scales = quantized(array, axis)
    assert (numbers.dtype, scales.dtype) == (np.int8, np.float32)
    assert scales.shape == (array.shape[1 - axis],)
    steps = np.expand_dims(scales.astype(np.float64), axis)
    # The scale itself is rounded to float32.
    assert (np.abs(numbers * steps - array) <= steps * (0.5 + LARGEST * 1e-7)).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_each_column_or_row_has_a_scale_of_its_own_and_uses_all_of_it(axis: int) -> None:
    array = np.array([[1.0, -200.0], [-2.0, 50.0], [0.5, 100.0]])
    numbers, scales = quantized(array, axis)
    np.testing.assert_allclose(scales, np.abs(array).max(axis=axis) / 127, rtol=1e-6)
    assert (np.abs(numbers).max(axis=axis) == 127).all()


def test_no_number_is_below_the_negative_of_the_largest() -> None:
    numbers, _ = quantized(np.array([[-1.0, 1.0], [-1.0, 0.25]]), axis=0)
    np.testing.assert_array_equal(numbers, [[-127, 127], [-127, 32]])


@pytest.mark.parametrize("tiny", [0.0, 1e-44, 1e-300])
def test_what_is_0_or_as_good_as_0_is_0(tiny: float) -> None:
    with np.errstate(all="raise", under="ignore"):
        numbers, scales = quantized(np.array([[tiny, 1.0], [-tiny, 2.0]]), axis=0)
    np.testing.assert_array_equal(numbers, [[0, 64], [0, 127]])
    assert scales[0] == 1


def test_a_matrix_without_rows_has_no_numbers() -> None:
    numbers, scales = quantized(np.zeros((0, 3)), axis=0)
    assert (numbers.shape, scales.shape) == ((0, 3), (3,))


@pytest.mark.parametrize(
    ("shape", "large"),
    [
        ((SMALLEST_PRODUCT, SMALLEST_PRODUCT), True),
        ((SMALLEST_PRODUCT - 1, 500), False),
        ((500, SMALLEST_PRODUCT - 1), False),
        ((500, 2), False),
    ],
)
@pytest.mark.parametrize("transposed", [False, True])
def test_a_product_is_large_in_both_its_inputs_and_outputs(
    shape: tuple[int, int], large: bool, transposed: bool
) -> None:
    inputs, outputs = shape
    stored = f"{outputs}, {inputs}" if transposed else f"{inputs}, {outputs}"
    model = graph(f"""(float[n, {inputs}] x) => (float[n, {outputs}] y) <float[{stored}] W>
        {{ y = Gemm <transB = {int(transposed)}> (x, W) }}""")
    linear = scaled_linear(next(iter(model.graph)))
    assert linear is not None
    assert is_large(linear) == large


def test_a_product_in_8_bits_says_what_the_functions_say() -> None:
    text = (
        "(float[n, 4] x) => (float[n, 3] y) <float[4, 3] W, int8[4, 3] numbers, float[3] scales> { y = MatMul(x, W) }"
    )
    numbers, scales = quantized(constant(graph(text), "W"), axis=0)
    model = graph(text, numbers=numbers, scales=scales)
    (node,) = model.graph
    weights = model.graph.initializers
    made = quantized_product(node, model.graph.inputs[0], weights["numbers"], weights["scales"])
    made.name, made.shape, made.type = "product", node.outputs[0].shape, node.outputs[0].type
    model.graph.outputs[0] = made
    model.graph.remove(node)
    lines = "\n".join(dynamic_product("x", "numbers", "scales", "product"))
    expected = onnx.parser.parse_graph(f"g (float[1] x) => (float[1] product) {{ {lines} }}")
    assert structure(model) == structure(expected)

    feed = random_feed(model)
    x = feed["x"].astype(np.float64)
    step = (max(x.max(), 0.0) - min(x.min(), 0.0)) / 255
    found = run(model, feed)["product"]
    weight = numbers * scales.astype(np.float64)
    # Each number of x is half a step away at most, or one where the zero point was rounded.
    assert (np.abs(found - x @ weight) <= step * np.abs(weight).sum(axis=0)).all()
    assert not np.array_equal(found, (x @ weight).astype(np.float32))


def test_a_node_is_inserted_before_another() -> None:
    model = graph("(float[n] x) => (float[n] y) { h = Relu(x) y = Neg(h) }")
    node = list(model.graph)[1]
    made = insert(node, "Cast", [node.inputs[0] or ir.val("?")], to=int(ir.DataType.FLOAT16))
    assert [n.op_type for n in model.graph] == ["Relu", "Cast", "Neg"]
    producer = made.producer()
    assert producer is not None
    assert producer.attributes.get_int("to", 0) == ir.DataType.FLOAT16
