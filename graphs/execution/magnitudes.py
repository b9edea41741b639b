"""How large a graph's values are, measured on a feed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from graphs.execution.runner import run

# What carries a stream or a bias, and so a shift: sums, and linear layers with a bias.
MEASURED = ("Add", "Gemm")


def measure(model: ir.Model, feed: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Root mean square by name, of all sums and linear layers of the main graph.

    Args:
        model: any graph that onnxruntime runs, with named values; left as it was.
        feed: its inputs. A few dozen tokens are enough, and every measured value is held at once.
    """
    types = {n.outputs[0].name or "": n.outputs[0].dtype for n in model.graph if n.op_type in MEASURED}
    values = run(model, feed, {name: dtype for name, dtype in types.items() if name and dtype is not None})
    return {
        name: float(np.sqrt(np.mean(np.square(value, dtype=np.float64)))) if value.size else 0.0
        for name, value in values.items()
        if name in types and value.dtype.kind == "f"
    }
