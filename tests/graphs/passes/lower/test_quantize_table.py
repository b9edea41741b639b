"""Embedding tables of 8 bits."""

from __future__ import annotations

import graph_helpers
import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import Arrays, Text, constant, graph, leaves_alone, run

from graphs.passes.lower.quantize_dynamic import QuantizeDynamic
from graphs.passes.lower.quantize_table import FEWEST_NUMBERS, QuantizeTable
from graphs.precision.int8 import quantized

ROWS, WIDTH = 300, 64
LOOKUP = Text(f"(int64[b, s] ids) => (float[b, s, {WIDTH}] y) <float[{ROWS}, {WIDTH}] T> {{ y = Gather(T, ids) }}")
FEED: Arrays = {"ids": np.random.default_rng(0).integers(0, ROWS, size=(2, 7))}
QUANTIZED = """rows{0} = Gather(T_int8, {1}) real{0} = Cast <to = 1> (rows{0}) scale{0} = Gather(T_scales, {1})
    {2} = Mul(real{0}, scale{0})"""

# A language model, whose head reads the table again.
TIED = Text(f"""(int64[n] ids) => (float[n, {ROWS}] y)
    <float[{ROWS}, {WIDTH}] T, float[{ROWS}] bias, float[{WIDTH}] beta>
    {{ e = Gather(T, ids) h = Add(e, beta) y = Gemm <transB = 1> (h, T, bias) }}""")
IDS: Arrays = {"ids": np.random.default_rng(0).integers(0, ROWS, size=9)}


def becomes(before: ir.Model, body: str) -> ir.Model:
    """Asserts that the pass makes this of a graph; what it computes is another matter."""
    return graph_helpers.becomes(QuantizeTable(), before, body, exact=False)


def test_rows_are_looked_up_in_8_bits() -> None:
    before = graph(
        LOOKUP, T=np.random.default_rng(0).normal(size=(ROWS, WIDTH)) * 10.0 ** np.linspace(-6, 6, ROWS)[:, None]
    )
    after = becomes(before, QUANTIZED.format("", "ids", "y"))
    assert set(after.graph.initializers) == {"T.int8", "T.scales"}
    assert after.graph.initializers["T.int8"].dtype == ir.DataType.INT8
    table, scales = constant(before, "T"), constant(after, "T.scales")
    np.testing.assert_array_equal(constant(after, "T.int8"), quantized(table, axis=1)[0])
    np.testing.assert_allclose(scales, np.abs(table).max(axis=1, keepdims=True) / 127, rtol=1e-6)
    # Half a step of each row.
    apart = np.abs(run(after, FEED)["y"] - table[FEED["ids"]])
    assert (apart <= 0.501 * scales[FEED["ids"]]).all()
    assert apart.max() > 0


def test_several_lookups_share_a_table() -> None:
    text = LOOKUP.replace("(int64[b, s] ids)", "(int64[b, s] ids, int64[n] more)")
    text = text.replace("y)", "y, float[n, 64] z)").replace("y = ", "z = Gather(T, more) y = ")
    before = graph(text)
    after = becomes(before, QUANTIZED.format(1, "more", "z") + QUANTIZED.format(2, "ids", "y"))
    assert set(after.graph.initializers) == {"T.int8", "T.scales"}


def test_a_single_row_is_looked_up() -> None:
    text = LOOKUP.replace("(int64[b, s] ids)", "(int64 ids)").replace("float[b, s, 64]", "float[64]")
    after = becomes(graph(text), QUANTIZED.format("", "ids", "y"))
    assert run(after, {"ids": np.array(3)})["y"].shape == (WIDTH,)


def test_rows_of_zeros_stay_so() -> None:
    table = np.random.default_rng(0).normal(size=(ROWS, WIDTH))
    table[5] = 0
    after = graph(LOOKUP, T=table)
    QuantizeTable()(after)
    np.testing.assert_array_equal(run(after, {"ids": np.array([[5]])})["y"], np.zeros((1, 1, WIDTH)))


# A tied head


PRODUCT = """transposed = Transpose(T_int8) quantized, step, zero = DynamicQuantizeLinear(h)
    integer = MatMulInteger(quantized, transposed, zero) whole = Cast <to = 1> (integer) steps = Mul(step, T_scale)
    product = Mul(whole, steps) y = Add(product, bias)"""


def test_a_head_that_is_tied_to_the_table_reads_the_same_numbers() -> None:
    before = graph(TIED)
    after = becomes(before, f"{QUANTIZED.format('', 'ids', 'e')} h = Add(e, beta) {PRODUCT}")
    assert set(after.graph.initializers) == {"T.int8", "T.scales", "T.scale", "beta", "bias"}
    np.testing.assert_array_equal(constant(after, "T.scale"), constant(after, "T.scales")[:, 0])
    # What the head says is as far off as 8 bits are.
    table, bias = constant(before, "T"), constant(before, "bias")
    h = table[IDS["ids"]] + constant(before, "beta")
    found = run(after, IDS)["y"]
    assert 0 < np.linalg.norm(found - (h @ table.T + bias)) < 0.03 * np.linalg.norm(h @ table.T)


def test_a_head_without_a_bias_is_as_good() -> None:
    before = graph(TIED.replace("(h, T, bias)", "(h, T)"))
    product = PRODUCT.replace("product = ", "y = ").replace("y = Add(product, bias)", "")
    becomes(before, f"{QUANTIZED.format('', 'ids', 'e')} h = Add(e, beta) {product}")


def test_the_head_is_left_nothing_to_quantize() -> None:
    model = graph(TIED)
    QuantizeTable()(model)
    leaves_alone(QuantizeDynamic(lambda linear: True), model)


# Layers that stay float32


@pytest.mark.parametrize("kept", ["embeddings", "head"])
def test_a_table_that_a_layer_reads_that_stays_float32_does_too(kept: str) -> None:
    model = graph(TIED)
    for node, name in zip(model.graph, ("embeddings/0", "embeddings/1", "head/0"), strict=True):
        node.name = name
    leaves_alone(QuantizeTable([kept]), model)
    assert QuantizeTable(["layer.0"])(model).modified


# What is left alone
LEFT = {
    "a small table": LOOKUP.replace(f"float[{ROWS}, {WIDTH}] T", f"float[{FEWEST_NUMBERS // WIDTH - 1}, {WIDTH}] T"),
    "a table that is an output": LOOKUP.replace("y)", f"y, float[{ROWS}, {WIDTH}] T)"),
    "a table that is added to": LOOKUP.replace("y)", f"y, float[{ROWS}, {WIDTH}] z)").replace("y =", "z = Relu(T) y ="),
    "columns": LOOKUP.replace("Gather(", "Gather <axis = 1> (").replace("float[b, s, 64]", "float[300, b, s]"),
    "positions, which are cut out": """(int64[1] end) => (float[s, 64] y) <float[300, 64] T, int64[1] start = {0}>
        { y = Slice(T, start, end) }""",
    "a product that is not tied": """(float[n, 64] x) => (float[n, 300] y) <float[300, 64] T>
        { y = Gemm <transB = 1> (x, T) }""",
    "a product with the table as it stands": """(int64[n] ids, float[n, 300] x) => (float[n, 64] y, float[n, 64] z)
        <float[300, 64] T> { y = Gather(T, ids) z = MatMul(x, T) }""",
    "more dimensions": LOOKUP.replace(", 64] T", ", 8, 8] T").replace("float[b, s, 64]", "float[b, s, 8, 8]"),
    "integers": LOOKUP.replace("float[", "int64["),
    "doubles": LOOKUP.replace("float[", "double["),
    "half precision": LOOKUP.replace("float[", "float16["),
    "a branch": """(int64[n] i, bool c) => (float[n, 64] y, float[n, 64] z) <float[300, 64] T>
        { z = Gather(T, i) y = If (c) <then_branch = g () => (float[n, 64] a) { a = Gather(T, i) },
                                       else_branch = e () => (float[n, 64] b) { k = Gather(T, i) b = Neg(k) }> }""",
    "a product in a branch": """(int64[n] i, float[n, 64] x, bool c) => (float[n, 300] y, float[n, 64] z)
        <float[300, 64] T> { z = Gather(T, i)
        y = If (c) <then_branch = g () => (float[n, 300] a) { a = Gemm <transB = 1> (x, T) },
                    else_branch = e () => (float[n, 300] b) { k = Gemm <transB = 1> (x, T) b = Neg(k) }> }""",
}  # fmt: skip


@pytest.mark.parametrize("case", LEFT)
def test_other_tables_are_not_modified(case: str) -> None:
    leaves_alone(QuantizeTable(), graph(LEFT[case]))


def test_a_default_that_a_user_may_replace_is_not_modified() -> None:
    model = graph(LOOKUP)
    model.graph.inputs.append(model.graph.initializers["T"])
    leaves_alone(QuantizeTable(), model)
