"""The function `mbert.WordLabels`: the best label of each token or word of a text, with its probability."""

from __future__ import annotations

from typing import Literal

import onnx_ir as ir

from graphs.functions.answers.body import function_of
from graphs.functions.answers.probabilities import softmax
from graphs.functions.answers.rows import OFFSETS, OWNED, owned_tokens, runs, spans_of_runs

NAME = "WordLabels"

Unit = Literal["token", "first", "max"]

UNITS: dict[Unit, str] = {
    "token": "Each token has a label",
    "first": "Each word has one label, that of its first token",
    "max": "Each word has one label, that of its token with the highest probability, of equal ones the first",
}

DOCUMENTATION = """The labels of a token classification, with their probabilities.
{unit}.
A token in two windows of a text has the label from the window that owns it.

Inputs; integers are int64 or int32:
    logits             [rows, seq, labels]     of any floating-point type
    {offsets}{words}
    {owned}
Outputs, with an entry for each {entry} of all texts, in order; n may be 0:
    labels             [n], int64              the number of the label; of equal probabilities, the first
    scores             [n], float              its probability
    spans              [n, 2], int64           [start, end) in bytes of the text
    texts              [n], int64              the number of the text

Numerics: softmax in float64 up to the last step."""

WORDS = """
    word_offsets       [rows, seq, 2]          the same for the word that the token is part of"""

LABELS = """
    best_labels = ArgMax <axis = -1, keepdims = 0> (wide)
    flat_labels = Reshape(best_labels, minus_one)
    found_labels = Gather(flat_labels, found)
    best_scores = ReduceMax <keepdims = 0> (wide, minus_one)
    flat_scores = Reshape(best_scores, minus_one)
    found_scores = Gather(flat_scores, found)
"""

# Consecutive tokens of one text with the same word.
WORD_KEYS = """
    long_words = Cast <to = 7> (word_offsets)
    flat_words = Reshape(long_words, pair_shape)
    found_words = Gather(flat_words, found)
    text_column = Unsqueeze(found_texts, one)
    keys = Concat <axis = 1> (text_column, found_words)
    found_count = Shape(found)
    never = Expand(false, found_count)
"""

# For each word the first of its tokens with the highest probability.
BEST_TOKENS = """
    highest = ScatterElements <axis = 0, reduction = "max"> (no_score, run, found_scores)
    highest_of_token = Gather(highest, run)
    is_highest = Equal(found_scores, highest_of_token)
    token_count = Squeeze(n)
    token_numbers = Range(zero_scalar, token_count, one_scalar)
    candidates = Where(is_highest, token_numbers, n)
    no_token = Add(nothing, n)
    best_tokens = ScatterElements <axis = 0, reduction = "min"> (no_token, run, candidates)
"""

TOKENS = """
    labels = Identity(found_labels)
    scores = Cast <to = 1> (found_scores)
    spans = Identity(found_spans)
    texts = Identity(found_texts)
"""

CHOSEN = """
    labels = Gather(found_labels, {chosen})
    wide_scores = Gather(found_scores, {chosen})
    scores = Cast <to = 1> (wide_scores)
    texts = Gather(found_texts, first)
"""


def word_labels(unit: Unit, opset: int) -> ir.Function:
    """Returns the function, with a body of this opset.

    Args:
        unit: What has a label: each `token`, or each word, with the label of its `first` token or of that with the
            highest probability, `max`.
        opset: The opset of the body.
    """
    words, entry = (WORDS, "word") if unit != "token" else ("", "token")
    body = softmax("logits", "wide") + owned_tokens() + LABELS
    if unit == "token":
        body += TOKENS
    else:
        body += WORD_KEYS + runs("keys", "never")
        if unit == "max":
            body += BEST_TOKENS
        body += CHOSEN.format(chosen="best_tokens" if unit == "max" else "first")
        body += spans_of_runs("found_spans", "first", "last", "spans")
    inputs = ["logits", "offsets", *(["word_offsets"] if words else []), "owned", "row_texts"]
    documentation = DOCUMENTATION.format(unit=UNITS[unit], words=words, offsets=OFFSETS, owned=OWNED, entry=entry)
    return function_of(NAME, documentation, (inputs, ["labels", "scores", "spans", "texts"]), body, opset)
