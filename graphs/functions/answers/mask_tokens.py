"""The function `mbert.MaskTokens`: the best tokens for each mask of a text."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphs.functions.answers.body import function_of
from graphs.functions.answers.probabilities import softmax, wanted
from graphs.functions.answers.rows import OFFSETS, OWNED, owned_tokens

NAME = "MaskTokens"

DOCUMENTATION = """The best tokens for each mask, with their probabilities, best first; equal ones in the order of the
vocabulary. A mask in two windows of a text is filled in the window that owns it.

Inputs; integers are int64 or int32:
    logits             [rows, seq, vocab]      of any floating-point type
    input_ids          [rows, seq]             the tokens; a mask has the id {mask}
    {offsets}
    {owned}
    top_k              []                      the number of tokens wanted; at least 1; more than there are: all
Outputs, with an entry for each mask of all texts, in order; masks may be 0; k = top_k, at most vocab:
    tokens             [masks, k], int64       ids of tokens
    scores             [masks, k], float       their probabilities
    spans              [masks, 2], int64       [start, end) of the mask in bytes of the text
    texts              [masks], int64          the number of the text

Numerics: softmax in float64 up to the last step."""

MASKS = """
    long_ids = Cast <to = 7> (input_ids)
    is_mask = Equal(long_ids, mask)
    owned_mask = And(is_mask, owned)
"""

LOGITS = """
    vocab = Shape <start = 2, end = 3> (logits)
    rows_shape = Concat <axis = 0> (minus_one, vocab)
    flat_logits = Reshape(logits, rows_shape)
    mask_logits = Gather(flat_logits, found)
"""

# A row is added and taken away: onnxruntime's TopK of no rows divides by zero, which ends a run in WebAssembly.
OUTPUTS = """
    some_rows = Pad(wide, one_row)
    best_of_rows, tokens_of_rows = TopK(some_rows, k)
    best = Slice(best_of_rows, zero, minus_one, zero)
    tokens = Slice(tokens_of_rows, zero, minus_one, zero)
    scores = Cast <to = 1> (best)
    spans = Identity(found_spans)
    texts = Identity(found_texts)
"""


def mask_tokens(mask_id: int, opset: int) -> ir.Function:
    """Returns the function for a vocabulary's mask token, with a body of this opset."""
    body = (
        MASKS
        + owned_tokens("owned_mask")
        + LOGITS
        + softmax("mask_logits", "wide")
        + wanted("top_k", "k", most="vocab")
    )
    inputs = ["logits", "input_ids", "offsets", "owned", "row_texts", "top_k"]
    documentation = DOCUMENTATION.format(mask=mask_id, offsets=OFFSETS, owned=OWNED)
    constants = {"mask": np.array(mask_id, np.int64), "one_row": np.array([0, 0, 1, 0])}
    return function_of(
        NAME, documentation, (inputs, ["tokens", "scores", "spans", "texts"]), body + OUTPUTS, opset, constants
    )
