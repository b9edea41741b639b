"""The text file of small graphs: names, inputs that some models have, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import parser
from text_functions import SPECIAL, joined
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from graphs.errors import GraphError
from graphs.functions.text.tables.settings import read_settings
from graphs.functions.text.tables.tables import Tables, make_tables
from graphs.functions.text_file.attach import add_text
from graphs.functions.text_file.detach import is_text_model, without_text
from graphs.functions.text_file.options import TextOptions

VOCABULARY = [*SPECIAL, *"abc", *(f"##{letter}" for letter in "abc")]
CLASSIFY = TextOptions("text-classification", limit=8, max_length=8, labels=("no", "yes"))
TABLE = np.linspace(-1, 1, 2 * len(VOCABULARY)).reshape(-1, 2).astype(np.float32)


def tables_of(template: bool = True) -> Tables:
    tokenizer = Tokenizer(models.WordPiece({entry: n for n, entry in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if template:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return make_tables(read_settings(tokenizer))


@pytest.fixture(scope="module")
def tables() -> Tables:
    return tables_of()


def model(inputs: str, body: str, outputs: str = "float[batch, 2] logits") -> ir.Model:
    """A model with the table of embeddings `table`."""
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> g ({inputs}) => ({outputs}) {{ {body} }}')
    proto.graph.initializer.append(onnx.numpy_helper.from_array(TABLE, "table"))
    return ir.from_proto(proto)


WORDS = "words = Gather(table, input_ids)  axis = Constant <value_ints = [1]> ()"
SUM = f"{WORDS}  sums = ReduceSum <keepdims = 0> (words, axis)"
IDS = "int64[batch, seq] input_ids"
PLAIN = (IDS, f"{SUM}  logits = Identity(sums)")


def run(text_model: ir.Model, *texts: str, **inputs: Any) -> dict[str, np.ndarray]:
    proto = ir.to_proto(text_model)
    onnx.checker.check_model(proto, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    data, splits = joined(texts)
    feed = {"text": data, "row_splits": splits, "max_length": np.array([8]), **inputs}
    if "row_splits" not in {value.name for value in session.get_overridable_initializers()}:
        del feed["row_splits"]  # of a model that takes one text only
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def scores(*rows: list[int], add: float = 0.0) -> np.ndarray:
    """The scores of rows of ids, best first."""
    logits = np.stack([TABLE[row].sum(0) for row in rows]).astype(np.float64) + np.array([0, add])
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return -np.sort(-probabilities, axis=-1)


def test_names_of_the_model_do_not_matter(tables: Tables) -> None:
    body = f"{SUM}  text = Identity(sums)  scores = Identity(text)  top_k = Identity(scores)  labels = Relu(top_k)"
    given = model(IDS, f"{body}  logits = Identity(top_k)", "float[batch, 2] logits, float[batch, 2] labels")
    given.graph.initializers["table"].name = "text.blocks"
    before = [node.op_type for node in given.graph]
    found = add_text(given, tables, CLASSIFY)
    np.testing.assert_allclose(run(found, "ab c")["scores"], scores([2, 5, 9, 7, 3]), rtol=1e-6)
    inside = without_text(found)
    assert [node.op_type for node in inside.graph] == [operator for operator in before if operator != "Relu"]
    assert [value.name for value in inside.graph.outputs] == ["logits"]
    assert [list(value.shape or ()) for value in inside.graph.inputs] == [["batch", "seq"]]
    assert not is_text_model(inside)


def test_positions_are_filled(tables: Tables) -> None:
    places = "number = Cast <to = 1> (position_ids)  last = ReduceMax <keepdims = 0> (number, axis)"
    body = f"{SUM}  {places}  column = Unsqueeze(last, axis)  one_hot = Constant <value_floats = [0.0, 1.0]> ()"
    given = model(
        f"{IDS}, int64[batch, seq] position_ids", f"{body}  added = Mul(column, one_hot)  logits = Add(sums, added)"
    )
    found = run(add_text(given, tables, CLASSIFY), "ab c", "a a a")
    np.testing.assert_allclose(found["scores"], scores([2, 5, 9, 7, 3], [2, 5, 5, 5, 3], add=4), rtol=1e-6)


def test_a_mask_may_be_of_another_type(tables: Tables) -> None:
    mask = "long = Cast <to = 1> (attention_mask)  wide = Unsqueeze(long, minus)  masked = Mul(words, wide)"
    body = f"{SUM}  minus = Constant <value_ints = [-1]> ()  {mask}  logits = ReduceSum <keepdims = 0> (masked, axis)"
    given = model(f"{IDS}, bool[batch, seq] attention_mask", body)
    found = run(add_text(given, tables, CLASSIFY), "ab c", "a")
    np.testing.assert_allclose(found["scores"], scores([2, 5, 9, 7, 3], [2, 5, 3]), rtol=1e-6)


def test_what_is_added_to_a_model_of_fixed_sizes_is_in_branches(tables: Tables) -> None:
    """There, no provider of a neural processor takes a node of it, whatever its sizes are."""
    eights = "eights = QuantizeLinear(words, scale, zero)  again = DequantizeLinear(eights, scale, zero)"
    sums = "sums = ReduceSum <keepdims = 0> (again, axis)  largest = ReduceMax <keepdims = 0> (again, axis)"
    constants = "scale = Constant <value_float = 0.01> ()  zero = Constant <value = int8 zero_point {0}> ()"
    body = f"{WORDS}  {constants}  {eights}  {sums}  logits = Add(sums, largest)"
    given = model("int32[1, 8] input_ids", body, "float[1, 2] logits")
    before = [node.op_type for node in given.graph]
    found = add_text(given, tables, CLASSIFY)
    assert {node.op_type for function in found.functions.values() for node in function} == {"OptionalHasElement", "If"}
    readers = [len(node.outputs[0].uses()) for node in found.graph if node.op_type == "DequantizeLinear"]
    assert readers == [1, 1]  # at one of two, Qualcomm's provider ends the process
    row = TABLE[[2, 5, 9, 7, 3, 0, 0, 0]]
    logits = (row.sum(0) + row.max(0)).astype(np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(run(found, "ab c")["scores"], [-np.sort(-probabilities)], rtol=0.05)
    inside = without_text(found)
    assert set(before) == {node.op_type for node in inside.graph}
    assert [(value.dtype, list(value.shape or ())) for value in inside.graph.inputs] == [(ir.DataType.INT32, [1, 8])]

    dynamic = add_text(model(*PLAIN), tables, CLASSIFY)
    assert "OptionalHasElement" not in {node.op_type for one in dynamic.functions.values() for node in one}


def test_rows_without_special_tokens_are_never_empty() -> None:
    found = run(add_text(model(*PLAIN), tables_of(template=False), CLASSIFY), "", "")
    np.testing.assert_allclose(found["scores"], scores([0], [0]), rtol=1e-6)


def test_no_text_is_one_empty_text(tables: Tables) -> None:
    found = run(add_text(model(*PLAIN), tables, CLASSIFY), row_splits=np.zeros(0, np.int64))
    np.testing.assert_allclose(found["scores"], scores([2, 3]), rtol=1e-6)


def test_the_default_of_an_input_that_the_model_has(tables: Tables) -> None:
    """Old files list their weights as inputs, too."""
    given = model(*PLAIN)
    given.graph.inputs.append(given.graph.initializers["table"])
    found = add_text(given, tables, CLASSIFY)
    assert [value.name for value in found.graph.inputs] == ["text", "max_length", "row_splits", "top_k"]
    np.testing.assert_allclose(run(found, "a")["scores"], scores([2, 5, 3]), rtol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "changes", "message"),
    [
        (f"{IDS}, int64[batch] length", {}, "has the inputs input_ids, length, expected input_ids and perhaps"),
        ("int64[8, seq] input_ids", {}, "has a fixed batch of 8, expected a dynamic one, or 1"),
        (
            "int64[batch, 2] input_ids",
            {},
            "puts 2 special tokens into a row, and the model reads 2, expected at",
        ),
        (IDS, {"task": "question-answering"}, "has the outputs logits, but question-answering needs start_logits"),
        (IDS, {"task": "multiple-choice"}, "but multiple-choice has 3 axes"),
        (IDS, {"task": "fill-mask"}, "has no mask token, which fill-mask needs"),
        (IDS, {"task": "summary"}, "the task is 'summary', expected one of question-answering"),
        (IDS, {"padding": 11}, "has the token 11, and the model 11 word embeddings, expected at least 12"),
    ],
)
def test_refusals(tables: Tables, inputs: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=message) as error:
        add_text(model(inputs, PLAIN[1]), tables, dataclasses.replace(CLASSIFY, **changes))
    assert "\n" not in str(error.value)


def test_a_model_without_text_has_none_to_take_out() -> None:
    with pytest.raises(GraphError, match="has no text input"):
        without_text(model(*PLAIN))
