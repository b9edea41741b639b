"""Small models for the standalone runtime: nodes within a function of the domain mbert, as answers are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser

from graphs.functions import DOMAIN, VERSION

OPSET = 18
MICROSOFT = "com.microsoft"  # onnxruntime's own operators
ONNX_TYPES = {np.dtype(name): number for name, number in (("float32", 1), ("int64", 7), ("bool", 9), ("float64", 11))}
ONNX_TYPES |= {np.dtype(name): number for name, number in (("uint8", 2), ("int8", 3), ("int32", 6), ("float16", 10))}


def longs(values: object) -> np.ndarray:
    """Returns values as int64."""
    return np.array(values, np.int64)


def singles(values: object) -> np.ndarray:
    """Returns values as float32."""
    return np.array(values, np.float32)


def function_model(
    body: str,
    inputs: dict[str, np.ndarray],
    outputs: Sequence[tuple[str, int]],
    constants: dict[str, np.ndarray] | None = None,
    opset: int = OPSET,
) -> bytes:
    """Returns a model of one node, which calls a function of the domain mbert.

    Args:
        body: The nodes of the function, as ONNX text, which reads inputs and constants by name.
        inputs: Examples of the model's inputs; all their sizes are dynamic.
        outputs: The names and element types of the outputs.
        constants: Initializers of the model, which are inputs of the function.
        opset: The opset of the model and the function.
    """
    constants = constants or {}
    names, results = [*inputs, *constants], [name for name, _ in outputs]
    header = f'<domain: "{DOMAIN}", opset_import: ["" : {opset}, "{MICROSOFT}" : 1]>'
    text = f"{header} Own ({', '.join(names)}) => ({', '.join(results)}) {{ {body} }}"
    graph = helper.make_graph(
        [helper.make_node("Own", names, results, domain=DOMAIN, name="own")],
        "graph",
        [
            helper.make_tensor_value_info(name, ONNX_TYPES[array.dtype], [f"{name}_{i}" for i in range(array.ndim)])
            for name, array in inputs.items()
        ],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid(*each) for each in (("", opset), (MICROSOFT, 1), (DOMAIN, VERSION))]
    model = helper.make_model(graph, ir_version=10, opset_imports=opsets, functions=[parser.parse_function(text)])
    return bytes(model.SerializeToString())


def edited(model: bytes, change: object) -> bytes:
    """Returns a model after a change of its protobuf."""
    proto = onnx.load_from_string(model)
    assert callable(change)
    change(proto)
    return bytes(proto.SerializeToString())


FLOAT, INT64, BOOL, DOUBLE = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL, TensorProto.DOUBLE
UINT8, INT32, FLOAT16 = TensorProto.UINT8, TensorProto.INT32, TensorProto.FLOAT16
