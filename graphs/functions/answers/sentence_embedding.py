"""The function `mbert.SentenceEmbedding`: the mean of a text's hidden states."""

from __future__ import annotations

import onnx_ir as ir

from graphs.functions.answers.body import function_of
from graphs.functions.answers.rows import OWNED, SEQUENCES, rows_of_texts

NAME = "SentenceEmbedding"

DOCUMENTATION = """The mean of a text's hidden states over its tokens, special tokens included and padding not{length}.
In a text of several windows each token counts once, with the state from the window that owns it; the special tokens of
each of its n windows have weight 1/n.

Inputs; integers are int64 or int32:
    last_hidden_state  [rows, seq, hidden]     of any floating-point type
    attention_mask     [rows, seq]             1 for tokens, 0 for padding
    {sequences}
    {owned}
Output:
    sentence_embedding [texts, hidden], float

Numerics: float. A text without a token has zeros."""

WEIGHTS = """
    zero_mask = CastLike(zero, attention_mask)
    real = Greater(attention_mask, zero_mask)
    zero_sequence = CastLike(zero, sequence_ids)
    outside = Less(sequence_ids, zero_sequence)
    special = And(real, outside)
    row_column = Unsqueeze(texts_of_rows, one)
    together = Equal(row_column, texts_of_rows)
    together_numbers = Cast <to = 1> (together)
    windows = ReduceSum(together_numbers, one)
    special_weight = Div(float_one, windows)
    special_weights = Where(special, special_weight, float_zero)
    weights = Where(owned, float_one, special_weights)
"""

MEAN = """
    wide = Cast <to = 1> (last_hidden_state)
    weights_rows = Unsqueeze(weights, one)
    sums_rows = MatMul(weights_rows, wide)
    sums = Squeeze(sums_rows, one)
    masses = ReduceSum(weights, one)
    selection = Cast <to = 1> (belongs)
    text_sums = MatMul(selection, sums)
    text_masses = MatMul(selection, masses)
    is_empty = Equal(text_masses, float_zero)
    divisor = Where(is_empty, float_one, text_masses)
"""

PLAIN = "sentence_embedding = Div(text_sums, divisor)"

NORMALIZED = """
    mean = Div(text_sums, divisor)
    lengths = ReduceL2(mean, one)
    is_zero = Equal(lengths, float_zero)
    length = Where(is_zero, float_one, lengths)
    sentence_embedding = Div(mean, length)
"""


def sentence_embedding(opset: int, *, normalize: bool) -> ir.Function:
    """Returns the function, with a body of this opset; with `normalize` vectors have length 1, zeros stay zeros."""
    body = rows_of_texts() + WEIGHTS + MEAN + (NORMALIZED if normalize else PLAIN)
    length = ", scaled to length 1" if normalize else ""
    documentation = DOCUMENTATION.format(length=length, sequences=SEQUENCES, owned=OWNED)
    inputs = ["last_hidden_state", "attention_mask", "sequence_ids", "owned", "row_texts"]
    return function_of(NAME, documentation, (inputs, ["sentence_embedding"]), body, opset)
