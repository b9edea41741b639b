"""The functions `mbert.Embeddings`, `mbert.EmbeddingsInt8` and `mbert.EmbeddingsFloat16`: ids to the outer stream."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from graphs.functions import DOMAIN
from graphs.functions.dynamic_product import dynamic_product

NAME = "Embeddings"
INT8, FLOAT16 = f"{NAME}Int8", f"{NAME}Float16"
NAMES = (NAME, INT8, FLOAT16)

TYPES = {
    NAME: "all but the ids are float",
    INT8: "what is neither an id nor of 8 bits is float",
    FLOAT16: "all but the ids are float16",
}

DOCUMENTATION = """The embeddings of a MobileBERT (arXiv 2004.02984, section 3.1): the word embeddings of each
token and its neighbours (0 beyond the ends of the sequence), projected, plus those of its token type and its position:

    y = (words[next] | words[this] | words[previous])·weight + types[token_type] + positions[place in the sequence]

Inputs; {types}:
    input_ids       [batch, seq], int64
    token_type_ids  [batch, seq], int64
    {tables}
    positions       [longest, hidden]
    types           [token types, hidden]
    {weights}
Output:
    y               [batch · seq, hidden]

Numerics: those of the body{quantization}."""

TABLES = "words           [vocabulary, embedding]"
TABLES_INT8 = f"{TABLES}, int8\n    words_scale     [vocabulary, 1]"
WEIGHTS = "weight          [3 · embedding, hidden]"
WEIGHTS_INT8 = f"{WEIGHTS}, int8\n    scale           [hidden]"
QUANTIZATION = """, which quantizes the input of the product with `weight` to 8 bits, with one step for
the whole tensor. A kernel may quantize finer, with a step for each row. An 8-bit number times the scale of its word, or
of its column of `weight`, is its value"""

BODY = """
    padded = Pad(looked_up, pads)
    following = Slice(padded, two, end, one, one)
    previous = Slice(padded, zero, minus_two, one, one)
    trigrams = Concat <axis = 2> (following, looked_up, previous)
    rows = Reshape(trigrams, wide)
    length = Shape <start = 1, end = 2> (input_ids)
    places = Slice(positions, zero, length, zero, one)
    segments = Gather(types, token_type_ids)
    located = Add(segments, places)
    added = Reshape(located, narrow)
"""


def embeddings(name: str, opset: int, embedding: int, hidden: int) -> ir.Function:
    """Returns the function of one of `NAMES`, with a body of this opset.

    Args:
        name: The operator.
        opset: The opset of the body.
        embedding: The width of a word embedding.
        hidden: The width of the outer stream.
    """
    constants = {
        "pads": [0, 1, 0, 0, 1, 0],
        "zero": [0],
        "one": [1],
        "two": [2],
        "minus_two": [-2],
        "end": [2**63 - 1],
        "wide": [-1, 3 * embedding],
        "narrow": [-1, hidden],
    }
    # As tensors: onnxruntime before 1.25 infers no shape from `value_ints`, and refuses a Pad by such numbers.
    lines = [
        f"{key} = Constant <value = int64[{len(numbers)}] {{{', '.join(map(str, numbers))}}}> ()"
        for key, numbers in constants.items()
    ]
    tables, weights, quantization = TABLES, WEIGHTS, ""
    inputs = ["input_ids", "token_type_ids", "words", "positions", "types", "weight"]
    if name == INT8:
        tables, weights, quantization = TABLES_INT8, WEIGHTS_INT8, QUANTIZATION
        inputs = [*inputs[:3], "words_scale", *inputs[3:], "scale"]
        lines += [
            "numbers = Gather(words, input_ids)",
            "whole = Cast <to = 1> (numbers)",
            "steps = Gather(words_scale, input_ids)",
            "looked_up = Mul(whole, steps)",
            BODY,
            *dynamic_product("rows", "weight", "scale", "product"),
            "y = Add(product, added)",
        ]
    else:
        lines += ["looked_up = Gather(words, input_ids)", BODY, "y = Gemm(rows, weight, added)"]
    text = (
        f'<domain: "{DOMAIN}", opset_import: ["" : {opset}]>\n'
        f"{name} ({', '.join(inputs)}) => (y)\n{{ {chr(10).join(lines)} }}"
    )
    proto = onnx.parser.parse_function(text)
    proto.doc_string = DOCUMENTATION.format(
        types=TYPES[name], tables=tables, weights=weights, quantization=quantization
    )
    return ir.serde.deserialize_function(proto)
