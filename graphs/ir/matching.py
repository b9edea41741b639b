"""Matching of blocks, step by step, so that the first condition that fails can be reported."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphs.ir.constants import add_initializer, constant
from graphs.ir.linear import Linear


class MismatchError(Exception):
    """Raised where a block does not match: the node, and the condition that fails."""

    def __init__(self, node: ir.Node, reason: str) -> None:
        super().__init__(reason)
        self.node = node
        self.reason = reason


def check(condition: bool, node: ir.Node, reason: str) -> None:
    """Raises MismatchError unless the condition holds."""
    if not condition:
        raise MismatchError(node, reason)


def producer_of(value: ir.Value | None, op_type: str | tuple[str, ...], reader: ir.Node) -> ir.Node:
    """Returns the node that computes a value; raises MismatchError unless it has this operator type."""
    expected = (op_type,) if isinstance(op_type, str) else op_type
    node = None if value is None else value.producer()
    if node is None or node.op_type not in expected or node.domain != "":
        found = "an input or constant" if node is None else f"{node.op_type} ({node.name})"
        raise MismatchError(reader, f"it reads {found}; expected {' or '.join(expected)}")
    return node


def only_reader(value: ir.Value, node: ir.Node, what: str) -> ir.Node:
    """Returns the only reader of a value; raises MismatchError for other readers, or an output of the graph."""
    if value.is_graph_output():
        raise MismatchError(node, f"{what} are an output of the graph")
    readers = [use.node for use in value.uses()]
    if len(readers) != 1:
        raise MismatchError(node, f"{what} have {len(readers)} readers; expected one")
    return readers[0]


def only_relu_of(value: ir.Value) -> ir.Node | None:
    """Returns the Relu that is a value's only reader, if there is one."""
    readers = [use.node for use in value.uses()]
    plain = len(readers) == 1 and readers[0].op_type == "Relu" and readers[0].domain == ""
    return readers[0] if plain and not value.is_graph_output() else None


def is_of_one_token(value: ir.Value) -> bool:
    """Returns whether a value is of one token of each text, as a pooler's input: selected, then maybe scaled."""
    node = value.producer()
    while node is not None and node.domain == "" and node.op_type in ("Add", "Cast", "Mul"):
        inner = next((x for x in node.inputs if x is not None and constant(x) is None), None)
        node = None if inner is None else inner.producer()
    if node is None or node.domain != "" or node.op_type != "Gather":
        return False
    index = constant(node.inputs[1])
    return index is not None and index.ndim == 0 and node.attributes.get_int("axis", 0) == 1


def residual_gemm(node: ir.Node) -> Linear:
    """Returns a Gemm with a constant weight whose third input is a stream; None for any other node."""
    check(node.op_type == "Gemm" and node.domain == "", node, "expected a Gemm with the residual as its third input")
    attributes = node.attributes
    plain = not attributes.get_int("transA", 0) and all(attributes.get_float(k, 1.0) == 1.0 for k in ("alpha", "beta"))
    check(plain and len(node.inputs) == 3, node, "expected a Gemm with the residual as its third input")
    x, weight, residual = node.inputs
    transposed = bool(attributes.get_int("transB", 0))
    known = x is not None and weight is not None and residual is not None and weight.const_value is not None
    check(known and residual is not None and residual.const_value is None, node, "its third input is not a residual")
    # A Gemm takes no other weight, but a damaged file may have one.
    matrix = weight is not None and weight.shape is not None and len(weight.shape) == 2
    check(matrix, node, "its weight is not a matrix")
    assert x is not None
    assert weight is not None
    return Linear(node, x, weight, transposed, None)


def plain_weight(graph: ir.Graph, linear: Linear) -> ir.Value:
    """Returns a linear layer's weight as an initializer ``[in, out]``."""
    if not linear.transposed:
        return linear.weight
    assert linear.weight.const_value is not None
    return add_initializer(graph, f"{linear.weight.name}.transposed", linear.weight.const_value.numpy().T)


def plain_bias(graph: ir.Graph, linear: Linear) -> ir.Value:
    """Returns a linear layer's bias as an initializer ``[out]``, of zeros if it has none."""
    if linear.bias is not None and linear.bias.shape == ir.Shape([linear.width]):
        return linear.bias
    own, dtype = linear.bias64(), linear.weight.dtype
    assert dtype is not None
    array = np.zeros(linear.width) if own is None else own
    return add_initializer(graph, f"{linear.weight.name}.bias", array.astype(dtype.numpy()))
