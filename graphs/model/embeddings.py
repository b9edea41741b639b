"""Vocabulary size of a graph without a config, read from its word embeddings."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from graphs.ir.text_inputs import IDS, recognise
from graphs.model.loading import read_model

# The vocabulary size of a graph whose table is not found: below the special tokens of every vocabulary in use.
FEWEST_ROWS = 100

# The operators that may stand between the ids and the lookup.
PASSED = ("Cast", "Identity", "Reshape", "Unsqueeze", "Squeeze", "Flatten")


def embedding_rows(path: Path) -> int:
    """Returns the vocabulary size of a file: the rows of the table in which `input_ids` are looked up.

    Raises GraphError for a file that cannot be read.
    """
    return rows_of(read_model(path).graph) or FEWEST_ROWS


def rows_of(graph: ir.Graph) -> int | None:
    """Returns the rows of the table in which the ids are looked up, whatever their name; None if there is none."""
    ids = next((value for value in graph.inputs if value.name == IDS), None)
    if ids is None:
        ids = next((value for value, name in recognise(graph.inputs, {}).items() if name == IDS), None)
    seen, waiting = set[ir.Value](), [] if ids is None else [ids]
    while waiting:
        value = waiting.pop()
        if value in seen:
            continue
        seen.add(value)
        for use in value.uses():
            if use.node.op_type == "Gather" and use.idx == 1:
                table = use.node.inputs[0]
                if table is not None and table.shape is not None and isinstance(table.shape[0], int):
                    return table.shape[0]
            elif use.node.op_type in PASSED and use.idx == 0:
                waiting.extend(use.node.outputs)
    return None
