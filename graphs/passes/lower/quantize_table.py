"""Embedding tables in 8 bits."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.ir.constants import add_initializer, float_constant
from graphs.ir.layer_names import in_layers
from graphs.ir.rewrite import Rewrite, replace
from graphs.precision.channel_groups import scaled_linear
from graphs.precision.int8 import insert, quantized, quantized_product

# The smallest table, in numbers, that is quantized: the table of two segments is not worth it.
FEWEST_NUMBERS = 2**14


class QuantizeTable(Rewrite):
    """Stores embedding tables in 8 bits, with a scale for each row.

    Before::

        ids ── Gather(table) ── y

    After::

        ids ─┬─ Gather(int8 table) ── Cast ─┐
             └─ Gather(scales) ─────────────┴─ Mul ── y

    The LM head's product with the same table reads the same 8-bit numbers; a row's scale is that of an output.

    Args:
        keep: Layers that stay float32, with the tables that they read.
        products: Whether the LM head's product is computed in the same 8 bits, with its input quantized at run time. If
            not, it still reads the table in float.
    """

    def __init__(self, keep: Collection[str] = (), *, products: bool = True) -> None:
        super().__init__()
        self._keep, self._products = keep, products

    def rewrite(self, model: ir.Model) -> None:
        graph = model.graph
        for table in list(graph.initializers.values()):
            array = float_constant(table)
            if array is None or array.ndim != 2 or array.size < FEWEST_NUMBERS or table.is_graph_output():
                continue
            readers = [use.node for use in table.uses()]
            lookups = [node for node in readers if _looks_up(node, table)]
            products = [node for node in readers if _is_tied_product(node, table)]
            if not lookups or len(lookups) + len(products) != len(readers):
                continue
            if any(in_layers(node, self._keep) for node in readers):
                continue
            numbers, scales = quantized(array, axis=1)
            self._quantize(graph, str(table.name), numbers, scales, lookups, products if self._products else [])
        if self.matches:
            common_passes.RemoveUnusedNodesPass()(model)

    def _quantize(
        self,
        graph: ir.Graph,
        name: str,
        numbers: np.ndarray,
        scales: np.ndarray,
        lookups: list[ir.Node],
        products: list[ir.Node],
    ) -> None:
        table = add_initializer(graph, f"{name}.int8", numbers)
        column = add_initializer(graph, f"{name}.scales", scales.reshape(-1, 1))
        for node in lookups:
            ids, old = node.inputs[1], node.outputs[0]
            assert ids is not None
            rows = insert(node, "Gather", [table, ids])
            real = insert(node, "Cast", [rows], to=int(ir.DataType.FLOAT))
            new = insert(node, "Mul", [real, insert(node, "Gather", [column, ids])])
            new.shape, new.type = old.shape, old.type
            replace(old, new)
            graph.remove(node, safe=True)
            self.matches += 1
        for node in products:
            linear = scaled_linear(node)
            assert linear is not None
            scale = add_initializer(graph, f"{name}.scale", scales)
            transposed = insert(node, "Transpose", [table])  # onnxruntime folds this Transpose when it loads the file
            new, old = quantized_product(node, linear.x, transposed, scale), node.outputs[0]
            addend = node.inputs[2] if len(node.inputs) > 2 else None
            new = new if addend is None else insert(node, "Add", [new, addend])
            new.shape, new.type = old.shape, old.type
            replace(old, new)
            graph.remove(node, safe=True)
            self.matches += 1


def _looks_up(node: ir.Node, table: ir.Value) -> bool:
    plain = node.op_type == "Gather" and node.domain == "" and node.attributes.get_int("axis", 0) == 0
    here = node.graph is table.graph  # not in a branch or loop
    return here and plain and node.inputs[0] is table and node.outputs[0].dtype == ir.DataType.FLOAT


def _is_tied_product(node: ir.Node, table: ir.Value) -> bool:
    linear = scaled_linear(node)
    return linear is not None and linear.weight is table and linear.transposed and node.graph is table.graph
