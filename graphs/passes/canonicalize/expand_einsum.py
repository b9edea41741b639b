"""Products that are written as Einsum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphs.ir.constants import add_initializer, constant
from graphs.ir.rewrite import Rewrite, replace


class ExpandEinsum(Rewrite):
    """Writes an Einsum of two operands as MatMul, with the Transposes and Reshapes that it needs.

    Before::

        x [b, s, 512] ── Einsum("abc,cde->abde", W [512, 4, 32]) ── y
        key, query ── Einsum("aecd,abcd->acbe") ── scores

    After::

        x ── MatMul(W [512, 128]) ── Reshape [0, 0, 4, 32] ── y
        query ── Transpose(0, 2, 1, 3) ──┐
        key ──── Transpose(0, 2, 3, 1) ──┴─ MatMul ── scores

    Keras writes dense layers and attention so. With a weight, the labels that are summed over are the last ones of the
    activation; of two activations, one label is summed over, and each has one that the other lacks.
    """

    def rewrite(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type != "Einsum" or node.domain != "":
                continue
            equation = _Equation.of(node)
            if equation is None:
                self.miss(node, "its equation is not one of two operands with letters only")
                continue
            weights = [constant(x) for x in node.inputs]
            if all(weight is not None for weight in weights):
                continue  # constant folding computes it
            if weights[0] is not None:
                expanded = _with_weight(model.graph, node, equation.swapped(), 1, 0)
            elif weights[1] is not None:
                expanded = _with_weight(model.graph, node, equation, 0, 1)
            else:
                expanded = _with_activations(model.graph, node, equation)
            if expanded is None:
                self.miss(node, f"{equation.text} is not a product of matrices")
                continue
            replace(node.outputs[0], expanded)
            model.graph.remove(node, safe=True)
            self.matches += 1


@dataclass(frozen=True)
class _Equation:
    """Labels of two operands and of their result, such as `abc`, `cd` and `abd`."""

    left: str
    right: str
    result: str

    @classmethod
    def of(cls, node: ir.Node) -> _Equation | None:
        text = node.attributes.get_string("equation", "").replace(" ", "")
        operands, arrow, result = text.partition("->")
        labels = operands.split(",")
        if not arrow or len(labels) != 2 or any(not part.isalpha() for part in (*labels, result)):
            return None
        unique = all(len(set(part)) == len(part) for part in (*labels, result))
        return cls(labels[0], labels[1], result) if unique and set(result) <= set("".join(labels)) else None

    @property
    def text(self) -> str:
        return f"{self.left},{self.right}->{self.result}"

    def swapped(self) -> _Equation:
        return _Equation(self.right, self.left, self.result)

    @property
    def summed(self) -> str:
        """The labels of both operands that the result lacks, in the order of the first operand."""
        return "".join(label for label in self.left if label in self.right and label not in self.result)

    @property
    def batch(self) -> str:
        """The labels of both operands and the result, in the order of the result."""
        return "".join(label for label in self.result if label in self.left and label in self.right)


def _with_weight(graph: ir.Graph, node: ir.Node, labels: _Equation, x_at: int, weight_at: int) -> ir.Value | None:
    """Writes the product of an activation (the first operand) with a weight; returns None if it is none of matrices."""
    x, weight = node.inputs[x_at], node.inputs[weight_at]
    array, summed = constant(weight), labels.summed
    new = "".join(label for label in labels.result if label not in labels.left)
    kept = labels.left[: len(labels.left) - len(summed)]
    plain = labels.left == kept + summed and labels.result == kept + new and set(labels.right) == set(summed + new)
    if x is None or weight is None or array is None or not plain or not summed or not new:
        return None
    array = array.transpose([labels.right.index(label) for label in summed + new])
    sizes = array.shape[len(summed) :]
    if labels.right != summed + new or array.ndim != 2:
        matrix = array.reshape(int(np.prod(array.shape[: len(summed)])), -1)
        weight = add_initializer(graph, f"{weight.name}.matrix", matrix)
    if len(summed) > 1:
        x = _reshape(graph, node, x, [0] * len(kept) + [int(np.prod(array.shape[: len(summed)]))])
    product = _node(graph, node, "MatMul", [x, weight])
    return product if len(new) == 1 else _reshape(graph, node, product, [0] * len(kept) + list(sizes))


def _with_activations(graph: ir.Graph, node: ir.Node, labels: _Equation) -> ir.Value | None:
    """Writes the product of two activations; returns None if it is not one of matrices in batches."""
    first, second = node.inputs
    shared, operands = labels.batch + labels.summed, (labels.left, labels.right)
    own = ["".join(label for label in part if label not in shared) for part in operands]
    whole = all(set(shared) <= set(part) for part in operands) and set("".join(own)) <= set(labels.result)
    if first is None or second is None or not whole or [len(part) for part in (labels.summed, *own)] != [1, 1, 1]:
        return None
    if labels.result.index(own[0]) > labels.result.index(own[1]):
        first, second, labels, own = second, first, labels.swapped(), own[::-1]
    left = _transpose(graph, node, first, labels.left, labels.batch + own[0] + labels.summed)
    right = _transpose(graph, node, second, labels.right, labels.batch + labels.summed + own[1])
    product = _node(graph, node, "MatMul", [left, right])
    return _transpose(graph, node, product, labels.batch + own[0] + own[1], labels.result)


def _transpose(graph: ir.Graph, before: ir.Node, x: ir.Value, labels: str, wanted: str) -> ir.Value:
    """Inserts the Transpose that brings labels into an order, if they are in another one."""
    if labels == wanted:
        return x
    return _node(graph, before, "Transpose", [x], perm=[labels.index(label) for label in wanted])


def _reshape(graph: ir.Graph, before: ir.Node, x: ir.Value, sizes: list[int]) -> ir.Value:
    """Inserts a Reshape; a size of 0 is that of x at the same place."""
    target = add_initializer(graph, "einsum_sizes", np.array(sizes, dtype=np.int64))
    return _node(graph, before, "Reshape", [x, target])


def _node(graph: ir.Graph, before: ir.Node, op_type: str, inputs: list[ir.Value], **attributes: list[int]) -> ir.Value:
    output = ir.Value(type=before.outputs[0].type)
    graph.insert_before(before, ir.node(op_type, inputs, attributes=attributes, outputs=[output]))
    return output
