"""Attaches the tokenizer and the answer to a model, which makes it a text file."""

from __future__ import annotations

import json

import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.functions.answers.entities import EntityNames
from graphs.functions.answers.label_names import write_names
from graphs.functions.text.function import IR_VERSION
from graphs.functions.text.rows.outputs import SPANS
from graphs.functions.text.tables.tables import Tables
from graphs.functions.text_file.additions import Additions, free_names
from graphs.functions.text_file.answers import answer
from graphs.functions.text_file.layout import Layout, check_ports
from graphs.functions.text_file.one_partition import separate_dequantizing
from graphs.functions.text_file.options import MODEL_OUTPUTS, TOKEN_CLASSIFICATION, TextOptions
from graphs.functions.text_file.ports import TEXT, input_ports, output_ports, record
from graphs.functions.text_file.tokens import feed, tokenize
from graphs.model.opsets import raise_opset


def add_text(model: ir.Model, tables: Tables, options: TextOptions) -> ir.Model:
    """Makes a text file of a model, in place: bytes in, the task's answer out. Returns the model.

    Before::

        input_ids, attention_mask, token_type_ids ── model ── logits

    After::

        text, max_length ── mbert.Tokenize ── model ── mbert.LabelScores ── labels, scores

    Outputs of the model that the answer does not need are removed. Inputs that have a default are initializers, too:
    a caller may leave them out.

    Args:
        model: A model of any precision, with transformers' names of inputs and the task's names of outputs.
        tables: The tables of its tokenizer.
        options: Settings that the graph does not say.

    Raises GraphError for a model with other inputs or outputs, or of a fixed batch of several rows; or a tokenizer
    with an id for which the model has no word embedding.
    """
    graph = model.graph
    raise_opset(model)
    check_ports(graph, options)
    layout = Layout.of(model, tables, options)
    given, found = input_ports(options, layout), output_ports(options, layout)
    named = {str(value.name): value for value in graph.outputs}
    logits = [named[name] for name in MODEL_OUTPUTS[options.task]]
    graph.outputs[:] = logits
    common_passes.RemoveUnusedNodesPass()(model)
    free_names(graph, {port.name for port in (*given, *found)})

    if layout.fixed:
        separate_dequantizing(graph)
    g = Additions(model, branches=layout.fixed)
    inputs = {port.name: port.value() for port in given}
    first = next(iter(graph), None)
    tokens = tokenize(g, inputs, options, layout)
    fed = feed(g, graph, tokens, options, layout)
    g.flush(before=first)
    answers = answer(g, logits, tokens, inputs, options, layout)
    g.flush()
    if not any(tokens[name].uses() for name in ("offsets", "word_offsets")):
        tokens.node.attributes[SPANS] = ir.AttrInt64(SPANS, 0)
    graph.inputs[:] = list(inputs.values())
    for port in given:
        if port.default is not None:
            value = inputs[port.name]
            value.const_value = ir.tensor(port.default, name=port.name)
            graph.register_initializer(value)
    graph.outputs[:] = []
    for port in found:
        value = answers[port.name]
        value.name, value.type, value.shape = port.name, ir.TensorType(port.dtype), ir.Shape(port.dims)
        graph.outputs.append(value)
    model.ir_version = max(model.ir_version, IR_VERSION)
    _describe(model, options, layout, [str(value.name) for value in fed])
    return model


def _describe(model: ir.Model, options: TextOptions, layout: Layout, inputs: list[str]) -> None:
    model.metadata_props["task"] = options.task
    model.metadata_props[TEXT] = json.dumps(record(options, layout, input_ports(options, layout), inputs))
    if options.labels:
        tags = options.task == TOKEN_CLASSIFICATION
        write_names(model, options.labels, EntityNames.of(options.labels).names if tags else None)
