"""The embeddings, as one operator."""

from __future__ import annotations

import re

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes
import pytest
from graph_helpers import Text, graph, leaves_alone, run, valid

from graphs.functions import DOMAIN, VERSION
from graphs.passes.fuse.fuse_embeddings import FuseEmbeddings
from graphs.passes.lower.quantize_dynamic import QuantizeDynamic
from graphs.passes.lower.quantize_table import QuantizeTable
from graphs.precision.float16 import to_half

EMBEDDINGS = Text("""(int64[b, s] input_ids, int64[b, s] token_type_ids) => (float[T, 6] y)
    <float[2048, 8] words, float[24, 6] W, float[9, 6] positions, float[3, 6] types, int64[6] pads = {0, 1, 0, 0, 1, 0},
     int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}, int64[1] back = {-2},
     int64[1] far = {9223372036854775807}, int64[2] wide = {-1, 24}, int64[2] narrow = {-1, 6}>
    {
        length = Shape <start = 1, end = 2> (input_ids)
        looked_up = Gather(words, input_ids)
        padded = Pad(looked_up, pads)
        following = Slice(padded, two, far, one, one)
        previous = Slice(padded, zero, back, one, one)
        trigrams = Concat <axis = 2> (following, looked_up, previous)
        rows = Reshape(trigrams, wide)
        places = Slice(positions, zero, length, zero, one)
        segments = Gather(types, token_type_ids)
        located = Add(segments, places)
        added = Reshape(located, narrow)
        y = Gemm(rows, W, added)
    }""")

INPUTS = ["input_ids", "token_type_ids", "words", "positions", "types", "W"]


def in_8_bits(model: ir.Model, *, table: bool = True, product: bool = True) -> ir.Model:
    if table:
        assert QuantizeTable()(model).modified
    if product:
        assert QuantizeDynamic(lambda _: True)(model).modified
    return model


def embedded(before: ir.Model) -> ir.Node:
    """Fuses the embeddings; asserts that the outputs stay the same, to the bit, for several lengths."""
    after = before.clone()
    assert FuseEmbeddings()(after).modified
    (node,) = [node for node in after.graph if node.domain == DOMAIN]
    assert after.opset_imports[DOMAIN] == VERSION
    assert {other.op_type for other in after.graph} <= {node.op_type, "Cast"}
    valid(before, after)
    inlined = after.clone()
    common_passes.InlinePass()(inlined)
    fixed = isinstance(before.graph.inputs[0].shape and before.graph.inputs[0].shape[1], int)
    for batch, length in ((2, 5),) if fixed else ((1, 1), (2, 5), (3, 9)):
        rng = np.random.default_rng(length)
        feed = {
            "input_ids": rng.integers(0, 2048, (batch, length)),
            "token_type_ids": rng.integers(0, 3, (batch, length)),
        }
        (expected,) = run(before, feed).values()
        for model in (after, inlined):
            np.testing.assert_array_equal(run(model, feed)["y"], expected)
    leaves_alone(FuseEmbeddings(), after)
    return node


def names(node: ir.Node) -> list[str]:
    return [(value.name or "") if value is not None else "" for value in node.inputs]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("Add(segments, places)", "Add(places, segments)"),
        ("axis = 2", "axis = -1"),
        ("(input_ids)\n", "(token_type_ids)\n"),
        ("(positions, zero, length, zero, one)", "(positions, zero, length, zero)"),
        ("Shape <start = 1, end = 2> (input_ids)", "Shape <start = -1> (token_type_ids)"),
    ],
)
def test_embeddings_become_one_node(old: str, new: str) -> None:
    node = embedded(graph(EMBEDDINGS.replace(old, new)))
    assert node.op_type == "Embeddings"
    assert names(node) == INPUTS


def test_a_transposed_weight_is_written_as_the_operator_reads_it() -> None:
    text = EMBEDDINGS.replace("float[24, 6] W", "float[6, 24] W").replace("Gemm", "Gemm <transB = 1>")
    assert names(embedded(graph(text)))[-1] == "W.transposed"


@pytest.mark.parametrize("cut", [True, False])
def test_a_fixed_length_counts_its_positions(cut: bool) -> None:
    text = EMBEDDINGS.replace("[b, s]", "[2, 5]").replace("length = Shape <start = 1, end = 2> (input_ids)", "")
    if cut:
        text = text.replace("zero, length", "zero, five").replace("int64[1] zero", "int64[1] five = {5}, int64[1] zero")
    else:
        text = text.replace("places = Slice(positions, zero, length, zero, one)", "").replace("places", "positions")
        text = text.replace("float[9, 6]", "float[5, 6]")
    assert names(embedded(graph(text)))[3] == "positions"


def test_embeddings_of_8_bits_become_one_node() -> None:
    node = embedded(in_8_bits(graph(EMBEDDINGS)))
    assert node.op_type == "EmbeddingsInt8"
    assert names(node) == [
        *("input_ids", "token_type_ids", "words.int8", "words.scales", "positions", "types", "W.int8", "W.scale"),
    ]


def test_embeddings_in_half_precision_become_one_node() -> None:
    model = graph(EMBEDDINGS)
    to_half(model)
    node = embedded(model)
    assert node.op_type == "EmbeddingsFloat16"
    assert names(node) == [*INPUTS[:2], *(f"{name}.half" for name in INPUTS[2:])]


MISSES = {
    "other ids": ("int64[b, s] input_ids, int64[b, s]", "int32[b, s] input_ids, int64[b, s]", "the ids are not int64"),
    "one row of token types": (
        "int64[b, s] token_type_ids",
        "int64[1, s] token_type_ids",
        "do not have the shape of the",
    ),
    "no token types": ("Gather(types, token_type_ids)", "Relu(types)", "it adds no lookup of token types"),
    "another order": ("(following, looked_up, previous)", "(previous, looked_up, following)", "take the next token"),
    "positions from the second on": ("(positions, zero, length", "(positions, one, length", "take the first rows"),
    "positions at ids": ("Slice(positions, zero, length, zero, one)", "Gather(positions, input_ids)", "expected Slice"),
    "as many positions as texts": ("start = 1, end = 2", "start = 0, end = 1", "does not count the tokens"),
    "a bias": ("added = Reshape(located, narrow)", "added = Identity(bias)", "expected Reshape"),
    "two readers": ("located = Add", "copy = Relu(rows) located = Add", "the trigrams have 2 readers"),
    "a factor": ("Gemm(", "Gemm <alpha = 0.5> (", "expected a Gemm with the residual"),
    "a pad of another number": ("Pad(looked_up, pads)", "Pad(looked_up, pads, half)", "it does not pad by one token"),
}


@pytest.mark.parametrize("case", MISSES)
def test_other_embeddings_are_a_miss(case: str) -> None:
    old, new, reason = MISSES[case]
    text = EMBEDDINGS.replace(old, new)
    if "bias" in new:
        text = text.replace("int64[1] zero", "float[6] bias, int64[1] zero").replace(
            "(float[T, 6] y)", "(float[T, 6] y)"
        )
    if "half" in new:
        text = text.replace("int64[1] zero", "float half = {0.5}, int64[1] zero")
    if case == "two readers":
        text = text.replace("(float[T, 6] y)", "(float[T, 6] y, float[T, 24] copy)")
    if case == "no token types":
        text = text.replace("float[3, 6]", "float[1, 1, 6]")
    missed(graph(text), reason)


@pytest.mark.parametrize("table", [True, False])
def test_words_and_product_of_unequal_precision_are_a_miss(table: bool) -> None:
    missed(in_8_bits(graph(EMBEDDINGS), table=table, product=not table), "its weight is .*, the words are")


def test_lookups_that_another_node_reads_are_a_miss() -> None:
    text = EMBEDDINGS.replace("=> (float[T, 6] y)", "=> (float[T, 6] y, float[b, s, 8] copy)")
    missed(graph(text.replace("y = Gemm", "copy = Relu(looked_up) y = Gemm")), "it reads looked_up, which is inside")


def missed(model: ir.Model, reason: str) -> None:
    step = FuseEmbeddings()
    leaves_alone(step, model)
    (miss,) = step.misses
    assert re.search(reason, miss.reason), miss.reason
