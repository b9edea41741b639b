"""The functions `mbert.Encoder`, `mbert.EncoderInt8` and `mbert.EncoderFloat16`: consecutive layers as one operator."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
import onnx_ir as ir

from graphs.functions import DOMAIN, VERSION
from graphs.functions.bottleneck_attention_int8 import NAME as ATTENTION_INT8

NAME = "Encoder"
INT8, FLOAT16 = f"{NAME}Int8", f"{NAME}Float16"
NAMES = (NAME, INT8, FLOAT16)

# The inputs of a BottleneckAttention and of a StackedFFN that are no weights.
ATTENTION_STREAMS, FFN_STREAMS = 3, 2

TYPES = {
    NAME: "all but `heads` are float",
    INT8: "what is neither a weight of 8 bits nor `heads` is float",
    FLOAT16: "all but `heads` are float16",
}

DOCUMENTATION = """Consecutive layers of MobileBERT (arXiv 2004.02984, figure 1 c) as one operator:

    for each layer i:  u = {attention}(x, mask, heads, its weights)
                       x = {ffn}(u, x, its weights)
    y = x

Where the attribute `factors` is 1 for a layer, its attention reads x·factor_i in place of x.

Attributes:
    layers      the number of layers
    networks    the number of feed-forward networks of each layer
    factors     for each layer 1 if it has the input factor_i, else 0
Inputs; {types}:
    x             [tokens, hidden]     the outer stream, tokens = batch · seq
    mask          [batch, 1, 1, seq]   added to the scores: 0 for tokens, half of the type's lowest number for padding
    heads         [4], int64           the shape [batch, seq, heads, head size], with −1 for one of them
    and for each layer i in order:
    factor_i      [hidden]             only where `factors` is 1: the vector that the attention's input is multiplied by
{weights}
Output:
    y             [tokens, hidden]

A function has a fixed number of inputs: a file carries a signature for each combination of the attributes, as overloads
where there are several. Numerics: those of the body. A kernel may write 0 to the rows of padding at the end of a
sequence, which no token reads."""

# The shapes of the weights of layer i, with its network j.
SHAPES = {
    "weight_in": "[hidden, 3 · intra]",
    "scale_in": "[3 · intra]",
    "bias_in": "[3 · intra]",
    "weight_qk": "[intra, 2 · intra]",
    "scale_qk": "[2 · intra]",
    "bias_qk": "[2 · intra]",
    "weight_out": "[intra, intra]",
    "scale_out": "[intra]",
    "weight1": "[intra, intermediate]",
    "scale1": "[intermediate]",
    "bias1": "[intermediate]",
    "weight2": "[intermediate, intra]",
    "scale2": "[intra]",
    "weight_up": "[intra, hidden]",
    "scale_up": "[hidden]",
}


def encoder(
    name: str, attention: ir.Function, ffn: ir.Function, factors: Sequence[int], overload: str = ""
) -> ir.Function:
    """Returns the function of one of `NAMES` for layers that call these two functions.

    Args:
        name: The operator.
        attention: A BottleneckAttention, or BottleneckAttentionInt8 for EncoderInt8. Its opset is that of the result.
        ffn: A StackedFFN, or StackedFFNInt8 for EncoderInt8.
        factors: For each layer 1 if its attention reads x times a vector, else 0.
        overload: Distinguishes functions of one name.
    """
    inputs, lines, stream = ["x", "mask", "heads"], list[str](), "x"
    for layer, factor in enumerate(factors):
        read = stream
        if factor:
            inputs.append(f"factor_{layer}")
            read = f"scaled_{layer}"
            lines.append(f"{read} = Mul({stream}, factor_{layer})")
        attention_weights = [f"{weight}_{layer}" for weight in _weights(attention, ATTENTION_STREAMS)]
        ffn_weights = [_of_layer(weight, str(layer)) for weight in _weights(ffn, FFN_STREAMS)]
        inputs += [*attention_weights, *ffn_weights]
        lines.append(_call(f"inner_{layer}", attention, [read, "mask", "heads", *attention_weights]))
        output = "y" if layer == len(factors) - 1 else f"x_{layer}"
        lines.append(_call(output, ffn, [f"inner_{layer}", stream, *ffn_weights]))
        stream = output
    opset = attention.opset_imports[""]
    text = (
        f'<domain: "{DOMAIN}", opset_import: ["" : {opset}, "{DOMAIN}" : {VERSION}]>\n'
        f"{name} <layers, networks, factors> ({', '.join(inputs)}) => (y)\n{{ {chr(10).join(lines)} }}"
    )
    proto = onnx.parser.parse_function(text)
    proto.overload = overload
    proto.doc_string = DOCUMENTATION.format(
        attention=attention.name, ffn=ffn.name, types=TYPES[name], weights=_documented(attention, ffn)
    )
    return ir.serde.deserialize_function(proto)


def networks_of(ffn: ir.Function) -> int:
    """Returns the number of feed-forward networks of a StackedFFN or StackedFFNInt8."""
    return sum((value.name or "").startswith("weight1_") for value in ffn.inputs)


def _weights(function: ir.Function, streams: int) -> list[str]:
    return [value.name or "" for value in function.inputs][streams:]


def _of_layer(weight: str, layer: str) -> str:
    """Returns the name of a StackedFFN's weight in a layer: `weight1_3_0` for its `weight1_0`, `weight_up_3`."""
    kind, _, network = weight.partition("_")
    return f"{kind}_up_{layer}" if network == "out" else f"{kind}_{layer}_{network}"


def _call(output: str, function: ir.Function, inputs: Sequence[str]) -> str:
    return f"{output} = {DOMAIN}.{function.name} ({', '.join(inputs)})"


def _documented(attention: ir.Function, ffn: ir.Function) -> str:
    """Returns the documentation of a layer's weights, a line each, in order."""
    names = [f"{weight}_i" for weight in _weights(attention, ATTENTION_STREAMS)]
    networks = [weight.replace("_0", "_j") for weight in _weights(ffn, FFN_STREAMS) if weight.endswith(("_0", "_out"))]
    lines = list[str]()
    for name in names + [_of_layer(weight, "i") for weight in networks]:
        shape = SHAPES[name.partition("_i")[0] if name.endswith("_i_j") else name.removesuffix("_i")]
        bits = ", int8" if name.startswith("weight") and attention.name == ATTENTION_INT8 else ""
        each = ", for each network j" if name.endswith("_j") else ""
        lines.append(f"    {name:<14}{shape}{bits}{each}")
    return "\n".join(lines)
