"""ONNX files with fixed shapes, from which MNN, IREE and TVM files are converted."""

from __future__ import annotations

from pathlib import Path

import onnx

from perf.errors import PerfError, one_line
from perf.sessions.inputs import CHOICES


def fix_shapes(source: Path, output: Path, *, batch: int, seq_len: int) -> None:
    """Writes an ONNX file whose inputs have fixed shapes.

    Args:
        source: The `.onnx`, with dynamic shapes.
        output: The `.onnx` to write.
        batch, seq_len: The first and last dimension; an open dimension of choices becomes `CHOICES`.

    Raises PerfError where the model does not take these shapes.
    """
    try:
        model = onnx.load(source)
        # Inferred shapes hold the dimensions' names, which contradict the numbers.
        del model.graph.value_info[:]
        for value in model.graph.output:
            for dim in value.type.tensor_type.shape.dim:
                dim.ClearField("dim_param")
        for value in model.graph.input:
            dims = value.type.tensor_type.shape.dim
            wanted = [batch, *(dim.dim_value or CHOICES for dim in dims[1:-1]), seq_len]
            for dim, size in zip(dims, wanted, strict=True):
                if dim.dim_value not in (0, size):
                    raise PerfError(f"{source.name} takes only {dim.dim_value} in {value.name}, not {size}")
                dim.dim_value = size
        onnx.save(onnx.shape_inference.infer_shapes(model, data_prop=True), output)
    except PerfError:
        raise
    except Exception as error:  # onnx and protobuf raise many classes
        raise PerfError(f"the shapes of {source.name} cannot be fixed: {one_line(error)}") from error
