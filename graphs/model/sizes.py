"""Sizes that `graphs.model.shape_inference` gives values: numbers, or expressions of the inputs' dimensions."""

from __future__ import annotations

import json
import re

import onnx_ir as ir

from graphs.ir.constants import constant

# The metadata key under which onnx_shape_inference stores the numbers in a value.
NUMBERS = "pkg.onnx_shape_inference.sym_data"

Size = int | str
"""A number, or an expression of the names of the inputs' dimensions, such as `batch`, or `sequence - 1`."""


def dims_of(shape: ir.Shape) -> list[Size | None]:
    """Returns the dimensions of a shape; None for an unknown one."""
    return [dim if isinstance(dim, int) else dim.value for dim in shape]


def shape_of(value: ir.Value) -> list[Size] | None:
    """Returns the value's shape; None if it, or some dimension of it, is unknown."""
    if value.shape is None:
        return None
    known = [dim for dim in dims_of(value.shape) if dim is not None]
    return known if len(known) == len(value.shape) else None


def numbers_of(value: ir.Value) -> list[Size] | None:
    """Returns the numbers in an integer tensor of at most one dimension; None if they are unknown."""
    found = value.metadata_props.get(NUMBERS)
    if found is not None:
        whole = value.dtype in (ir.DataType.INT64, ir.DataType.INT32)
        if not whole or value.shape is None or len(value.shape) > 1:
            return None
        return [number if isinstance(number, int) else _as_size(str(number)) for number in json.loads(found)]
    array = constant(value)
    if array is None or array.ndim > 1 or array.dtype.kind not in "iu":
        return None
    return [int(number) for number in array.reshape(-1)]


def _as_size(number: str) -> Size:
    """Returns an expression that was simplified to a number as that number, any other as it is."""
    return int(number) if re.fullmatch(r"-?\d+", number) else number
