"""Inputs as a graph or a session declares them: names, element types, shapes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from graphs.ir.text_inputs import IDS, MASK, POSITIONS, TYPES

# Ranks of token ids: [batch, seq], and [batch, choices, seq] of multiple choice.
TEXT_RANKS = (2, 3)

# The inputs of a text, and their shape where a file declares none: [batch, seq].
TEXT_INPUTS = (IDS, MASK, TYPES, POSITIONS)
UNDECLARED: tuple[int | str | None, ...] = ("batch", "seq")

# onnxruntime's names of element types that numpy calls by another name.
NUMPY_NAMES = {"float": "float32", "double": "float64"}


@dataclass(frozen=True)
class DeclaredInput:
    """One declared input; a dynamic dimension is a name, or None where it has none."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str | None, ...]


def inputs_of_graph(model: ir.Model) -> list[DeclaredInput]:
    """Returns the inputs of a graph; those with a default value are left out."""
    declared = []
    for value in model.graph.inputs:
        if value.is_initializer():
            continue
        default = ir.DataType.INT64 if value.name in TEXT_INPUTS else ir.DataType.FLOAT
        dims = () if value.shape is None else value.shape
        sizes = _sizes(dim if isinstance(dim, int) else dim.value for dim in dims)
        declared.append(DeclaredInput(value.name or "", (value.dtype or default).numpy(), sizes))
    return _with_text_shapes(declared)


def inputs_of_session(session: Any) -> list[DeclaredInput]:
    """Returns the inputs of a session, which has onnxruntime's `get_inputs`."""
    nodes = session.get_inputs()
    return _with_text_shapes([DeclaredInput(one.name, _numpy_type(one.type), _sizes(one.shape or ())) for one in nodes])


def _with_text_shapes(declared: Sequence[DeclaredInput]) -> list[DeclaredInput]:
    """Returns inputs in which those of a text have the shape of the ids, or [batch, seq], where they declare none.

    onnxruntime gives such inputs the shape of a single number, which no input of a text has.
    """
    ids = ids_among(declared)
    shape = UNDECLARED if ids is None else ids.shape
    return [one if one.shape or one.name not in TEXT_INPUTS else replace(one, shape=shape) for one in declared]


def _sizes(dims: Iterable[int | str | None]) -> tuple[int | str | None, ...]:
    """Returns dimensions; one below 1 is dynamic, as onnxruntime reads it."""
    return tuple(None if isinstance(dim, int) and dim < 1 else dim for dim in dims)


def _numpy_type(name: str) -> np.dtype[Any]:
    """Returns the element type of `tensor(int64)`; float32 for a type that numpy has not, whose model does not run."""
    name = name.removeprefix("tensor(").removesuffix(")")
    try:
        return np.dtype(NUMPY_NAMES.get(name, name))
    except TypeError:
        return np.dtype(np.float32)


def ids_among(declared: Sequence[DeclaredInput]) -> DeclaredInput | None:
    """Returns the token ids of a text model; None for any other model."""
    ids = next((one for one in declared if one.name == IDS), None)
    return ids if ids is not None and len(ids.shape) in TEXT_RANKS else None
