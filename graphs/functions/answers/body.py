"""Functions from ONNX text, with the constants that the text names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx_ir as ir
from onnx import helper, numpy_helper

from graphs.functions import DOMAIN

LARGEST = np.iinfo(np.int64).max

# Constants that a body may name.
CONSTANTS: dict[str, np.ndarray] = {
    "zero": np.array([0]),
    "one": np.array([1]),
    "two": np.array([2]),
    "minus_one": np.array([-1]),
    "end": np.array([LARGEST]),
    "zero_scalar": np.array(0),
    "one_scalar": np.array(1),
    "many": np.array([2**31 - 1]),  # some providers compute int64 in 32 bits
    "float_zero": np.array(0, np.float32),
    "float_one": np.array(1, np.float32),
    "double_half": np.array(0.5, np.float64),
    "double_one": np.array(1, np.float64),
    "double_minus_one": np.array(-1, np.float64),
    "true": np.array([True]),
    "false": np.array([False]),
}


def function_of(
    name: str,
    documentation: str,
    signature: tuple[Sequence[str], Sequence[str]],
    body: str,
    opset: int,
    constants: Mapping[str, np.ndarray] | None = None,
) -> ir.Function:
    """Returns the function with this body.

    Args:
        name: The operator.
        documentation: Its documentation string.
        signature: The names of its inputs and of its outputs.
        body: Nodes as ONNX text. Those of `constants` and `CONSTANTS` that it names become nodes, too.
        opset: The opset of the body.
        constants: Constants of this function, by name. A function has no initializers.
    """
    inputs, outputs = signature
    text = (
        f'<domain: "{DOMAIN}", opset_import: ["" : {opset}]>\n'
        f"{name} ({', '.join(inputs)}) => ({', '.join(outputs)})\n{{ {body} }}"
    )
    proto = onnx.parser.parse_function(text)
    named = set(re.findall(r"\w+", re.sub("<[^<>]*>", "", body)))  # names of attributes are no constants
    known = {key: value for key, value in (CONSTANTS | dict(constants or {})).items() if key in named}
    nodes = [
        helper.make_node("Constant", [], [key], value=numpy_helper.from_array(value)) for key, value in known.items()
    ]
    nodes.extend(proto.node)
    del proto.node[:]
    proto.node.extend(nodes)
    proto.doc_string = documentation
    return ir.serde.deserialize_function(proto)
