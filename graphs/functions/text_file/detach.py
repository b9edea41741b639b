"""Takes a text file apart: the model inside, and the node that tokenizes."""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.errors import GraphError
from graphs.functions import DOMAIN
from graphs.functions.answers.label_names import ENTITIES, LABELS
from graphs.functions.text.rows.outputs import SPANS
from graphs.functions.text_file.options import MODEL_OUTPUTS
from graphs.functions.text_file.ports import TEXT, read_record

# Operators that tokenize begin with it.
TOKENIZE = "Tokenize"

# Inputs of theirs that are no tables, and hold one number; those that may be constants in a file of one text.
NUMBERS = ("max_length", "stride")
SPLITS = ("row_splits", "pair_splits")

# Shapes of their outputs; of those that are not here, `TOKENS`.
TOKENS = ("rows", "longest")
OUTPUT_SHAPES = {
    "offsets": (*TOKENS, 2),
    "word_offsets": (*TOKENS, 2),
    "row_texts": ("rows",),
    "cut": ("texts", "sequences"),
}


def is_text_model(model: ir.Model) -> bool:
    """Returns whether a model is a text file: it takes a `text` of bytes, and a node of `mbert` tokenizes."""
    takes_text = any(value.name == "text" and value.dtype == ir.DataType.UINT8 for value in model.graph.inputs)
    return takes_text and _tokenize_node(model.graph) is not None


def without_text(model: ir.Model) -> ir.Model:
    """Takes the model out of a text file, in place: token ids in, logits out. Returns it.

    Its inputs and outputs are as before `add_text`; of its outputs, those that the answer is computed from are left.
    Raises GraphError for a model that is no text file, or has no record of its parts.
    """
    graph, found = model.graph, read_record(model) or {}
    if not is_text_model(model):
        raise GraphError("the model has no text input, expected a file that `export --text` writes")
    values = {str(output.name): output for node in graph for output in node.outputs}
    names = [*found.get("model", []), *MODEL_OUTPUTS.get(model.metadata_props.get("task", ""), ())]
    missing = [name for name in names if name not in values]
    if missing or not found:
        what = f"no value {missing[0]}" if missing else f"no record under {TEXT!r}"
        raise GraphError(f"the model inside the text file is not found: it has {what}; export it again with --text")
    graph.outputs[:] = [values[name] for name in names if name not in found["model"]]
    inputs = []
    for name in found["model"]:
        old = values[name]
        old.name = None
        inputs.append(ir.Value(name=name, type=old.type, shape=old.shape))
        ir.convenience.replace_all_uses_with(old, inputs[-1], replace_graph_outputs=True)
    graph.inputs[:] = inputs
    for value in [value for value in graph.initializers.values() if not value.uses()]:
        del graph.initializers[str(value.name)]
    common_passes.RemoveUnusedNodesPass()(model)
    common_passes.RemoveUnusedFunctionsPass()(model)
    if not any(node.domain == DOMAIN for node in graph):
        graph.opset_imports.pop(DOMAIN, None)
    for key in (TEXT, LABELS, ENTITIES):
        model.metadata_props.pop(key, None)
    return model


def tokenize_model(model: ir.Model) -> ir.Model:
    """Returns a model of the node that tokenizes in a text file: its function, its tables, nothing else.

    Its inputs are the function's but for the tables, and its outputs the function's, with the function's names, offsets
    included, whether the file reads them or not. The text file is not changed.

    Raises GraphError for a model that is no text file.
    """
    node = _tokenize_node(model.graph)
    if node is None:
        raise GraphError("the model has no text input, expected a file that `export --text` writes")
    function = model.functions[node.op_identifier()]
    inputs, operands = [], []
    for value, formal in zip(node.inputs, function.inputs, strict=True):
        assert value is not None
        tensor = None if value.is_graph_input() or formal.name in SPLITS else value.const_value
        new = ir.Value(name=formal.name, const_value=tensor)
        if tensor is None:
            byte = formal.name in ("text", "pair")
            new.type = ir.TensorType(ir.DataType.UINT8 if byte else ir.DataType.INT64)
            new.shape = ir.Shape([1 if formal.name in NUMBERS else f"{formal.name}_size"])
            inputs.append(new)
        else:
            new.type, new.shape = ir.TensorType(tensor.dtype), ir.Shape(tensor.shape.numpy())
        operands.append(new)
    outputs = []
    for formal in function.outputs:
        kind = ir.DataType.BOOL if formal.name == "owned" else ir.DataType.INT64
        shape = ir.Shape(OUTPUT_SHAPES.get(str(formal.name), TOKENS))
        outputs.append(ir.Value(name=formal.name, type=ir.TensorType(kind), shape=shape))
    attributes = {key: attribute.value for key, attribute in node.attributes.items()} | {SPANS: 1}
    new_node = ir.node(node.op_type, operands, attributes, domain=DOMAIN, outputs=outputs, name=node.name)
    graph = ir.Graph(
        inputs,
        outputs,
        nodes=[new_node],
        initializers=[value for value in operands if value.const_value is not None],
        opset_imports=dict(model.graph.opset_imports),
        name=node.op_type,
    )
    return ir.Model(graph, ir_version=model.ir_version, functions=[function.clone()])


def _tokenize_node(graph: ir.Graph) -> ir.Node | None:
    return next((node for node in graph if node.domain == DOMAIN and node.op_type.startswith(TOKENIZE)), None)
