"""The functions `mbert.Tokenize`, `TokenizePair`, `TokenizeWindows` and `TokenizePairWindows`: bytes to model inputs.

docs/development/tokenize.md has their signature, tables and algorithm.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import onnx
import onnx_ir as ir
from onnx import TensorProto, helper, numpy_helper

from graphs.functions import DOMAIN, VERSION
from graphs.functions.text.body.nodes import Nodes
from graphs.functions.text.body.normalized import with_normalized
from graphs.functions.text.body.plain import read_symbols
from graphs.functions.text.body.trie import Trie
from graphs.functions.text.body.wordpiece import tokenize
from graphs.functions.text.rows.outputs import SPANS, write_rows
from graphs.functions.text.rows.places import RowForm, find_places
from graphs.functions.text.tables.row_options import Form, RowOptions, Truncation
from graphs.functions.text.tables.settings import TemplatePart
from graphs.functions.text.tables.tables import Tables

# The opset of bodies: the oldest that has all of their operators.
OPSET = 18
IR_VERSION = 8

OUTPUTS = (
    "input_ids",
    "attention_mask",
    "token_type_ids",
    "offsets",
    "word_offsets",
    "sequence_ids",
    "row_texts",
    "cut",
)

DOCUMENTATION = """UTF-8 bytes to the inputs of a model: BERT's normalizer and pre-tokenizer, added tokens, WordPiece,
special tokens, truncation and padding, or windows.

Inputs:
    text            [bytes], uint8        all texts, one after the other
    row_splits      [texts + 1], int64    where each text begins, and the end of the last
    pair, pair_splits                     the second texts, in the forms for pairs
    max_length      [] or [1], int64      the most tokens in a row
    stride          [] or [1], int64      the overlap of windows, in the forms with windows; negative: the default
    and the tables of the tokenizer.
Outputs, int64:
    input_ids, attention_mask, token_type_ids, sequence_ids   [rows, longest]
    offsets, word_offsets                                     [rows, longest, 2], bytes in the token's text
    row_texts                                                 [rows], the text of each row
    cut                                                       [texts, sequences], the number of tokens cut
    owned                                                     [rows, longest], bool, in the forms with windows

docs/development/tokenize.md of mbert-onnx has the layouts of the tables, the attributes and the algorithm."""


def inputs(form: Form, tables: Tables) -> list[str]:
    """Returns the names of a function's inputs, in order; the tables are the last ones."""
    pair = ["pair", "pair_splits"] if form.has_pair else []
    return ["text", "row_splits", *pair, "max_length", *(["stride"] if form.has_windows else []), *tables.arrays]


def outputs(form: Form) -> list[str]:
    """Returns the names of a function's outputs, in order."""
    return [*OUTPUTS, *(["owned"] if form.has_windows else [])]


def attributes(form: Form, tables: Tables, options: RowOptions) -> dict[str, Any]:
    """Returns the attributes of a node that calls the function, for a native kernel: the body has them as constants."""
    template = _template(form, tables)
    most = 2**31 if options.segments is None else options.segments - 1
    parts = [
        (0, part.id, min(part.type, most)) if part.sequence is None else (1, part.sequence, min(part.type, most))
        for part in template
    ]
    options = _resolved(form, options)
    found = {
        "shift": tables.shift,
        "roots": list(tables.roots),
        "last_space": tables.last_space,
        "last_isolated": tables.last_isolated,
        "first_added": tables.first_added,
        "unknown": tables.settings.unknown,
        "longest_word": tables.settings.longest_word,
        "template": [number for part in parts for number in part],
        "padding": options.padding,
        "truncation": int(options.truncation),
        "truncation_side": int(options.cut_left),
        "limit": options.limit,
        "columns": options.columns,
        SPANS: 1,
    }
    return found | ({"windowed": options.windowed} if form.has_windows else {})


def function(form: Form, tables: Tables, options: RowOptions) -> ir.Function:
    """Returns the function for a tokenizer, whose body has standard operators of opset 18 only."""
    g, options = Nodes(), _resolved(form, options)
    trie = Trie(g)
    read = read_symbols(g, tables, trie, form.has_pair)
    symbols = with_normalized(g, tables, trie, read.symbols) if tables.normalized.longest else read.symbols
    tokens = tokenize(g, tables, trie, symbols)
    rows = RowForm(_template(form, tables), 2 if form.has_pair else 1, form.has_windows, options)
    write_rows(g, tokens, rows, *find_places(g, tokens, read, rows))
    names = attributes(form, tables, options)
    proto = helper.make_function(
        DOMAIN,
        form.value,
        inputs(form, tables),
        outputs(form),
        g.protos,
        [helper.make_opsetid("", OPSET)],
        list(names),
    )
    proto.doc_string = DOCUMENTATION
    return ir.serde.deserialize_function(proto)


def text_model(form: Form, tables: Tables, options: RowOptions) -> onnx.ModelProto:
    """Returns a model of this one function: the texts and `max_length` in, all outputs out."""
    names, tensors = inputs(form, tables), dict(tables.arrays)
    values = {"text": (TensorProto.UINT8, ["bytes"]), "pair": (TensorProto.UINT8, ["pair_bytes"])}
    values |= {"row_splits": (TensorProto.INT64, ["splits"]), "pair_splits": (TensorProto.INT64, ["pair_splits"])}
    shapes = {name: ["rows", "longest"] for name in outputs(form)}
    shapes |= {"offsets": ["rows", "longest", "2"], "word_offsets": ["rows", "longest", "2"]}
    shapes |= {"row_texts": ["rows"], "cut": ["texts", "sequences"]}
    graph = helper.make_graph(
        [helper.make_node(form.value, names, outputs(form), domain=DOMAIN, **attributes(form, tables, options))],
        form.value,
        [
            helper.make_tensor_value_info(name, *values.get(name, (TensorProto.INT64, list[str]())))
            for name in names
            if name not in tensors
        ],
        [
            helper.make_tensor_value_info(
                name,
                TensorProto.BOOL if name == "owned" else TensorProto.INT64,
                [int(size) if size.isdigit() else size for size in shape],
            )
            for name, shape in shapes.items()
        ],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    return helper.make_model(
        graph,
        functions=[ir.serde.serialize_function(function(form, tables, options))],
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, VERSION)],
        ir_version=IR_VERSION,
    )


def _template(form: Form, tables: Tables) -> Sequence[TemplatePart]:
    return tables.settings.pair if form.has_pair else tables.settings.single


def _resolved(form: Form, options: RowOptions) -> RowOptions:
    """Returns the settings that have a meaning for this form: one text is the one that is cut, or not at all."""
    if form.has_pair:
        return options
    none = options.truncation is Truncation.NONE
    return dataclasses.replace(options, windowed=0, truncation=Truncation.NONE if none else Truncation.LONGEST_FIRST)
