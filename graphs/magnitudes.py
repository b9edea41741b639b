"""How large a graph's values are, measured on a feed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
import onnxruntime

# What carries a stream or a bias, and so a shift: sums, and linear layers with a bias.
MEASURED = ("Add", "Gemm")


def measure(model: ir.Model, feed: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Root mean square by name, of all sums and linear layers of the main graph.

    Args:
        model: any graph that onnxruntime runs, with named values; left as it was.
        feed: its inputs. A few dozen tokens are enough, and every measured value is held at once.
    """
    names = [n.outputs[0].name for n in model.graph if n.op_type in MEASURED and n.outputs[0].dtype is not None]
    if not names:
        return {}  # onnxruntime takes an empty list for all outputs
    proto = ir.to_proto(model)
    present = {output.name for output in proto.graph.output}
    types = {n.outputs[0].name: n.outputs[0].dtype for n in model.graph if n.op_type in MEASURED}
    for name in names:
        if name not in present:
            output = proto.graph.output.add(name=name)
            output.type.tensor_type.elem_type = int(types[name] or ir.DataType.FLOAT)
    options = onnxruntime.SessionOptions()
    # Fused nodes would hide the values asked for.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    values = session.run(names, dict(feed))
    return {
        name: float(np.sqrt(np.mean(np.square(value, dtype=np.float64)))) if value.size else 0.0
        for name, value in zip(names, values, strict=True)
        if name is not None and value.dtype.kind == "f"
    }
