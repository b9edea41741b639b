"""Outputs that are NaN or infinite, and the tensor in which such a number appears first."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphs.execution.centred_error import real_rows
from graphs.execution.runner import run
from graphs.execution.types import Feed, Outputs
from graphs.model.shape_inference import infer_sizes

FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)


def nonfinite_output(outputs: Outputs, feed: Feed) -> str | None:
    """Returns which output is not finite at a real token, and in how many values; None if all are finite.

    Args:
        outputs: The outputs by name.
        feed: The inputs by name; padding does not count where `attention_mask` is among them.
    """
    for name, values in outputs.items():
        if values.dtype.kind != "f":
            continue
        rows = real_rows(values, feed.get("attention_mask"))
        bad = int(rows.size - np.isfinite(rows).sum())
        if bad:
            return f"{name} is NaN or infinite in {bad:,} of {rows.size:,} values"
    return None


def nonfinite_cause(model: ir.Model, feed: Feed) -> str:
    """Returns where numbers that are not finite come from: a weight, else the first node that computes one.

    Args:
        model: The graph; it is not modified.
        feed: Inputs for which an output is not finite.

    Returns:
        A clause, such as `layer.0.weight has 1 of 64 values NaN or infinite`; an empty string if it is not found.
    """
    weight = nonfinite_weight(model)
    if weight is not None:
        return weight
    try:
        return _first_node(model, feed)
    except Exception:  # onnxruntime's errors have no common class; the cause is only a hint
        return ""


def nonfinite_weight(model: ir.Model) -> str | None:
    """Returns which weight has a value NaN or infinite, and how many; None if none has.

    Sample inputs may not meet it: they look up few rows of a table. One number alone is no weight but a constant, such
    as the end of a Clip, and zeros with −∞ are a mask.
    """
    for graph in model.graphs():
        for value in graph.initializers.values():
            tensor = value.const_value
            if tensor is None or tensor.dtype not in FLOATS or tensor.size < 2 or not value.uses():
                continue
            array = tensor.numpy()
            finite = np.isfinite(array)
            bad = array.size - np.count_nonzero(finite)
            if bad and not (array[~finite] == -np.inf).all():
                return f"{value.name} has {bad:,} of {array.size:,} values NaN or infinite"
            if bad and array[finite].any():
                return f"{value.name} has {bad:,} of {array.size:,} values infinite"
    return None


def _first_node(model: ir.Model, feed: Feed) -> str:
    """Returns the first node with a result that is NaN, else +∞, else −∞, which may be a mask."""
    typed = model.clone()
    infer_sizes(typed)
    names = {
        str(output.name): output.dtype
        for node in typed.graph
        for output in node.outputs
        if output.name and output.dtype in FLOATS
    }
    values = run(typed, feed, names)
    for is_bad in (np.isnan, np.isposinf, np.isneginf):
        for node in typed.graph:
            for output in node.outputs:
                name = str(output.name)
                if name in values and is_bad(values[name]).any():
                    return f"the first such tensor is {name}, the result of {node.op_type} {node.name or ''}".rstrip()
    return ""
