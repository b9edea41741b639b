"""Conversion of a float32 graph to float64, whose results are free of float32 rounding."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

FLOAT, DOUBLE = ir.DataType.FLOAT, ir.DataType.DOUBLE

# Attributes that hold a type. (onnxruntime ignores `stash_type` of layer norms in float64.)
TYPE_ATTRIBUTES = ("to", "dtype", "output_datatype")

# Operators that onnxruntime computes in float32 only: their results alone are rounded.
NARROW = frozenset(("Erf",))


def widen(model: ir.Model) -> None:
    """Converts all float32 tensors and attributes of a model to float64, in place; functions are inlined first.

    Operators that onnxruntime has in float32 only are put between two casts.
    """
    if model.functions:
        common_passes.InlinePass()(model)
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None and value.const_value.dtype == FLOAT:
                value.const_value = _wide(value.const_value)
        values = [*graph.inputs, *graph.outputs, *graph.initializers.values()]
        for node in graph:
            values += node.outputs
            if node.op_type == "ConstantOfShape" and not node.attributes:
                node.attributes["value"] = ir.AttrTensor("value", ir.tensor(np.zeros(1)))  # the default is float32
            if node.op_type == "SequenceEmpty" and not node.attributes:
                node.attributes["dtype"] = ir.AttrInt64("dtype", int(DOUBLE))
            for attribute in list(node.attributes.values()):
                _widen_attribute(node, attribute)
        for value in values:
            if value.type is not None:
                value.type = _wide_type(value.type)
        for node in list(graph):
            if node.op_type in NARROW and node.outputs[0].dtype == DOUBLE:
                _keep_narrow(graph, node)


def _keep_narrow(graph: ir.Graph | ir.Function, node: ir.Node) -> None:
    y = node.outputs[0]
    wide = ir.Value(name=y.name, type=y.type, shape=y.shape)
    ir.convenience.replace_all_uses_with(y, wide, replace_graph_outputs=True)
    y.name, y.type = f"{wide.name}.narrow", ir.TensorType(FLOAT)
    before = ir.node("Cast", [node.inputs[0]], attributes={"to": int(FLOAT)})
    node.replace_input_with(0, before.outputs[0])
    graph.insert_before(node, before)
    graph.insert_after(node, ir.node("Cast", [y], attributes={"to": int(DOUBLE)}, outputs=[wide]))


def _wide_type(kind: ir.TypeProtocol) -> ir.TypeProtocol:
    if isinstance(kind, (ir.SequenceType, ir.OptionalType)):
        return type(kind)(_wide_type(kind.elem_type))
    return ir.TensorType(DOUBLE) if isinstance(kind, ir.TensorType) and kind.dtype == FLOAT else kind


def _widen_attribute(node: ir.Node, attribute: ir.Attr) -> None:
    if attribute.name in TYPE_ATTRIBUTES and attribute.type == ir.AttributeType.INT and attribute.value == FLOAT:
        node.attributes[attribute.name] = ir.AttrInt64(attribute.name, int(DOUBLE))
    elif attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype == FLOAT:
        node.attributes[attribute.name] = ir.AttrTensor(attribute.name, _wide(attribute.as_tensor()))
    elif node.op_type == "Constant" and attribute.type in (ir.AttributeType.FLOAT, ir.AttributeType.FLOATS):
        array = np.asarray(attribute.value, dtype=np.float64)
        node.attributes.pop(attribute.name)
        node.attributes["value"] = ir.AttrTensor("value", ir.tensor(array))


def _wide(tensor: ir.TensorProtocol) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype("float64"), name=tensor.name)
