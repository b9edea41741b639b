"""Magnitudes of a graph's values, measured on one feed."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphs.execution.runner import run
from graphs.execution.types import Feed

# Operators whose result may have a shift: sums, and linear layers with a bias.
MEASURED = ("Add", "Gemm")


def measure(model: ir.Model, feed: Feed) -> dict[str, float]:
    """Measures the root mean square of all sums and linear layers of the main graph, by name.

    Args:
        model: Any model that onnxruntime runs, with named values; it is not modified.
        feed: The inputs. A few dozen tokens are enough; all measured values are in memory at once.
    """
    types = {n.outputs[0].name or "": n.outputs[0].dtype for n in model.graph if n.op_type in MEASURED}
    values = run(model, feed, {name: dtype for name, dtype in types.items() if name and dtype is not None})
    return {
        name: float(np.sqrt(np.mean(np.square(value, dtype=np.float64)))) if value.size else 0.0
        for name, value in values.items()
        if name in types and value.dtype.kind == "f"
    }
