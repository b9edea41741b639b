"""Copies of model files that take fewer inputs: without one of them, with fewer sizes, or with other types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

# Nodes from the ids that a file is given (`given`) to those that the model reads (`ids`), for some sizes only.
NARROWER = {
    "batch 1": "ids = Reshape(given, one_text)",
    "17 tokens": "ids = Reshape(given, tokens_17)",
    "multiples of 8": "parts = Reshape(given, eights) ids = Reshape(parts, all_tokens)",
}
SHAPES = {"one_text": [1, -1], "tokens_17": [-1, 17], "eights": [0, -1, 8], "all_tokens": [0, -1]}


def narrowed(model: Path, to: Path, how: str) -> Path:
    """Writes a copy that runs with some sizes only, although its inputs declare all; `how` is a key of `NARROWER`."""
    proto = onnx.load(model)
    nodes = onnx.parser.parse_graph(f"g (int64[b, s] given) => (int64[b, s] ids) {{ {NARROWER[how]} }}").node
    _rename(proto, "input_ids", "ids")
    for node in nodes:
        node.input[0] = node.input[0].replace("given", "input_ids")
        proto.graph.initializer.append(numpy_helper.from_array(np.array(SHAPES[node.input[1]]), node.input[1]))
    _prepend(proto, list(nodes))
    onnx.save(proto, to)
    return to


def without_input(model: Path, to: Path, name: str) -> Path:
    """Writes a copy without the mask, where all tokens are real, or without the token types, which are 0."""
    proto = onnx.load(model)
    kept = [value for value in proto.graph.input if value.name != name]
    del proto.graph.input[:]
    proto.graph.input.extend(kept)
    zero = helper.make_node("Sub", ["input_ids", "input_ids"], [f"{name}.zeros" if name == "attention_mask" else name])
    nodes = [zero]
    if name == "attention_mask":
        kind = next(value.type.tensor_type.elem_type for value in kept)
        one = np.ones(1, helper.tensor_dtype_to_np_dtype(kind))
        proto.graph.initializer.append(numpy_helper.from_array(one, "one.real"))
        nodes.append(helper.make_node("Add", [zero.output[0], "one.real"], [name]))
    _prepend(proto, nodes)
    onnx.save(proto, to)
    return to


def with_type(model: Path, to: Path, name: str, kind: int) -> Path:
    """Writes a copy with an input of another type, which is cast to the one that the model reads."""
    proto = onnx.load(model)
    value = next(value for value in proto.graph.input if value.name == name)
    cast = helper.make_node("Cast", [name], [f"{name}.cast"], to=value.type.tensor_type.elem_type)
    value.type.tensor_type.elem_type = kind
    _rename(proto, name, f"{name}.cast")
    _prepend(proto, [cast])
    onnx.save(proto, to)
    return to


def with_quantized_table(model: Path, to: Path, table: str, scale: float = 0.01) -> Path:
    """Writes a copy whose table is stored in 8 bits, behind a DequantizeLinear."""
    proto = onnx.load(model)
    tensor = next(one for one in proto.graph.initializer if one.name == table)
    values = np.clip(np.rint(numpy_helper.to_array(tensor) / scale), -127, 127).astype(np.int8)
    proto.graph.initializer.remove(tensor)
    proto.graph.initializer.append(numpy_helper.from_array(values, f"{table}.stored"))
    proto.graph.initializer.append(numpy_helper.from_array(np.array(scale, np.float32), f"{table}.scale"))
    _prepend(proto, [helper.make_node("DequantizeLinear", [f"{table}.stored", f"{table}.scale"], [table])])
    onnx.save(proto, to)
    return to


def _rename(proto: onnx.ModelProto, old: str, new: str) -> None:
    for node in proto.graph.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new


def _prepend(proto: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    others = list(proto.graph.node)
    del proto.graph.node[:]
    proto.graph.node.extend([*nodes, *others])
