"""Text inputs of a graph without transformers' names, recognised by what the graph does with them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

import numpy as np
import onnx_ir as ir

from graphs.ir.constants import integers

# transformers' names of the four inputs, by what they hold.
IDS, MASK, TYPES, POSITIONS = "input_ids", "attention_mask", "token_type_ids", "position_ids"

# The operators that may stand between ids and the lookup in a table.
PASSED = frozenset(("Cast", "Clip", "Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"))

# Names of inputs that switch training mode, such as `training`, `bert/is_training:0` or `keras_learning_phase`.
TRAINING_FLAG = re.compile(r"(^|[/_])(train(ing)?(_mode)?|learning_phase)([._]\d+)?(:\d+)?$", re.IGNORECASE)

# The place of the training mode among Dropout's inputs.
DROPOUT_MODE = 2

# The operators that may stand between a table and the lookup, with the table as their first input.
STORED = frozenset(("Cast", "DequantizeLinear", "Identity"))

# Of our fused embeddings, which input is looked up in which other one: the ids in words, the token types in types.
FUSED_LOOKUPS = {"Embeddings": {0: 2, 1: 4}, "EmbeddingsFloat16": {0: 2, 1: 4}, "EmbeddingsInt8": {0: 2, 1: 5}}

# A table of more rows than this holds positions or words, not token types.
MOST_TYPES = 16


def looked_up_in(node: ir.Node, index: int) -> int | None:
    """Returns which input of a node is the table in which it looks up the ids of another input; None if it does not.

    Args:
        node: A node that reads ids.
        index: Which of its inputs the ids are.
    """
    if node.op_type == "Gather" and index == 1:
        return 0
    return FUSED_LOOKUPS.get(node.op_type, {}).get(index) if node.domain else None


def recognise(inputs: Collection[ir.Value], known: Mapping[ir.Value, str]) -> dict[ir.Value, str]:
    """Returns transformers' names of inputs by their use; an input whose use is not known is left out.

    Ids are looked up in a table of embeddings: words in the largest one, token types in the smallest one. A mask is
    looked up in no table, and its numbers reach a softmax.

    Args:
        inputs: The inputs of a graph.
        known: Those whose transformers' name is known, with that name.
    """
    names = dict(known)
    rows = {value: found for value in inputs if (found := _rows(value))}
    for place, value in enumerate(sorted(rows, key=lambda value: -rows[value])):
        name = IDS if place == 0 else TYPES if rows[value] <= MOST_TYPES else POSITIONS
        if value not in names and name not in names.values():
            names[value] = name
    masks = [value for value in inputs if value not in names and value not in rows and _reaches_softmax(value)]
    if len(masks) == 1 and MASK not in names.values():
        names[masks[0]] = MASK
    return names


def outputs_behind(graph: ir.Graph, inputs: Iterable[ir.Value]) -> set[str]:
    """Returns the names of the outputs whose numbers depend on some of these inputs, as a loss depends on labels."""
    reached = set(_reached(inputs))
    return {str(output.name) for output in graph.outputs if output in reached}


def training_flags(graph: ir.Graph) -> list[ir.Value]:
    """Returns the inputs that switch training mode: one bool each, with such a name or read as a Dropout's mode."""
    return [value for value in graph.inputs if not value.is_initializer() and _is_training_flag(value)]


def switch_off_training(graph: ir.Graph) -> list[str]:
    """Makes every reader of an input that switches training mode read false, in place; returns these inputs' names.

    The inputs stay, so that a program that feeds them still can; those that nothing reads are left out of the names.
    """
    names = []
    for value in training_flags(graph):
        if not value.uses() or value.is_graph_output():
            continue
        off = ir.Value(
            name=f"{value.name}.off", const_value=ir.tensor(np.zeros((1,) * len(value.shape or ()), np.bool_))
        )
        graph.register_initializer(off)
        ir.convenience.replace_all_uses_with(value, off)
        names.append(str(value.name))
    return names


def _is_training_flag(value: ir.Value) -> bool:
    if value.dtype != ir.DataType.BOOL or any(size != 1 for size in value.shape or ()):
        return False
    return bool(TRAINING_FLAG.search(str(value.name))) or any(
        use.node.op_type == "Dropout" and use.idx == DROPOUT_MODE for use in value.uses()
    )


def _rows(ids: ir.Value) -> int:
    """Returns the rows of the largest table in which ids are looked up; 0 if there is none."""
    largest = 0
    for value in _reached([ids], PASSED):
        for use in value.uses():
            node = use.node
            table = looked_up_in(node, use.idx)
            if table is not None:
                largest = max(largest, _table_rows(node.inputs[table]))
            elif node.op_type == "OneHot" and use.idx == 0:  # rows are taken by a product with a table
                largest = max(largest, *(integers(node.inputs[1]) or [0]))
    return largest


def _table_rows(table: ir.Value | None) -> int:
    """Returns the rows of a constant matrix, which may be stored in a lower precision; 0 for any other value."""
    while table is not None and (node := table.producer()) is not None and node.op_type in STORED:
        table = node.inputs[0]
    if table is None or not table.is_initializer() or table.shape is None or len(table.shape) != 2:
        return 0
    rows = table.shape[0]
    return rows if isinstance(rows, int) else 0


def _reaches_softmax(mask: ir.Value) -> bool:
    """Returns whether a value reaches a softmax, or fused attention or layers, such as our own or onnxruntime's."""
    readers = (use.node for value in _reached([mask]) for use in value.uses())
    fused = re.compile("Attention|Encoder")
    return any(node.op_type == "Softmax" or (node.domain != "" and fused.search(node.op_type)) for node in readers)


def _reached(values: Iterable[ir.Value], operators: Collection[str] | None = None) -> Iterator[ir.Value]:
    """Yields the values and all that depend on their numbers, not only shapes; through these operators, or any."""
    seen, waiting = set[ir.Value](), list(values)
    while waiting:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        yield value
        for use in value.uses():
            if use.node.op_type != "Shape" and (operators is None or (use.node.op_type in operators and use.idx == 0)):
                waiting += use.node.outputs
