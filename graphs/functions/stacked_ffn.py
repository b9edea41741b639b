"""The function `mbert.StackedFFN`: a block's feed-forward networks and its output bottleneck."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from graphs.functions import DOMAIN

NAME = "StackedFFN"

DOCUMENTATION = """N feed-forward networks on the inner stream, each with its residual, and the projection that is
added to the outer stream (MobileBERT, arXiv 2004.02984, figure 1 c):

    for each network i:  u = u + relu(u·weight1_i + bias1_i)·weight2_i
    y = residual + u·weight_out

Inputs, all of one type (float, float16 or double):
    x           [tokens, intra]      the inner stream u
    residual    [tokens, hidden]     the outer stream
    weight1_i   [intra, intermediate], bias1_i [intermediate], weight2_i [intermediate, intra], for i = 0 to N − 1
    weight_out  [intra, hidden]
Output:
    y           [tokens, hidden]

A function has a fixed number of inputs: a file carries the signature of its own N, 3·N + 3 inputs. Numerics: those of
the body, in the type of the inputs. NoNorm's scales and shifts are folded into the weights: none is left here."""


def stacked_ffn(networks: int, opset: int) -> ir.Function:
    """Returns the function for `networks` feed-forward networks, with a body of this opset."""
    weights = [name for i in range(networks) for name in (f"weight1_{i}", f"bias1_{i}", f"weight2_{i}")]
    lines, stream = [], "x"
    for i in range(networks):
        lines.append(f"wide_{i} = Gemm({stream}, weight1_{i}, bias1_{i})")
        lines.append(f"active_{i} = Relu(wide_{i})")
        lines.append(f"u_{i} = Gemm(active_{i}, weight2_{i}, {stream})")
        stream = f"u_{i}"
    lines.append(f"y = Gemm({stream}, weight_out, residual)")
    text = (
        f'<domain: "{DOMAIN}", opset_import: ["" : {opset}]>\n'
        f"{NAME} ({', '.join(['x', 'residual', *weights, 'weight_out'])}) => (y)\n{{ {chr(10).join(lines)} }}"
    )
    proto = onnx.parser.parse_function(text)
    proto.doc_string = DOCUMENTATION
    return ir.serde.deserialize_function(proto)
