"""Size computations, replaced by constants and by reads of the inputs' dimensions."""

from __future__ import annotations

import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.ir.constants import constant, integers
from graphs.ir.rewrite import Rewrite, replace
from graphs.model.shape_inference import forget_numbers, infer_sizes
from graphs.model.size_tensors import SizeTensors
from graphs.model.sizes import Size, numbers_of, shape_of


class SimplifyShapes(Rewrite):
    """Replaces computations of sizes by constants, and by reads of the inputs' dimensions.

    Before::

        x ─┬─ Shape ── Gather(0) ── Unsqueeze ─┐
           ├─ Shape ── Gather(1) ── Unsqueeze ─┴─ Concat(4, 32) ─┐
           └─────────────────────────────────────────────────────┴─ Reshape

    After::

        input_ids ── Shape[0:1] ── Concat([-1, 4, 32]) ─┐
        x ──────────────────────────────────────────────┴─ Reshape

    Exporters repeat such computations in each layer. A Reshape or Expand to the shape of its input is removed, as is a
    Reshape before another. Afterwards values have shapes where onnx_shape_inference can infer them.
    """

    def rewrite(self, model: ir.Model) -> None:
        infer_sizes(model)
        if self._choose_sizes(model.graph):
            infer_sizes(model)  # more sizes are known now
        sizes = SizeTensors(model.graph)
        for node in list(model.graph):
            if node.domain != "" or (node.op_type in ("Reshape", "Expand") and self._bypass(node)):
                continue
            if node.op_type == "Reshape":
                self._reshape(node, sizes)
            elif not self._is_arithmetic(node):
                self._read_sizes(node, sizes)
        if self.matches:
            common_passes.RemoveUnusedNodesPass()(model)
            model.graph.sort()  # existing sizes may come after their new readers
        forget_numbers(model)

    def _choose_sizes(self, graph: ir.Graph) -> bool:
        """Replaces Where(target == -1, …, target), with which PyTorch's `expand` is exported, by the chosen sizes."""
        sizes, before = SizeTensors(graph), self.matches
        for node in list(graph):
            output = node.outputs[0] if node.op_type == "Where" and node.domain == "" else None
            if output is None or output.is_graph_output() or output.dtype != ir.DataType.INT64:
                continue
            numbers = _chosen(node, sizes)
            new = None if numbers is None else sizes.vector(numbers)
            if new is not None:
                replace(output, new)
                self.matches += 1
        if self.matches > before:
            graph.sort()
        return self.matches > before

    def _bypass(self, node: ir.Node) -> bool:
        """Bypasses a node whose output has the shape of its input; returns whether it did."""
        x, output = node.inputs[0], node.outputs[0]
        before, after = (None if x is None else shape_of(x)), shape_of(output)
        if x is None or before is None or before != after or output.is_graph_output():
            return False
        replace(output, x)
        self.matches += 1
        return True

    def _reshape(self, node: ir.Node, sizes: SizeTensors) -> None:
        (x, target), after = node.inputs, shape_of(node.outputs[0])
        if x is None or target is None or after is None or 0 in after:
            return
        numbers = integers(target)
        if numbers is None or 0 in numbers:  # 0 copies a size of the current input
            wanted = sizes.shape(after)
            if wanted is None:
                return
            if wanted is not target:
                node.replace_input_with(1, wanted)
                self.matches += 1
        inner = x.producer()
        if inner is not None and inner.op_type == "Reshape" and inner.domain == "" and inner.inputs[0] is not None:
            node.replace_input_with(0, inner.inputs[0])
            self.matches += 1
            self._bypass(node)

    def _read_sizes(self, node: ir.Node, sizes: SizeTensors) -> None:
        for index, value in enumerate(node.inputs):
            if value is None or constant(value) is not None or value.is_graph_input() or sizes.built(value):
                continue
            numbers = numbers_of(value)
            if numbers is None or value.dtype != ir.DataType.INT64 or value.shape is None or len(value.shape) > 1:
                continue
            if len(numbers) > 1 and _is_shape_of_input(value):
                continue
            if len(value.shape) == 0 and _from_sizes(value, sizes):
                continue
            new = sizes.vector(numbers) if len(value.shape) == 1 else sizes.scalar(numbers[0])
            if new is not None and new is not value:
                node.replace_input_with(index, new)
                self.matches += 1

    @staticmethod
    def _is_arithmetic(node: ir.Node) -> bool:
        """Returns whether the node only computes known sizes; its readers are rewritten instead of the node."""
        return all(numbers_of(output) is not None for output in node.outputs)


def _chosen(node: ir.Node, sizes: SizeTensors) -> list[Size] | None:
    """Returns the numbers that Where(Equal(a, b), c, d) takes from c and d, if it is known where a and b are equal."""
    condition, *branches = node.inputs
    equal = None if condition is None else condition.producer()
    if equal is None or equal.op_type != "Equal" or equal.domain != "":
        return None
    lists = [None if v is None or not _is_vector(v) else numbers_of(v) for v in (*equal.inputs, *branches)]
    known = [numbers for numbers in lists if numbers is not None]
    if len(known) != 4 or len({len(numbers) for numbers in known}) != 1:
        return None
    chosen = []
    for left, right, first, second in zip(*known, strict=True):
        if left == right:
            chosen.append(first)
        elif sizes.differ(left, right):
            chosen.append(second)
        else:
            return None
    return chosen


def _is_vector(value: ir.Value) -> bool:
    return value.shape is not None and len(value.shape) == 1


def _is_shape_of_input(value: ir.Value) -> bool:
    """Returns whether a value is the Shape of a graph input."""
    node = value.producer()
    x = None if node is None or node.op_type != "Shape" else node.inputs[0]
    return x is not None and x.is_graph_input()


def _from_sizes(value: ir.Value, sizes: SizeTensors) -> bool:
    node = value.producer()
    return node is not None and node.op_type == "Squeeze" and node.inputs[0] is not None and sizes.built(node.inputs[0])
