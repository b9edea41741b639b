"""Retyping: conversion of all floating-point tensors of some types to another type."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

FLOAT = ir.DataType.FLOAT

# Attributes that hold a type. (onnxruntime ignores `stash_type` of layer norms in float64.)
TYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "output_datatype")

# Operators that write float32 if they have no attribute, and the name and kind of the attribute that says otherwise.
FILL, SEQUENCE = "ConstantOfShape", "SequenceEmpty"


def retype(model: ir.Model, kinds: Collection[ir.DataType], to: ir.DataType) -> None:
    """Converts tensors, attributes and types of values to another type, in place; functions are inlined first.

    Args:
        model: Any model.
        kinds: The types that are converted.
        to: The type that they become. It should hold all their numbers.
    """
    if model.functions:
        common_passes.InlinePass()(model)
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None and value.const_value.dtype in kinds:
                value.const_value = _converted(value.const_value, to)
        values = [*graph.inputs, *graph.outputs, *graph.initializers.values()]
        for node in graph:
            values += node.outputs
            if FLOAT in kinds:
                _write_defaults(node, to)
            for attribute in list(node.attributes.values()):
                _retype_attribute(node, attribute, kinds, to)
        for value in values:
            if value.type is not None:
                value.type = retyped(value.type, kinds, to)


def retyped(kind: ir.TypeProtocol, kinds: Collection[ir.DataType], to: ir.DataType) -> ir.TypeProtocol:
    """Returns the type of a value, with the type of its numbers converted."""
    if isinstance(kind, (ir.SequenceType, ir.OptionalType)):
        return type(kind)(retyped(kind.elem_type, kinds, to))
    return ir.TensorType(to) if isinstance(kind, ir.TensorType) and kind.dtype in kinds else kind


def _write_defaults(node: ir.Node, to: ir.DataType) -> None:
    """Writes the attribute whose absence means float32."""
    if node.op_type == FILL and not node.attributes:
        node.attributes["value"] = ir.AttrTensor("value", ir.tensor(np.zeros(1, dtype=to.numpy())))
    if node.op_type == SEQUENCE and not node.attributes:
        node.attributes["dtype"] = ir.AttrInt64("dtype", int(to))


def _retype_attribute(node: ir.Node, attribute: ir.Attr, kinds: Collection[ir.DataType], to: ir.DataType) -> None:
    if attribute.name in TYPE_ATTRIBUTES and attribute.type == ir.AttributeType.INT and attribute.value in kinds:
        node.attributes[attribute.name] = ir.AttrInt64(attribute.name, int(to))
    elif attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype in kinds:
        node.attributes[attribute.name] = ir.AttrTensor(attribute.name, _converted(attribute.as_tensor(), to))
    elif (
        FLOAT in kinds
        and node.op_type == "Constant"
        and attribute.type in (ir.AttributeType.FLOAT, ir.AttributeType.FLOATS)
    ):
        array = np.asarray(attribute.value, dtype=to.numpy())
        node.attributes.pop(attribute.name)
        node.attributes["value"] = ir.AttrTensor("value", ir.tensor(array))


def _converted(tensor: ir.TensorProtocol, to: ir.DataType) -> ir.TensorProtocol:
    return ir.tensor(tensor.numpy().astype(to.numpy()), name=tensor.name)
