"""Sizes of a graph's embedding tables, which say what ids it takes: the vocabulary, the token types."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from graphs.ir.text_inputs import IDS, recognise
from graphs.model.loading import read_model

# The vocabulary size of a graph whose table is not found: below the special tokens of every vocabulary in use.
FEWEST_ROWS = 100

# The operators that may stand between the ids and the lookup.
PASSED = ("Cast", "Identity", "Reshape", "Unsqueeze", "Squeeze", "Flatten")

# The operators that may stand between a table and the lookup.
STORED = ("Cast", "Identity", "DequantizeLinear", "Mul")


def embedding_rows(path: Path) -> int:
    """Returns the vocabulary size of a file: the rows of the table in which `input_ids` are looked up.

    Raises GraphError for a file that cannot be read.
    """
    return rows_of(read_model(path, values=False).graph) or FEWEST_ROWS


def rows_of(graph: ir.Graph, name: str = IDS) -> int | None:
    """Returns the rows of the table in which ids are looked up; None if there is none.

    Args:
        graph: A text model's graph.
        name: transformers' name of the input; the graph may have another name for it.
    """
    ids = next((value for value in graph.inputs if value.name == name), None)
    if ids is None:
        ids = next((value for value, known in recognise(graph.inputs, {}).items() if known == name), None)
    seen, waiting = set[ir.Value](), [] if ids is None else [ids]
    while waiting:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        for use in value.uses():
            if use.node.op_type == "Gather" and use.idx == 1:
                rows = _rows(use.node.inputs[0])
                if rows is not None:
                    return rows
            elif use.node.op_type in PASSED and use.idx == 0:
                waiting.extend(use.node.outputs)
    return None


def _rows(table: ir.Value | None) -> int | None:
    """Returns the rows of a table, which may be stored in another type; None where its size is not known."""
    while table is not None:
        if table.shape is not None and len(table.shape) > 1 and isinstance(table.shape[0], int):
            return table.shape[0]
        node = table.producer()
        if node is None or node.op_type not in STORED:
            return None
        table = node.inputs[0]
    return None
