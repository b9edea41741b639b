"""Changes after which the provider of a neural processor takes the model of a text file whole, and nothing else."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

# Outputs of the functions that are not int64.
TYPES = {"owned": np.bool_} | dict.fromkeys(("scores", "no_answer", "entity_scores", "sentence_embedding"), np.float32)

DEQUANTIZE = "DequantizeLinear"


def in_branch(function: ir.Function) -> ir.Function:
    """Puts the body of a function into a branch of an If, in place; returns the function.

    onnxruntime puts the bodies of functions into the graph before it asks a provider which nodes it takes. Those of
    neural processors take nodes of fixed sizes, and none in a branch. A tokenizer has few nodes of fixed sizes, which
    compute single numbers, but each group of them would be one more partition, and compute int64 in 32 bits.

    The condition is true in every run: whether the first input has an element, as every tensor does. No optimization
    computes it beforehand, and no such provider takes the operator.
    """
    body, results = list(function), list(function.outputs)
    outputs = [ir.Value(name=value.name) for value in results]
    function.outputs[:] = []
    function.remove(body)
    for value in results:
        value.name = f"{value.name}.computed"
    given = ir.node("OptionalHasElement", [function.inputs[0]], outputs=[ir.Value(name="is_given")])
    branches = {"then_branch": ir.Graph([], results, nodes=body, name="computed"), "else_branch": _empty(outputs)}
    function.extend([given, ir.node("If", given.outputs, branches, outputs=outputs)])
    function.outputs[:] = outputs
    return function


def separate_dequantizing(graph: ir.Graph) -> None:
    """Gives each reader of dequantized values a DequantizeLinear of its own, as onnxruntime does when it loads a file.

    In a file with functions it asks providers for the first time before it does so, and Qualcomm's then ends the
    process at a DequantizeLinear of two readers.
    """
    for node in list(graph):
        if node.op_type != DEQUANTIZE:
            continue
        [output] = node.outputs
        for number, use in enumerate(tuple(output.uses())[1:], start=2):
            copy = ir.Value(name=f"{output.name}.{number}", type=output.type, shape=output.shape)
            attributes = dict(node.attributes)
            new = ir.node(
                DEQUANTIZE, node.inputs, attributes, domain=node.domain, outputs=[copy], name=f"{node.name}.{number}"
            )
            graph.insert_after(node, new)
            use.node.replace_input_with(use.idx, copy)


def _empty(outputs: list[ir.Value]) -> ir.Graph:
    """Returns the branch that is never run: outputs of the same types with nothing in them.

    Their one axis leaves the number of axes unknown behind the If, and no provider takes a node that reads such values.
    """
    nodes = []
    for output in outputs:
        array = np.zeros(0, TYPES.get(str(output.name), np.int64))
        constant = ir.Value(name=f"{output.name}.empty")
        nodes.append(ir.node("Constant", [], {"value": ir.tensor(array)}, outputs=[constant]))
    return ir.Graph([], [node.outputs[0] for node in nodes], nodes=nodes, name="empty")
