"""Tokens in one dimension: operators that treat each token alone work on matrices."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.ir.constants import add_initializer, constant
from graphs.ir.linear import as_linear
from graphs.ir.rewrite import Rewrite, replace
from graphs.model.size_tensors import SizeTensors
from graphs.model.sizes import Size, shape_of

# Operators that compute each element from the elements at its position alone.
ELEMENTWISE = frozenset(
    "Abs Cast Celu Clip Elu Erf Exp Gelu HardSigmoid HardSwish Identity LeakyRelu Log Mish Neg Reciprocal Relu Selu "  # noqa: SIM905
    "Sigmoid Softplus Softsign Sqrt Tanh ThresholdedRelu".split()
)
BINARY = frozenset(("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min"))

# Operators that work along the last dimension if their axis is the last.
LAST_AXIS = frozenset(("LayerNormalization", "Softmax", "LogSoftmax", "Split", "Slice", "Concat"))


class FlattenTokens(Rewrite):
    """Reshapes streams [batch, seq, 512] to [batch · seq, 512], which Gemm takes.

    Before::

        x [b, s, 512] ── MatMul(W) ── Add(b) ── Add(x) ── … ── Transpose …

    After::

        x ── Reshape [-1, 512] ── MatMul(W) ── Add(b) ── Add(x') ── … ── Reshape [b, s, …] ── Transpose …

    The rewrite starts at linear layers, and at matrices that are reshaped to streams, and continues through operators
    that treat each token alone. For any other reader a value is reshaped back. A graph without residuals, which would
    gain nothing, is not modified.
    """

    def rewrite(self, model: ir.Model) -> None:
        graph = model.graph
        if not any(_is_residual(node) for node in graph):
            return
        self._graph, self._sizes = graph, SizeTensors(graph)
        self._flat: dict[ir.Value, ir.Value] = {}
        self._original: dict[ir.Value, ir.Value] = {}
        for node in list(graph):
            if node.domain == "" and self._flatten(node):
                self.matches += 1
            else:
                self._read_original(node)
        for index, output in enumerate(graph.outputs):
            if output in self._flat:
                original = self._original_of(output, None)
                name, output.name = output.name, None
                original.name, original.shape, original.type = name, output.shape, output.type
                graph.outputs[index] = original
        if self.matches:
            common_passes.RemoveUnusedNodesPass()(model)
            graph.sort()  # existing sizes may come after their new readers

    def _flatten(self, node: ir.Node) -> bool:
        """Rewrites the node to work on matrices; returns False if it cannot."""
        shapes = [shape_of(output) for output in node.outputs]
        if any(shape is None or len(shape) < 3 or not self._sizes.shape_possible(shape) for shape in shapes):
            return False
        x = node.inputs[0] if node.inputs else None
        if x is None:
            return False
        if node.op_type == "Reshape":
            return self._adopt(node, x)
        if node.op_type == "MatMul":
            linear = as_linear(node) is not None or _is_constant_matrix(node.inputs[1])
            return linear and _width(x) > 0 and self._write(node, [self._flat_of(x, node), *node.inputs[1:]])
        if not any(value in self._flat for value in node.inputs if value is not None):
            return False
        if node.op_type in ELEMENTWISE and x in self._flat:
            return self._write(node, [self._flat[x], *node.inputs[1:]])
        if node.op_type in BINARY:
            operands = [self._operand(value, shapes[0] or [], node) for value in node.inputs]
            found = [operand for operand in operands if operand is not None]
            return len(found) == len(operands) and self._write(node, list(found))
        if node.op_type in LAST_AXIS:
            return self._along_last(node, x, shapes[0] or [])
        return False

    def _adopt(self, reshape: ir.Node, x: ir.Value) -> bool:
        """Takes a matrix that is reshaped to a stream as its flat form, as TensorFlow's products have one."""
        output, shape = reshape.outputs[0], shape_of(x)
        if shape is None or len(shape) != 2 or _width(x) != _width(output) or _width(x) == 0:
            return False
        self._flat[output], self._original[output] = x, output
        return False

    def _along_last(self, node: ir.Node, x: ir.Value, shape: list[Size]) -> bool:
        rank = len(shape)
        if node.op_type == "Slice":
            axes = None if len(node.inputs) < 4 else constant(node.inputs[3])
            if axes is None or axes.size != 1 or axes.item() % rank != rank - 1 or x not in self._flat:
                return False
            axis = add_initializer(self._graph, "slice_axis", np.array([1], dtype=np.int64))
            return self._write(node, [self._flat[x], *node.inputs[1:3], axis, *node.inputs[4:]])
        default = 0 if node.op_type == "Split" else -1
        if node.attributes.get_int("axis", default) % rank != rank - 1:
            return False
        if node.op_type == "Concat":
            parts = [None if v is None else self._flat.get(v) for v in node.inputs]
            return all(p is not None for p in parts) and self._write(node, parts, axis=1)
        return x in self._flat and self._write(node, [self._flat[x], *node.inputs[1:]], axis=1)

    def _operand(self, value: ir.Value | None, shape: list[Size], node: ir.Node) -> ir.Value | None:
        """Returns an operand as it can be combined with matrices; None if it cannot."""
        if value is None:
            return None
        if value in self._flat:  # a stream that is broadcast over batches or rows is a different matrix
            return self._flat[value] if (shape_of(value) or [])[:-1] == shape[:-1] else None
        array = constant(value)
        if array is not None:
            if array.ndim <= 1:
                return value
            if array.size == array.shape[-1]:
                return add_initializer(self._graph, f"{value.name}.flat", array.reshape(-1))
            return None
        return self._flat_of(value, node) if shape_of(value) == shape and _width(value) > 0 else None

    def _flat_of(self, value: ir.Value, before: ir.Node) -> ir.Value:
        """Returns the value as a matrix."""
        if value not in self._flat:
            target = self._sizes.vector([-1, _width(value)])
            assert target is not None
            source, node = value, value.producer()
            if node is not None and node.op_type == "Reshape" and node.domain == "" and node.inputs[0] is not None:
                source = node.inputs[0]
            flat = ir.Value(shape=ir.Shape([None, _width(value)]), type=value.type)
            reshape = ir.node("Reshape", [source, target], outputs=[flat])
            producer = value.producer()
            if producer is None or producer.graph is not self._graph:
                self._graph.insert_before(before, reshape)
            else:
                self._graph.insert_after(producer, reshape)
            self._flat[value], self._original[value] = flat, value
        return self._flat[value]

    def _write(self, node: ir.Node, inputs: list[ir.Value | None], axis: int | None = None) -> bool:
        outputs = []
        for output in node.outputs:
            width = None if output.shape is None else output.shape[-1]
            flat = ir.Value(shape=ir.Shape([None, width]), type=output.type)
            self._flat[output] = flat
            outputs.append(flat)
        attributes = {key: value for key, value in node.attributes.items() if key != "axis" or axis is None}
        if axis is not None:
            attributes["axis"] = ir.AttrInt64("axis", axis)
        copy = ir.node(node.op_type, inputs, attributes=attributes, outputs=outputs, name=node.name)
        self._graph.insert_before(node, copy)
        return True

    def _read_original(self, node: ir.Node) -> None:
        """Makes a node, and the nodes of its subgraphs, read values in their original shapes."""
        inner = [
            n for a in node.attributes.values() if a.type == ir.AttributeType.GRAPH for n in a.as_graph().all_nodes()
        ]
        for reader in (node, *inner):
            for index, value in enumerate(reader.inputs):
                if value is None or value not in self._flat or self._original.get(value) is value:
                    continue
                if reader.op_type == "Reshape" and reader.domain == "" and index == 0 and self._has_own_sizes(reader):
                    reader.replace_input_with(0, self._flat[value])
                    self._bypass(reader)
                    continue
                reader.replace_input_with(index, self._original_of(value, node))

    def _bypass(self, reshape: ir.Node) -> None:
        """Makes the readers of a Reshape from a matrix to the same matrix read that."""
        flat, output = reshape.inputs[0], reshape.outputs[0]
        if flat is None or flat.shape is None or output.shape is None or output.is_graph_output():
            return
        if len(output.shape) == 2 and isinstance(flat.shape[-1], int) and output.shape[-1] == flat.shape[-1]:
            replace(output, flat)

    def _has_own_sizes(self, reshape: ir.Node) -> bool:
        """Returns whether a Reshape copies no size of its input, as a 0 does."""
        target = reshape.inputs[1]
        sizes = None if target is None else self._sizes.numbers(target)
        return sizes is not None and 0 not in sizes

    def _original_of(self, value: ir.Value, before: ir.Node | None) -> ir.Value:
        """Returns the value in its original shape."""
        if value not in self._original:
            shape = shape_of(value)
            assert shape is not None
            target = self._sizes.shape(shape)
            assert target is not None
            original = ir.Value(shape=value.shape, type=value.type)
            reshape = ir.node("Reshape", [self._flat[value], target], outputs=[original])
            if before is None:
                self._graph.append(reshape)
            else:
                self._graph.insert_before(before, reshape)
            self._original[value] = original
        return self._original[value]


def _width(value: ir.Value) -> int:
    """Returns the size of the last dimension; 0 where it is dynamic or unknown."""
    last = (shape_of(value) or [0])[-1]
    return last if isinstance(last, int) else 0


def _is_residual(node: ir.Node) -> bool:
    """Returns whether a node is a sum of two activations of three dimensions, one of them a linear layer."""
    if node.op_type != "Add" or node.domain != "" or any(x is None or constant(x) is not None for x in node.inputs):
        return False
    shape = node.outputs[0].shape
    return shape is not None and len(shape) == 3 and any(_is_linear(x) for x in node.inputs)


def _is_linear(value: ir.Value | None) -> bool:
    node = None if value is None else value.producer()
    while node is not None and node.op_type in ("Add", "Reshape"):  # the layer's bias, and the form of a stream
        varying = [x for x in node.inputs[:1] if node.op_type == "Reshape" or constant(x) is None]
        if node.op_type == "Add":
            varying = [x for x in node.inputs if constant(x) is None]
        node = varying[0].producer() if len(varying) == 1 and varying[0] is not None else None
    return node is not None and as_linear(node) is not None


def _is_constant_matrix(value: ir.Value | None) -> bool:
    """Returns whether a value is a weight concatenated from constants, such as the LM head's."""
    if value is None or value.shape is None or len(value.shape) != 2:
        return False
    waiting = [value]
    while waiting:
        current = waiting.pop()
        node = current.producer()
        if node is None or node.op_type == "Constant":
            if constant(current) is None:
                return False
        elif node.op_type in ("Concat", "Transpose", "Identity"):
            waiting += [x for x in node.inputs if x is not None]
        else:
            return False
    return True
