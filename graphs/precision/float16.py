"""Half precision: conversion of a graph, and a float32 graph with the rounding of float16 hardware."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.ir.constants import add_initializer, constant
from graphs.ir.layer_names import layer_of
from graphs.ir.masks import is_padding_bias, lowest_half
from graphs.precision.calibration import Ranges

LARGEST_HALF = float(np.finfo(np.float16).max)
# The largest number allowed on calibration texts, which leaves room for other texts.
LARGEST_SAFE = LARGEST_HALF / 8

# Operators that create numbers from an attribute, or from none.
FILLERS = ("Constant", "ConstantOfShape", "EyeLike", "RandomNormal", "RandomUniform")


def too_large(graph: ir.Graph, ranges: Ranges, keep: Collection[ir.Node] = ()) -> str | None:
    """Returns a one-line message about values that float16 may not hold; None if it holds all.

    Args:
        graph: The graph to be converted.
        ranges: The ranges of its values.
        keep: Nodes that stay float32.
    """
    kept, found = set(keep), list[tuple[float, str, int, str]]()
    for node in graph:
        for output in node.outputs:
            measured = ranges.get(str(output.name))
            if node in kept or measured is None or measured.largest <= LARGEST_SAFE or _is_masked(node):
                continue
            channels = measured.channels.reshape(-1)
            channels = np.where(np.isnan(channels), np.inf, channels)
            found.append((float(channels.max()), str(output.name), int(channels.argmax()), layer_of(node)))
    if not found:
        return None
    largest, name, channel, _ = max(found)
    layers = ",".join(dict.fromkeys(layer for *_, layer in found))
    return (
        f"{name} reaches {largest:.1e} in channel {channel} on the calibration texts; for fp16 expected at most "
        f"{LARGEST_SAFE:.0f}, an eighth of its largest number: pass --keep-float {layers}, which keeps these float32"
    )


def _is_masked(node: ir.Node) -> bool:
    """Returns whether a node's large result is the mask, which is set to fit the type."""
    biased = node.op_type == "Add" and any(x is not None and is_padding_bias(x) for x in node.inputs)
    return biased or any(is_padding_bias(output) for output in node.outputs)


def to_half(model: ir.Model, keep: Collection[ir.Node] = ()) -> None:
    """Converts all floating-point tensors of the main graph to float16, except its inputs and outputs.

    onnxruntime's converter does the same, but around nodes to keep it casts constants in every run, and leaves nodes in
    an order that onnx refuses.

    Args:
        model: A float32 model, with the types of values known.
        keep: Nodes that stay float32; nodes with subgraphs, and operators of other domains, always do.
    """
    graph = model.graph
    _set_padding(graph)
    kept = {node for node in graph if node in set(keep) or not _is_plain(node)}
    casts = _Casts(graph)
    halved = set[ir.Value]()
    for node in list(graph):
        if node in kept:
            for index, x in enumerate(node.inputs):
                if x is not None and x in halved:
                    node.replace_input_with(index, casts.cast(x, ir.DataType.FLOAT))
            continue
        for index, x in enumerate(node.inputs):
            if x is not None and x not in halved and x.dtype == ir.DataType.FLOAT:
                node.replace_input_with(index, casts.cast(x, ir.DataType.FLOAT16))
        _halve_attributes(node)
        for output in node.outputs:
            if output.dtype == ir.DataType.FLOAT:
                output.type = ir.TensorType(ir.DataType.FLOAT16)
                halved.add(output)
    for value in [output for node in graph for output in node.outputs if output in halved]:
        for use in [use for use in value.uses() if use.node.graph is not graph]:  # a reader in a branch or loop
            use.node.replace_input_with(use.idx, casts.cast(value, ir.DataType.FLOAT))
    for output in list(graph.outputs):
        if output in halved:
            shape, kind = output.shape, ir.TensorType(ir.DataType.FLOAT)
            real = ir.Value(shape=shape, type=kind)
            node = ir.node("Cast", [output], attributes={"to": int(ir.DataType.FLOAT)}, outputs=[real])
            name, output.name = output.name, f"{output.name}.half"
            graph.append(node)
            graph.outputs[graph.outputs.index(output)] = real
            real.name = name


class _Casts:
    """Values in another type, converted once each: constants directly, others by a Cast after them."""

    def __init__(self, graph: ir.Graph) -> None:
        self._graph = graph
        self._converted: dict[ir.Value, ir.Value] = {}

    def cast(self, x: ir.Value, dtype: ir.DataType) -> ir.Value:
        if x not in self._converted:
            array = constant(x)
            self._converted[x] = (
                self._node(x, dtype)
                if array is None
                else add_initializer(self._graph, f"{x.name}.half", _to_float16(array))
            )
        return self._converted[x]

    def _node(self, x: ir.Value, dtype: ir.DataType) -> ir.Value:
        output = ir.Value(shape=x.shape, type=ir.TensorType(dtype))
        node = ir.node("Cast", [x], attributes={"to": int(dtype)}, outputs=[output])
        producer = x.producer()
        if producer is None:
            self._graph.insert_before(next(iter(self._graph)), node)
        else:
            self._graph.insert_after(producer, node)
        return output


def _is_plain(node: ir.Node) -> bool:
    """Returns whether the node can be converted to float16."""
    inner = any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values())
    tensors = any(a.type == ir.AttributeType.TENSOR for a in node.attributes.values())
    # Without a tensor that gives the type, these operators create float32.
    float32 = node.op_type == "DynamicQuantizeLinear" or (node.op_type in FILLERS and not tensors)
    return node.domain in ("", "ai.onnx") and not inner and not float32


def _halve_attributes(node: ir.Node) -> None:
    """Converts the attributes of a node that are a float type to cast to, or float numbers."""
    for attribute in list(node.attributes.values()):
        if node.op_type == "Cast" and attribute.name == "to" and attribute.value == ir.DataType.FLOAT:
            node.attributes["to"] = ir.AttrInt64("to", int(ir.DataType.FLOAT16))
        elif attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype == ir.DataType.FLOAT:
            half = ir.tensor(_to_float16(attribute.as_tensor().numpy()))
            node.attributes[attribute.name] = ir.AttrTensor(attribute.name, half)


def _to_float16(array: np.ndarray) -> np.ndarray:
    """Rounds to float16; numbers beyond its range become its largest number."""
    return np.clip(array, -LARGEST_HALF, LARGEST_HALF).astype(np.float16)


def _set_padding(graph: ir.Graph) -> None:
    """Changes the mask's value at padding from half of float32's lowest number to half of float16's."""
    for node in graph:
        output = node.outputs[0] if node.outputs else None
        if output is None or not is_padding_bias(output):
            continue
        old = node.inputs[1]
        assert old is not None
        assert old.const_value is not None
        lowest = np.full(old.const_value.shape.numpy(), lowest_half(ir.DataType.FLOAT16), dtype=np.float32)
        node.replace_input_with(1, add_initializer(graph, str(old.name), lowest))


def rounded(model: ir.Model) -> ir.Model:
    """Returns a float32 graph with the results of a float16 one: each node computes in float32 and is then rounded.

    onnxruntime on x86 computes float16 graphs in float32 and rounds only where it must, which does not show the loss of
    real float16 hardware. Sums within a node are exact to float32 here, as in hardware that accumulates in float32.

    Args:
        model: A model with float16 nodes; it is not modified. Outputs in float16 are float32 in the result.
    """
    inlined = model.clone()
    common_passes.InlinePass()(inlined)  # nodes within functions are rounded, too
    proto = onnx.shape_inference.infer_shapes(ir.to_proto(inlined))
    graph, half, single = proto.graph, onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    known = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.output)}
    for tensor in graph.initializer:
        if tensor.data_type == half:
            array = onnx.numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
    nodes: list[onnx.NodeProto] = []
    wide = {value.name: f"{value.name}.single" for value in graph.input if value.type.tensor_type.elem_type == half}
    for name, widened in wide.items():
        nodes.append(onnx.helper.make_node("Cast", [name], [widened], to=single))
    for output in graph.output:
        if output.type.tensor_type.elem_type == half:
            output.type.tensor_type.elem_type = single
    for node in graph.node:
        nodes.append(node)
        for index, name in enumerate(node.input):
            node.input[index] = wide.get(name, name)
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == half:
                attribute.i = single
            if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == half:
                array = onnx.numpy_helper.to_array(attribute.t).astype(np.float32)
                attribute.t.CopyFrom(onnx.numpy_helper.from_array(array))
        for index, name in enumerate(node.output):
            if known.get(name) == half:
                node.output[index] = f"{name}.exact"
                nodes.append(onnx.helper.make_node("Cast", [f"{name}.exact"], [f"{name}.half"], to=half))
                nodes.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], to=single))
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    return ir.from_proto(proto)
