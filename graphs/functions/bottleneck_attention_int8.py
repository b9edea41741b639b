"""The function `mbert.BottleneckAttentionInt8`: a block's bottlenecks and attention, with 8-bit weights."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from graphs.functions import DOMAIN
from graphs.functions.bottleneck_attention import BODY as FLOAT_BODY
from graphs.functions.dynamic_product import dynamic_product

NAME = "BottleneckAttentionInt8"

DOCUMENTATION = """As BottleneckAttention, with weights of 8 bits:

    inner | shared | value = x·weight_in + bias_in
    query | key            = shared·weight_qk + bias_qk
    y = inner + concatenated heads of softmax(query·keyᵀ + mask)·value, times weight_out

Inputs; what is neither a weight nor `heads` is float:
    x           [tokens, hidden]     the outer stream, tokens = batch · seq
    mask        [batch, 1, 1, seq]   added to the scores: 0 for tokens, half of the type's lowest number for padding
    heads       [4], int64           the shape [batch, seq, heads, head size], with −1 for one of them
    weight_in   [hidden, 3 · intra], int8; scale_in [3 · intra]; bias_in [3 · intra]
    weight_qk   [intra, 2 · intra], int8; scale_qk [2 · intra]; bias_qk [2 · intra]
    weight_out  [intra, intra], int8; scale_out [intra]
Output:
    y           [tokens, intra]

A weight is the int8 number times its column's scale. Numerics: those of the body, which quantizes the input of each
product with a weight to 8 bits, with one step for the whole tensor, and computes queries times keys and softmax times
values in float. A kernel may quantize finer (with a step for each row)."""


def bottleneck_attention_int8(opset: int, width: int) -> ir.Function:
    """Returns the function with a body of this opset, for an inner stream of this width."""
    inputs = (
        "x, mask, heads, weight_in, scale_in, bias_in, weight_qk, scale_qk, bias_qk, weight_out, scale_out"  # as above
    )
    products = {
        "projected = Gemm(x, weight_in, bias_in)": [
            *dynamic_product("x", "weight_in", "scale_in", "product_in"),
            "projected = Add(product_in, bias_in)",
        ],
        "query_key = Gemm(shared, weight_qk, bias_qk)": [
            *dynamic_product("shared", "weight_qk", "scale_qk", "product_qk"),
            "query_key = Add(product_qk, bias_qk)",
        ],
        "y = Gemm(attended, weight_out, inner)": [
            *dynamic_product("attended", "weight_out", "scale_out", "product_out"),
            "y = Add(inner, product_out)",
        ],
    }
    body = FLOAT_BODY.replace("width = Shape(inner)", f"width = Constant <value_ints = [-1, {width}]> ()")
    for product, lines in products.items():
        assert product in body
        body = body.replace(product, "\n    ".join(lines))
    text = f'<domain: "{DOMAIN}", opset_import: ["" : {opset}]>\n{NAME} ({inputs}) => (y)\n{{{body}}}'
    proto = onnx.parser.parse_function(text)
    proto.doc_string = DOCUMENTATION
    return ir.serde.deserialize_function(proto)
