"""Merge of linear layers that read the same tensor."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphs.ir.constants import add_initializer
from graphs.ir.linear import Linear, as_linear
from graphs.ir.rewrite import Rewrite


class MergeLinear(Rewrite):
    """Merges linear layers that read the same tensor into one wide Gemm and a Split.

    Before::

        x ─┬─ MatMul(W1) ───── a
           ├─ MatMul(W2) ───── b
           └─ Gemm(W3, b3) ─── c

    After::

        x ── Gemm([W1 | W2 | W3], [0 | 0 | b3]) ── Split ─┬─ a
                                                          ├─ b
                                                          └─ c

    There are fewer nodes, and the tensor is read once. A weight with other readers (the word embeddings, tied to the LM
    head) is not merged.
    """

    def rewrite(self, model: ir.Model) -> None:
        groups: dict[ir.Value, list[Linear]] = {}
        for node in model.graph:
            linear = as_linear(node)
            if linear is not None and len(linear.weight.uses()) == 1:
                groups.setdefault(linear.x, []).append(linear)
        merged = [group for group in groups.values() if len(group) > 1]
        for group in merged:
            _merge(model.graph, group)
        self.matches = len(merged)


def _merge(graph: ir.Graph, group: list[Linear]) -> None:
    first = group[0]
    dtype = first.weight.dtype
    assert dtype is not None
    weight = np.concatenate([linear.weight64() for linear in group], axis=1).astype(dtype.numpy())
    # Read from the node, not from `first`, since another merge may have replaced the tensor.
    x = first.node.inputs[0]
    assert x is not None
    inputs = [x, add_initializer(graph, f"{first.weight.name}.merged", weight)]
    if any(linear.bias is not None for linear in group):
        biases = [np.zeros(linear.width) if linear.bias is None else linear.bias64() for linear in group]
        bias = np.concatenate([b for b in biases if b is not None]).astype(dtype.numpy())
        inputs.append(add_initializer(graph, f"{first.weight.name}.merged_bias", bias))
    outputs = [linear.node.outputs[0] for linear in group]
    wide_shape = None if outputs[0].shape is None else ir.Shape([*list(outputs[0].shape)[:-1], weight.shape[1]])
    wide = ir.Value(shape=wide_shape, type=outputs[0].type)
    parts = [ir.Value(shape=o.shape, type=o.type) for o in outputs]
    sizes = add_initializer(graph, "split_sizes", np.array([linear.width for linear in group], dtype=np.int64))
    nodes = [
        ir.node("MatMul" if len(inputs) == 2 else "Gemm", inputs, outputs=[wide]),
        ir.node("Split", [wide, sizes], attributes={"axis": -1}, outputs=parts),
    ]
    graph.insert_before(first.node, nodes)
    for output, part in zip(outputs, parts, strict=True):
        name, is_output = output.name, output.is_graph_output()
        ir.convenience.replace_all_uses_with(output, part, replace_graph_outputs=True)
        if is_output:
            output.name = None
            part.name = name
    graph.remove([linear.node for linear in group], safe=True)
