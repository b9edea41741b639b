"""Reading `.onnx` files that anybody wrote."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from graphs.errors import GraphError


def read_model(path: Path) -> ir.Model:
    """The graph in a file; weights beside it are found where it says.

    Raises GraphError, in one line, for a file that is not there, is no ONNX model, or whose weights are missing, in
    part or whole.
    """
    if not path.is_file():
        raise GraphError(f"{path}: no such file; expected an .onnx model")
    try:
        model = ir.load(path)
    except Exception as error:  # protobuf's and onnx_ir's errors have no common class
        raise GraphError(f"{path} is no ONNX model, or is corrupt ({_line(error)}); export it again") from error
    if not model.graph.num_nodes():
        raise GraphError(f"{path} holds no graph; it is empty, truncated, or no ONNX model: export it again")
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if not isinstance(tensor, ir.ExternalTensor):
            continue
        found = f"{path} keeps its weights in {tensor.location}, which is"
        if not Path(tensor.path).is_file():
            raise GraphError(f"{found} not there; put it beside the model")
        if Path(tensor.path).stat().st_size < (tensor.offset or 0) + tensor.nbytes:
            raise GraphError(f"{found} too short; copy it again")
    return model


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text or type(error).__name__
