"""Rows of tokens, as ONNX text: the texts that they belong to, and the tokens that are chosen from them.

A long text is read in overlapping windows, a row each. A token in two windows is *owned* by the one in which it has
more context, so each token of a text is owned once.
"""

from __future__ import annotations

# Inputs as `mbert.Tokenize` and its relatives return them.
OWNED = """owned              [rows, seq], bool       whether a token belongs to the text, and this row has the most
                                               context for it: each token of a text is owned by one row
    row_texts          [rows]                  the number of the text that a row is a part of"""
OFFSETS = "offsets            [rows, seq, 2]          [start, end) of each token in bytes of its text"
SEQUENCES = "sequence_ids       [rows, seq]             0: token of the text, 1: of its pair, −1: special or padding"


def owned_tokens(owned: str = "owned") -> str:
    """Returns ONNX text of the owned tokens of all rows, in order: `found` [n], their places in [rows · seq].

    Also `found_texts` [n], the text of each, and `found_spans` [n, 2], its offsets. The text reads the inputs
    `row_texts` and `offsets`.

    Args:
        owned: The tokens, bool [rows, seq].
    """
    return f"""
    flat_owned = Reshape({owned}, minus_one)
    nonzero_owned = NonZero(flat_owned)
    found = Reshape(nonzero_owned, minus_one)
    seq = Shape <start = 1, end = 2> ({owned})
    found_rows = Div(found, seq)
    texts_of_rows = Cast <to = 7> (row_texts)
    found_texts = Gather(texts_of_rows, found_rows)
    pair_shape = Concat <axis = 0> (minus_one, two)
    long_offsets = Cast <to = 7> (offsets)
    flat_offsets = Reshape(long_offsets, pair_shape)
    found_spans = Gather(flat_offsets, found)
"""


def rows_of_texts() -> str:
    """Returns ONNX text of `belongs`, bool [texts, rows]: whether a row is a part of a text. It reads `row_texts`."""
    return """
    texts_of_rows = Cast <to = 7> (row_texts)
    texts_or_none = Concat <axis = 0> (texts_of_rows, minus_one)
    last_text = ReduceMax <keepdims = 0> (texts_or_none)
    text_count = Add(last_text, one_scalar)
    text_numbers = Range(zero_scalar, text_count, one_scalar)
    text_column = Unsqueeze(text_numbers, one)
    belongs = Equal(text_column, texts_of_rows)
"""


def runs(keys: str, begins: str) -> str:
    """Returns ONNX text of runs of equal rows: `first` and `last` [runs], and `run` [n], the number of each row's run.

    Also `nothing` and `no_score`, zeros [runs] of int64 and of float64. All are empty where n is 0.

    Args:
        keys: The rows, int64 [n, width].
        begins: Which rows begin a run even if they equal the one before, bool [n].
    """
    return f"""
    keys_before = Slice({keys}, zero, minus_one)
    keys_after = Slice({keys}, one, end)
    same_parts = Equal(keys_before, keys_after)
    same_numbers = Cast <to = 6> (same_parts)
    same_all = ReduceMin <keepdims = 0> (same_numbers, one)
    same = Cast <to = 9> (same_all)
    other = Not(same)
    later_begins = Slice({begins}, one, end)
    changed = Or(other, later_begins)
    n = Shape <end = 1> ({keys})
    changed_or_begun = Concat <axis = 0> (true, changed)
    is_first = Slice(changed_or_begun, zero, n)
    changed_or_ended = Concat <axis = 0> (changed, true)
    is_last = Slice(changed_or_ended, zero, n)
    nonzero_first = NonZero(is_first)
    first = Reshape(nonzero_first, minus_one)
    nonzero_last = NonZero(is_last)
    last = Reshape(nonzero_last, minus_one)
    first_numbers = Cast <to = 7> (is_first)
    runs_so_far = CumSum(first_numbers, zero_scalar)
    run = Sub(runs_so_far, one)
    nothing = Mul(first, zero)
    no_score = Cast <to = 11> (nothing)
"""


def spans_of_runs(spans: str, first: str, last: str, output: str) -> str:
    """Returns ONNX text of the spans of runs, [runs, 2]: from the start of the first entry to the end of the last."""
    return f"""
    first_spans = Gather({spans}, {first})
    last_spans = Gather({spans}, {last})
    span_starts = Slice(first_spans, zero, one, one)
    span_ends = Slice(last_spans, one, two, one)
    {output} = Concat <axis = 1> (span_starts, span_ends)
"""
