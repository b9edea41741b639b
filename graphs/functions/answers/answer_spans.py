"""The function `mbert.AnswerSpans`: the best answers to a question in a context."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graphs.functions.answers.body import function_of
from graphs.functions.answers.lowered_texts import constants, lowered_texts
from graphs.functions.answers.probabilities import softmax, wanted
from graphs.functions.answers.rows import SEQUENCES, rows_of_texts

NAME = "AnswerSpans"

# Spans of a window that are ranked: SPANS_PER_ANSWER · top_k + SPARE_SPANS, because spans within the same words become
# one answer. As in the runtime, and in transformers' pipeline.
SPANS_PER_ANSWER, SPARE_SPANS = 2, 10

# Below the logits of all tokens; the softmax of it is 0.
LOWEST = np.finfo(np.float64).min / 2

DOCUMENTATION = """The best answers to a question in a context, best first.

In each window of a context, softmax is computed over the context's tokens and the row's first token, if that is a
special one: it stands for "no answer". A span's score is the probability of its first token as a start times that of
its last as an end. Of the 2 · top_k + 10 best spans of at most `longest_answer` tokens, each is extended to whole
words, and the scores of spans with the same text, in any case, are added: an answer of the window. Of the answers of
all windows with the same text, the one with the highest score remains.

Inputs; integers are int64 or int32:
    start_logits       [rows, seq]             of any floating-point type
    end_logits         [rows, seq]
    word_offsets       [rows, seq, 2]          [start, end) in bytes of its text of the word that a token is part of
    {sequences}; the context is {context}
    row_texts          [rows]                  the number of the context that a row is a window of
    context            [bytes], uint8          the UTF-8 bytes of all contexts, one after the other
    context_splits     [texts + 1]             where each context begins in `context`, and the end of the last
    top_k              []                      the number of answers wanted, at least 1
    longest_answer     []                      the most tokens of an answer, at least 1
    allow_no_answer    [], bool                whether "no answer" is among the answers: an empty span
Outputs, with k = top_k, or less if all contexts have fewer answers, but at least 1:
    spans              [texts, k, 2], int64    [start, end) in bytes of the context; 0, 0: no answer
    scores             [texts, k], float       probabilities; −1 behind the last answer of a context that has fewer
    no_answer          [texts], float          the probability of "no answer": that of the window in which it is lowest

Numerics: float64 up to the last step. Of answers with equal scores, those of earlier windows come first, and in a
window those that begin first. Lower case is that of Python, except that all forms of the letter sigma are one."""

# The probabilities of start and end, 0 outside the context, and "no answer" of each row.
TOKENS = """
    sequence = Cast <to = 7> (sequence_ids)
    in_context = Equal(sequence, context_number)
    context_numbers = Cast <to = 6> (in_context)
    any_number = ReduceMax(context_numbers, one)
    has_context = Cast <to = 9> (any_number)
    first_sequence = Slice(sequence, zero, one, one)
    first_special = Less(first_sequence, zero)
    is_null = And(first_special, has_context)
    seq = Shape <start = 1, end = 2> (start_logits)
    seq_scalar = Squeeze(seq)
    positions = Range(zero_scalar, seq_scalar, one_scalar)
    is_first = Equal(positions, zero)
    null_token = And(is_null, is_first)
    takes_part = Or(in_context, null_token)
    all_starts = Cast <to = 11> (start_logits)
    all_ends = Cast <to = 11> (end_logits)
    own_starts = Where(takes_part, all_starts, lowest)
    own_ends = Where(takes_part, all_ends, lowest)
"""

NO_ANSWER = """
    null_start = Slice(starts, zero, one, one)
    null_end = Slice(stops, zero, one, one)
    null_product = Mul(null_start, null_end)
    null_or_none = Where(first_special, null_product, double_zero)
    null_of_row = Where(has_context, null_or_none, double_one)
    null_row = Squeeze(null_of_row, one)
    null_of_texts = Where(belongs, null_row, double_one)
    null_score = ReduceMin(null_of_texts, one)
    flat_null = Squeeze(null_score, one)
    no_answer = Cast <to = 1> (flat_null)
"""

# A band: row i has the probabilities of an end at tokens i to i + most − 1. The full square is mostly invalid.
SPANS = """
    some_width = Min(most_tokens, seq)
    band_width = Max(some_width, one)
    band_scalar = Squeeze(band_width)
    steps = Range(zero_scalar, band_scalar, one_scalar)
    position_column = Unsqueeze(positions, one)
    any_end = Add(position_column, steps)
    is_inside = Less(any_end, seq)
    last_position = Sub(seq, one)
    safe_end = Min(any_end, last_position)
    context_start = Where(in_context, starts, double_minus_one)
    context_end = Where(in_context, stops, double_minus_one)
    start_column = Unsqueeze(context_start, two)
    band = Gather <axis = 1> (context_end, safe_end)
    product = Mul(start_column, band)
    start_known = GreaterOrEqual(start_column, double_zero)
    end_known = GreaterOrEqual(band, double_zero)
    both_known = And(start_known, end_known)
    is_span = And(both_known, is_inside)
    span_scores = Where(is_span, product, double_minus_one)
    row_shape = Concat <axis = 0> (zero, minus_one)
    flat_scores = Reshape(span_scores, row_shape)
    doubled_k = Mul(most, spans_per_answer)
    ranked_k = Add(doubled_k, spare_spans)
    band_size = Mul(seq, band_width)
    ranked = Min(ranked_k, band_size)
    ranked_scores, ranked_places = TopK(flat_scores, ranked)
"""

# The spans of all rows, row by row, best first; at the end one that belongs to no text, so that none is never empty.
CANDIDATES = """
    score_list = Reshape(ranked_scores, minus_one)
    is_candidate = GreaterOrEqual(score_list, double_zero)
    nonzero_candidate = NonZero(is_candidate)
    candidate = Reshape(nonzero_candidate, minus_one)
    row = Div(candidate, ranked)
    place_list = Reshape(ranked_places, minus_one)
    band_place = Gather(place_list, candidate)
    begin_token = Div(band_place, band_width)
    band_begin = Mul(begin_token, band_width)
    length_less_one = Sub(band_place, band_begin)
    last_token = Add(begin_token, length_less_one)
    row_begin = Mul(row, seq)
    begin_index = Add(row_begin, begin_token)
    last_index = Add(row_begin, last_token)
    word_list = Cast <to = 7> (word_offsets)
    pair_shape = Concat <axis = 0> (minus_one, two)
    words = Reshape(word_list, pair_shape)
    begin_words = Gather(words, begin_index)
    last_words = Gather(words, last_index)
    begin_parts = Slice(begin_words, zero, one, one)
    last_parts = Slice(last_words, one, two, one)
    real_begins = Reshape(begin_parts, minus_one)
    real_ends = Reshape(last_parts, minus_one)
    real_texts = Gather(texts_of_rows, row)
    real_scores = Gather(score_list, candidate)
    begins = Concat <axis = 0> (real_begins, zero)
    ends = Concat <axis = 0> (real_ends, zero)
    rows = Concat <axis = 0> (row, minus_one)
    texts = Concat <axis = 0> (real_texts, minus_one)
    scores_of_spans = Concat <axis = 0> (real_scores, no_score)
    splits = Cast <to = 7> (context_splits)
    zero_and_splits = Concat <axis = 0> (zero, splits)
    split_count = Shape(splits)
    any_split = Add(texts, one)
    split = Min(any_split, split_count)
    text_begin = Gather(zero_and_splits, split)
    first_bytes = Add(text_begin, begins)
    end_bytes = Add(text_begin, ends)
"""

# Spans of a row with the same text are one answer, with the offsets of the first, which is the best.
WINDOW_ANSWERS = """
    row_column = Unsqueeze(rows, one)
    keys = Concat <axis = 1> (row_column, lowered)
    _answers, first_spans, answer_of_span, _counts = Unique <axis = 0, sorted = 0> (keys)
    no_sums = Mul(first_spans, zero)
    double_sums = Cast <to = 11> (no_sums)
    sums = ScatterElements <axis = 0, reduction = "add"> (double_sums, answer_of_span, scores_of_spans)
    answer_count = Shape(first_spans)
    _sorted_sums, by_score = TopK(sums, answer_count)
    answer_rows = Gather(rows, first_spans)
    rows_by_score = Gather(answer_rows, by_score)
    _sorted_rows, by_row = TopK <largest = 0> (rows_by_score, answer_count)
    order = Gather(by_score, by_row)
    span_of_answer = Gather(first_spans, order)
    answer_scores = Gather(sums, order)
    answer_texts = Gather(texts, span_of_answer)
    answer_begins = Gather(begins, span_of_answer)
    answer_ends = Gather(ends, span_of_answer)
    answer_lowered = Gather(lowered, span_of_answer)
"""

# Answers of a context with the same text: the best remains, in the place of the first.
MERGED = """
    text_of_answer = Unsqueeze(answer_texts, one)
    text_keys = Concat <axis = 1> (text_of_answer, answer_lowered)
    _merged, first_answers, merged_of_answer, _merged_counts = Unique <axis = 0, sorted = 0> (text_keys)
    merged_zeros = Mul(first_answers, zero)
    merged_minus_ones = Sub(merged_zeros, one)
    lowest_scores = Cast <to = 11> (merged_minus_ones)
    merged_scores = ScatterElements <axis = 0, reduction = "max"> (lowest_scores, merged_of_answer, answer_scores)
    best_of_answer = Gather(merged_scores, merged_of_answer)
    is_best = Equal(answer_scores, best_of_answer)
    count_scalar = Squeeze(answer_count)
    answer_numbers = Range(zero_scalar, count_scalar, one_scalar)
    best_numbers = Where(is_best, answer_numbers, answer_count)
    no_numbers = Add(merged_zeros, answer_count)
    best_answers = ScatterElements <axis = 0, reduction = "min"> (no_numbers, merged_of_answer, best_numbers)
    merged_texts = Gather(answer_texts, best_answers)
    merged_begins = Gather(answer_begins, best_answers)
    merged_ends = Gather(answer_ends, best_answers)
    of_text = Equal(text_column, merged_texts)
    text_scores = Where(of_text, merged_scores, double_minus_one)
"""

RANKING = """
    empty_score = Where(allow_no_answer, null_score, double_minus_one)
    all_scores = Concat <axis = 1> (text_scores, empty_score)
    all_begins = Concat <axis = 0> (merged_begins, zero)
    all_ends_of_answers = Concat <axis = 0> (merged_ends, zero)
    is_answer = GreaterOrEqual(all_scores, double_zero)
    answer_flags = Cast <to = 7> (is_answer)
    answers_of_text = ReduceSum(answer_flags, one)
    counts_and_one = Concat <axis = 0> (answers_of_text, one_by_one)
    most_answers = ReduceMax <keepdims = 0> (counts_and_one)
    answers_flat = Reshape(most_answers, one)
    k = Min(most, answers_flat)
    best_scores, best_places = TopK(all_scores, k)
    scores = Cast <to = 1> (best_scores)
    is_found = GreaterOrEqual(best_scores, double_zero)
    any_begins = Gather(all_begins, best_places)
    any_ends = Gather(all_ends_of_answers, best_places)
    found_begins = Where(is_found, any_begins, zero)
    found_ends = Where(is_found, any_ends, zero)
    begin_values = Unsqueeze(found_begins, two)
    end_values = Unsqueeze(found_ends, two)
    spans = Concat <axis = 2> (begin_values, end_values)
"""


def answer_spans(opset: int, context: int = 1) -> ir.Function:
    """Returns the function, with a body of this opset.

    Args:
        opset: The opset of the body.
        context: The number of the context in `sequence_ids`: 1 behind the question, 0 before it.
    """
    body = TOKENS + softmax("own_starts", "starts") + softmax("own_ends", "stops") + rows_of_texts()
    body += NO_ANSWER + wanted("top_k", "most") + wanted("longest_answer", "most_tokens") + SPANS + CANDIDATES
    body += lowered_texts("context", "first_bytes", "end_bytes", "lowered") + WINDOW_ANSWERS + MERGED + RANKING
    own = {
        "context_number": np.array(context, np.int64),
        "lowest": np.array(LOWEST),
        "double_zero": np.array(0.0),
        "no_score": np.array([-1.0]),
        "spans_per_answer": np.array([SPANS_PER_ANSWER]),
        "spare_spans": np.array([SPARE_SPANS]),
        "one_by_one": np.array([[1]]),
    }
    inputs = ["start_logits", "end_logits", "word_offsets", "sequence_ids", "row_texts", "context", "context_splits"]
    inputs += ["top_k", "longest_answer", "allow_no_answer"]
    documentation = DOCUMENTATION.format(sequences=SEQUENCES, context=context)
    return function_of(NAME, documentation, (inputs, ["spans", "scores", "no_answer"]), body, opset, own | constants())
