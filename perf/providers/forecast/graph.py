"""Graph of a model as onnxruntime passes it to a provider."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir
import onnxruntime as ort
from onnx.inliner import inline_local_functions

from perf.errors import PerfError, one_line
from perf.providers import CPU
from perf.providers.plugin import LOG_ERRORS_ONLY


@dataclass(frozen=True)
class Graph:
    """The same nodes in two forms: protobuf for onnxruntime's tools, IR for the rules."""

    model: onnx.ModelProto
    nodes: tuple[ir.Node, ...]


def read_graph(path: Path) -> Graph:
    """Reads the graph after onnxruntime's basic optimizations, at which point it is divided among providers.

    Functions are inlined, constants folded, and a MatMul with its Add is a Gemm. In half precision only the functions
    are inlined: the graph that onnxruntime saves has casts for the CPU, which other providers do not get.

    Raises PerfError if the file does not exist, or onnxruntime does not load it.
    """
    if not path.is_file():
        raise PerfError(f"no file {path}; expected an .onnx model: check the path")
    with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as folder:
        optimized = Path(folder) / "basic.onnx"
        _save_optimized(path, optimized)
        model = onnx.load(optimized)
    if _is_half(model):
        model = inline_local_functions(onnx.load(path))
    model = onnx.shape_inference.infer_shapes(model)
    return Graph(model, tuple(ir.from_proto(model).graph))


def _save_optimized(path: Path, optimized: Path) -> None:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(optimized)
    options.log_severity_level = LOG_ERRORS_ONLY
    try:
        ort.InferenceSession(str(path), sess_options=options, providers=[CPU.ort_name])
    except Exception as error:  # onnxruntime raises one class per status code, all straight from Exception
        raise PerfError(f"onnxruntime {ort.__version__} cannot load {path}: {one_line(error)}") from None


def _is_half(model: onnx.ModelProto) -> bool:
    return any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer)
