"""Embedding tables of a graph: their sizes, which say what ids it takes, and the rows of single tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from graphs.ir.constants import add_initializer, constant
from graphs.ir.text_inputs import IDS, looked_up_in, recognise
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
    lookup = _lookup_of(graph, name)
    return None if lookup is None else _rows(lookup.table)


def has_zero_embedding(model: ir.Model, token: int) -> bool | None:
    """Returns whether the embedding of a token is zero; None where the table is not known."""
    table = _table_of(_lookup_of(model.graph, IDS), token)
    return None if table is None else not table[token].any()


def with_zero_embedding(model: ir.Model, token: int) -> ir.Model | None:
    """Returns a copy of a model that looks up zeros for a token; None where the table is not known.

    Other readers of the table, such as the LM head, keep its values.
    """
    copy = model.clone()
    lookup = _lookup_of(copy.graph, IDS)
    table = _table_of(lookup, token)
    if lookup is None or table is None:
        return None
    rows = table.astype((lookup.table.dtype or ir.DataType.FLOAT).numpy())
    rows[token] = 0.0
    lookup.node.replace_input_with(lookup.index, add_initializer(copy.graph, "zero_embedding", rows))
    return copy


@dataclass(frozen=True)
class _Lookup:
    """Lookup of ids: the node, and which of its inputs is the table."""

    node: ir.Node
    index: int

    @property
    def table(self) -> ir.Value:
        table = self.node.inputs[self.index]
        assert table is not None
        return table


def _table_of(lookup: _Lookup | None, token: int) -> np.ndarray | None:
    """Returns the floating-point table of a lookup, cast or not, if it has a row for the token."""
    table: ir.Value | None = None if lookup is None else lookup.table
    while table is not None and (node := table.producer()) is not None and node.op_type in ("Cast", "Identity"):
        table = node.inputs[0]
    array = constant(table)
    return array if array is not None and array.dtype.kind == "f" and 0 <= token < len(array) else None


def _lookup_of(graph: ir.Graph, name: str) -> _Lookup | None:
    """Returns the lookup of an input's ids in a table of a known number of rows; None if there is none."""
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
            index = looked_up_in(use.node, use.idx)
            if index is not None:
                if _rows(use.node.inputs[index]) is not None:
                    return _Lookup(use.node, index)
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
