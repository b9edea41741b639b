"""The function `mbert.BottleneckAttention`: a block's bottlenecks and attention, from the outer to the inner stream."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from graphs.functions import DOMAIN

NAME = "BottleneckAttention"

DOCUMENTATION = """The bottlenecks and multi-head attention of a block (MobileBERT, arXiv 2004.02984, figure 1 c):

    inner | shared | value = x·weight_in + bias_in
    query | key            = shared·weight_qk + bias_qk
    y = inner + concatenated heads of softmax(query·keyᵀ + mask)·value, times weight_out

Inputs; all but `heads` are of one type (float, float16 or double):
    x           [tokens, hidden]     the outer stream, tokens = batch · seq
    mask        [batch, 1, 1, seq]   added to the scores: 0 for tokens, half of the type's lowest number for padding
    heads       [4], int64           the shape [batch, seq, heads, head size], with −1 for one of them
    weight_in   [hidden, 3 · intra], bias_in [3 · intra]
    weight_qk   [intra, 2 · intra], bias_qk [2 · intra]; 1/√(head size) is in the query's half
    weight_out  [intra, intra]
Output:
    y           [tokens, intra]

Numerics: those of the body, in the type of the inputs; softmax subtracts the row's maximum. The key has no bias, since
softmax cancels it, and the value's is in the shift of what follows."""

BODY = """
    projected = Gemm(x, weight_in, bias_in)
    inner, shared, value = Split <axis = -1, num_outputs = 3> (projected)
    query_key = Gemm(shared, weight_qk, bias_qk)
    query, key = Split <axis = -1, num_outputs = 2> (query_key)
    query_heads = Reshape(query, heads)
    queries = Transpose <perm = [0, 2, 1, 3]> (query_heads)
    key_heads = Reshape(key, heads)
    keys = Transpose <perm = [0, 2, 3, 1]> (key_heads)
    scores = MatMul(queries, keys)
    masked = Add(scores, mask)
    weights = Softmax <axis = -1> (masked)
    value_heads = Reshape(value, heads)
    values = Transpose <perm = [0, 2, 1, 3]> (value_heads)
    context = MatMul(weights, values)
    context_heads = Transpose <perm = [0, 2, 1, 3]> (context)
    width = Shape(inner)
    attended = Reshape(context_heads, width)
    y = Gemm(attended, weight_out, inner)
"""


def bottleneck_attention(opset: int, width: int) -> ir.Function:
    """Returns the function with a body of this opset, for an inner stream of this width."""
    inputs = "x, mask, heads, weight_in, bias_in, weight_qk, bias_qk, weight_out"
    body = BODY.replace("width = Shape(inner)", f"width = Constant <value_ints = [-1, {width}]> ()")
    text = f'<domain: "{DOMAIN}", opset_import: ["" : {opset}]>\n{NAME} ({inputs}) => (y)\n{{{body}}}'
    proto = onnx.parser.parse_function(text)
    proto.doc_string = DOCUMENTATION
    return ir.serde.deserialize_function(proto)
