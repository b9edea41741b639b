"""Census of a graph, against numbers computed by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graph_helpers import graph

from graphs.errors import GraphError
from graphs.reports.census import Census, Port, take_census

CLASSIFIER = """(int64[batch, seq_len] input_ids) => (float[batch, seq_len, 3] logits)
<float[10, 4] table, float[4, 3] W, float[3] b>
{
    embedded = Gather(table, input_ids)
    product = MatMul(embedded, W)
    logits = Add(product, b)
}"""


def census_of(model: ir.Model, path: Path, seq_len: int = 8) -> Census:
    ir.save(model, path)
    return take_census(path, seq_len)


def foreign(text: str, path: Path, seq_len: int = 8) -> Census:
    """The census of a graph as it was written, not one shape inferred."""
    header = '<ir_version: 10, opset_import: ["" : 18, "com.example": 1], producer_name: "someone">'
    onnx.save(onnx.parser.parse_model(f"{header} g {text}"), path)
    return take_census(path, seq_len)


def test_what_a_file_says_of_itself(tmp_path: Path) -> None:
    model, path = graph(CLASSIFIER), tmp_path / "model.onnx"
    model.producer_name, model.producer_version = "mbert", "1.2"
    census = census_of(model, path)
    assert (census.opset, census.ir_version, census.producer) == (18, 10, "mbert 1.2")
    assert census.file_bytes == path.stat().st_size
    assert census.inputs == [Port("input_ids", "int64", ("batch", "seq_len"))]
    assert census.outputs == [Port("logits", "float", ("batch", "seq_len", 3))]


def test_parameters_are_the_numbers_of_all_constants(tmp_path: Path) -> None:
    census = census_of(graph(CLASSIFIER), tmp_path / "model.onnx")
    assert census.parameters == 10 * 4 + 4 * 3 + 3
    assert census.weight_bytes == 4 * census.parameters


def test_a_shared_constant_counts_once(tmp_path: Path) -> None:
    text = "(float[n, 4] x) => (float[n, 4] y) <float[4, 4] W> { a = MatMul(x, W) y = MatMul(a, W) }"
    assert census_of(graph(text), tmp_path / "model.onnx").parameters == 16


def test_nodes_are_counted_by_type_the_most_frequent_first(tmp_path: Path) -> None:
    text = "(float[n, 4] x) => (float[n, 4] y) { a = com.example.Relu(x) b = Relu(a) c = Add(b, b) y = Relu(c) }"
    census = foreign(text, tmp_path / "model.onnx")
    assert list(census.nodes.items()) == [("Relu", 2), ("com.example.Relu", 1), ("Add", 1)]
    assert census.node_count == 4


@pytest.mark.parametrize("seq_len", [8, 1])
def test_multiply_accumulates_are_those_of_one_example(tmp_path: Path, seq_len: int) -> None:
    census = census_of(graph(CLASSIFIER), tmp_path / "model.onnx", seq_len)
    assert census.seq_len == seq_len
    assert census.macs == seq_len * 4 * 3
    assert census.macs_per_token == 12


def test_multiply_accumulates_of_attention(tmp_path: Path) -> None:
    text = """(float[2, seq, 4] q, float[2, seq, 6] v) => (float[2, seq, 6] y)
        { k = Transpose <perm = [0, 2, 1]> (q) scores = MatMul(q, k) y = MatMul(scores, v) }"""
    assert census_of(graph(text), tmp_path / "model.onnx", 5).macs == 2 * (5 * 5 * 4) + 2 * (5 * 6 * 5)


@pytest.mark.parametrize(
    ("operation", "macs"), [("Gemm <transA = 1> (x, W)", 3 * 5 * 6), ("Gemm <transB = 1> (x, V)", 6 * 7 * 3)]
)
def test_multiply_accumulates_of_transposed_gemms(tmp_path: Path, operation: str, macs: int) -> None:
    text = f"(float[6, 3] x) => (float[k, l] y) <float[6, 5] W, float[7, 3] V> {{ y = {operation} }}"
    assert census_of(graph(text), tmp_path / "model.onnx").macs == macs


@pytest.mark.parametrize(("name", "tokens"), [("seq", 8), ("Sequence_Length", 8), ("max_length", 8), ("n", 1)])
def test_a_dynamic_dimension_is_a_length_if_it_is_called_so_and_else_a_batch(
    tmp_path: Path, name: str, tokens: int
) -> None:
    text = f"(float[{name}, 4] x) => (float[{name}, 3] y) <float[4, 3] W> {{ y = MatMul(x, W) }}"
    assert census_of(graph(text), tmp_path / "model.onnx", 8).macs == tokens * 4 * 3


@pytest.mark.parametrize("seq_len", [8, 1])
def test_activation_bytes_are_the_most_that_is_alive_at_once(tmp_path: Path, seq_len: int) -> None:
    census = census_of(graph(CLASSIFIER), tmp_path / "model.onnx", seq_len)
    # Embedded, and the product of it; then the product and the logits, of 3 numbers each.
    assert census.activation_bytes == seq_len * (4 + 3) * 4


def test_a_residual_stays_alive_until_it_is_read(tmp_path: Path) -> None:
    text = "(float[seq, 4] x) => (float[seq, 4] y) { a = Relu(x) b = Relu(a) c = Relu(b) y = Add(c, a) }"
    # a, b and c; then a, c and y.
    assert census_of(graph(text), tmp_path / "model.onnx").activation_bytes == 3 * 8 * 4 * 4


def test_what_nothing_reads_dies_at_once(tmp_path: Path) -> None:
    text = """(float[seq, 4] x) => (float[seq, 2] y)
        { left, right = Split <axis = 1, num_outputs = 2> (x) a = Relu(left) b = Relu(a) y = Relu(b) }"""
    assert census_of(graph(text), tmp_path / "model.onnx").activation_bytes == 2 * 8 * 2 * 4


def test_an_output_stays_alive_to_the_end(tmp_path: Path) -> None:
    text = "(float[seq, 4] x) => (float[seq, 4] a, float[seq, 4] d) { a = Relu(x) b = Relu(a) c = Relu(b) d = Relu(c) }"
    assert census_of(graph(text), tmp_path / "model.onnx").activation_bytes == 3 * 8 * 4 * 4


def test_types_have_their_own_sizes(tmp_path: Path) -> None:
    text = "(float[seq] x) => (int64[seq] y) { y = Cast <to = 7> (x) }"
    assert census_of(graph(text), tmp_path / "model.onnx").activation_bytes == 8 * 8


def test_a_fixed_length_is_taken_as_it_is(tmp_path: Path) -> None:
    text = CLASSIFIER.replace("batch, seq_len", "1, 16")
    census = census_of(graph(text), tmp_path / "model.onnx", 8)
    assert (census.seq_len, census.macs) == (16, 16 * 4 * 3)


def test_the_width_of_features_is_no_length(tmp_path: Path) -> None:
    text = "(float[batch, seq_len, 4] x) => (float[batch, seq_len, 3] y) <float[4, 3] W> { y = MatMul(x, W) }"
    census = census_of(graph(text), tmp_path / "model.onnx", 8)
    assert (census.seq_len, census.macs) == (8, 8 * 4 * 3)


def test_shapes_that_are_computed_from_the_inputs_are_followed(tmp_path: Path) -> None:
    text = """(int64[batch, seq_len] input_ids) => (float[tokens, 2, 2] y)
        <float[10, 4] table, float[2, 2] W, int64[2] heads = {2, 2}>
        {
            embedded = Gather(table, input_ids)
            ids_shape = Shape(input_ids)
            tokens = ReduceProd <keepdims = 1> (ids_shape)
            shape = Concat <axis = 0> (tokens, heads)
            parted = Reshape(embedded, shape)
            y = MatMul(parted, W)
        }"""
    assert census_of(graph(text), tmp_path / "model.onnx").macs == 8 * 2 * 2 * 2


def test_shapes_that_a_file_notes_for_another_length_do_not_count(tmp_path: Path) -> None:
    text = "(float[seq, 4] x) => (float[128, 4] y) <float[128, 4] a> { a = Relu(x) y = Relu(a) }"
    assert foreign(text, tmp_path / "model.onnx").activation_bytes == 2 * 8 * 4 * 4


def test_weights_beside_the_file_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    proto = ir.to_proto(graph(CLASSIFIER))
    onnx.save(proto, path, save_as_external_data=True, location="model.onnx.data", size_threshold=0)
    census = take_census(path)
    assert census.parameters == 55
    assert census.file_bytes == path.stat().st_size + (tmp_path / "model.onnx.data").stat().st_size


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("(float[n, 4] x) => (float[m] y) { a = com.example.Foo(x) y = MatMul(a, a) }", id="custom"),
        pytest.param("(x) => (y) { y = MatMul(x, x) }", id="untyped"),
        pytest.param("(float[n, 4] x, float[n, 5] w) => (float[n, 4] y) { y = MatMul(x, w) }", id="impossible"),
    ],
)
def test_a_graph_whose_shapes_cannot_be_inferred_has_no_costs(tmp_path: Path, text: str) -> None:
    census = foreign(text, tmp_path / "model.onnx")
    assert census.node_count > 0
    assert census.macs is None
    assert census.macs_per_token is None
    assert census.activation_bytes is None


def test_strings_have_no_size(tmp_path: Path) -> None:
    census = foreign("(string[n] x) => (string[n] y) { y = Identity(x) }", tmp_path / "model.onnx")
    assert census.activation_bytes is None
    assert census.inputs == [Port("x", "string", ("n",))]


def test_unknown_types_and_dimensions_are_question_marks(tmp_path: Path) -> None:
    census = foreign("(x) => (float[?, 4] y) { y = Relu(x) }", tmp_path / "model.onnx")
    assert census.inputs == [Port("x", "?", None)]
    assert census.outputs == [Port("y", "float", ("?", 4))]


def test_a_census_as_a_dictionary_has_what_is_derived_too(tmp_path: Path) -> None:
    numbers = census_of(graph(CLASSIFIER), tmp_path / "model.onnx").as_dict()
    assert (numbers["macs"], numbers["macs_per_token"], numbers["node_count"]) == (96, 12, 3)
    assert numbers["inputs"] == [{"name": "input_ids", "dtype": "int64", "shape": ("batch", "seq_len")}]


def test_a_file_that_is_not_a_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("hello")
    with pytest.raises(GraphError):
        take_census(path)


def test_the_file_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    ir.save(graph(CLASSIFIER, b=np.zeros(3)), path)
    before = path.read_bytes()
    take_census(path)
    assert path.read_bytes() == before
