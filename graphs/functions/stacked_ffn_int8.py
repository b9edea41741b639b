"""The function `mbert.StackedFFNInt8`: a block's feed-forward networks and its output bottleneck, in 8 bits."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from graphs.functions import DOMAIN
from graphs.functions.dynamic_product import dynamic_product

NAME = "StackedFFNInt8"

DOCUMENTATION = """As StackedFFN, with weights of 8 bits:

    for each network i:  u = u + relu(u·weight1_i + bias1_i)·weight2_i
    y = residual + u·weight_out

Inputs; what is no weight is float:
    x           [tokens, intra]      the inner stream u
    residual    [tokens, hidden]     the outer stream
    weight1_i   [intra, intermediate], int8; scale1_i [intermediate]; bias1_i [intermediate],
    weight2_i   [intermediate, intra], int8; scale2_i [intra], for i = 0 to N − 1
    weight_out  [intra, hidden], int8; scale_out [hidden]
Output:
    y           [tokens, hidden]

A weight is the int8 number times its column's scale. Numerics: those of the body, which quantizes the input of each
product to 8 bits with one step for the whole tensor. A kernel may quantize finer, with a step for each row."""


def stacked_ffn_int8(networks: int, opset: int) -> ir.Function:
    """Returns the function for `networks` feed-forward networks, with a body of this opset."""
    names, lines, stream = ["x", "residual"], [], "x"
    for i in range(networks):
        names += [f"weight1_{i}", f"scale1_{i}", f"bias1_{i}", f"weight2_{i}", f"scale2_{i}"]
        lines += dynamic_product(stream, f"weight1_{i}", f"scale1_{i}", f"product_{i}")
        lines += [f"wide_{i} = Add(product_{i}, bias1_{i})", f"active_{i} = Relu(wide_{i})"]
        lines += dynamic_product(f"active_{i}", f"weight2_{i}", f"scale2_{i}", f"narrow_{i}")
        lines += [f"u_{i} = Add({stream}, narrow_{i})"]
        stream = f"u_{i}"
    lines += [*dynamic_product(stream, "weight_out", "scale_out", "out"), "y = Add(residual, out)"]
    text = (
        f'<domain: "{DOMAIN}", opset_import: ["" : {opset}]>\n'
        f"{NAME} ({', '.join([*names, 'weight_out', 'scale_out'])}) => (y)\n{{ {chr(10).join(lines)} }}"
    )
    proto = onnx.parser.parse_function(text)
    proto.doc_string = DOCUMENTATION
    return ir.serde.deserialize_function(proto)
