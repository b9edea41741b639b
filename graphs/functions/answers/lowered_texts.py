"""Parts of a text as rows of numbers that are equal where the parts are equal in lower case, as ONNX text.

Answers with the same text are one answer, whatever their case. A row has the code points of a part, in lower case,
three in each number. Lower case is that of Python's `str.lower`, except that the letters Σ, σ and ς are one (Python
chooses the lower case of Σ by the letters beside it).
"""

from __future__ import annotations

import functools

import numpy as np

POINTS = 0x110000
SIGMAS = "Σςσ"

# İ becomes two code points, i and a dot: one for each of its two bytes, so that a text never becomes longer.
DOTTED, DOTTED_BYTES, DOT = 0x130, 0xC4B0, 0x307

# Bits of a code point in a number. Code points count from 1 there; 0 is the end of a part.
BITS = 21


@functools.cache
def constants() -> dict[str, np.ndarray]:
    """Returns the constants that `lowered_texts` names: decoding of UTF-8 by its first byte, and lower case."""
    return {**_utf8_weights(), **_lower_case(), **_packing()}


def _utf8_weights() -> dict[str, np.ndarray]:
    """Returns what a code point is of its bytes: the sum of each one times its weight, and a bias.

    By the first byte. One that begins no character has the bias U+FFFD alone.
    """
    weights, bias = np.zeros((4, 256), np.int32), np.full(256, 0xFFFD, np.int32)
    for begin, end, length in ((0, 0x80, 1), (0xC2, 0xE0, 2), (0xE0, 0xF0, 3), (0xF0, 0xF5, 4)):
        for place in range(length):
            weights[place, begin:end] = 64 ** (length - 1 - place)
        markers = [{1: 0, 2: 0xC0, 3: 0xE0, 4: 0xF0}[length], *[0x80] * (length - 1)]
        bias[begin:end] = -sum(marker * 64 ** (length - 1 - place) for place, marker in enumerate(markers))
    return {**{f"weights_{place}": weights[place] for place in range(4)}, "utf8_bias": bias}


def _lower_case() -> dict[str, np.ndarray]:
    """Returns how far each code point is from its lower case, in blocks of which equal ones are stored once."""
    distance = np.zeros(POINTS, np.int32)
    for point in range(POINTS):
        lower = chr(point).lower()
        if len(lower) == 1:
            distance[point] = ord(lower) - point
    for letter in SIGMAS:
        distance[ord(letter)] = ord("σ") - ord(letter)
    distance[DOTTED] = ord("i") - DOTTED
    last = int(np.flatnonzero(distance)[-1])

    def blocked(shift: int) -> tuple[np.ndarray, np.ndarray, int]:
        size = 1 << shift
        count = last // size + 2  # the last block, of zeros, serves all code points above
        blocks, index = np.unique(distance[: count * size].reshape(count, size), axis=0, return_inverse=True)
        return index.reshape(-1), blocks.reshape(-1), size

    index, distances, size = min(map(blocked, range(3, 9)), key=lambda table: 2 * table[0].size + 4 * table[1].size)
    return {
        "block_size": np.array(size, np.int32),
        "last_block": np.array(len(index) - 1, np.int32),
        "block_index": index.astype(np.int16),
        "distances": distances.astype(np.int32),
        "last_point": np.array(POINTS - 1, np.int32),
    }


def _packing() -> dict[str, np.ndarray]:
    return {
        "no_bytes": np.zeros(4, np.int32),
        "no_points": np.zeros(3, np.int32),
        "int_zero": np.array(0, np.int32),
        "int_one": np.array(1, np.int32),
        "byte_values": np.array(256, np.int32),
        "quarter": np.array(64, np.int32),
        "continues": np.array(2, np.int32),
        "dotted_bytes": np.array(DOTTED_BYTES, np.int32),
        "dot": np.array(DOT + 1, np.int32),
        "second_place": np.array(1 << BITS),
        "third_place": np.array(1 << 2 * BITS),
        # Below this: a number of so many code points.
        "places": np.array([1, 1 << BITS, 1 << 2 * BITS, np.iinfo(np.int64).max]),
        "three": np.array([3]),
    }


def lowered_texts(text: str, begins: str, ends: str, output: str) -> str:
    """Returns ONNX text of the rows of parts of a text, int64 [parts, width], and its tables by the names above.

    Args:
        text: The bytes of UTF-8, uint8 [bytes].
        begins, ends: [start, end) of the parts in bytes, int64 [parts]; at least one part.
        output: The rows.
    """
    return f"""
    bytes = Cast <to = 6> ({text})
    byte_count = Shape({text})
    padded_bytes = Concat <axis = 0> (bytes, no_bytes)
    end_1 = Add(byte_count, one)
    end_2 = Add(byte_count, two)
    end_3 = Add(byte_count, three)
    bytes_1 = Slice(padded_bytes, one, end_1)
    bytes_2 = Slice(padded_bytes, two, end_2)
    bytes_3 = Slice(padded_bytes, three, end_3)
    weight_0 = Gather(weights_0, bytes)
    weight_1 = Gather(weights_1, bytes)
    weight_2 = Gather(weights_2, bytes)
    weight_3 = Gather(weights_3, bytes)
    part_0 = Mul(bytes, weight_0)
    part_1 = Mul(bytes_1, weight_1)
    part_2 = Mul(bytes_2, weight_2)
    part_3 = Mul(bytes_3, weight_3)
    bias = Gather(utf8_bias, bytes)
    sum_1 = Add(part_0, part_1)
    sum_2 = Add(sum_1, part_2)
    sum_3 = Add(sum_2, part_3)
    any_points = Add(sum_3, bias)
    positive_points = Max(any_points, int_zero)
    points = Min(positive_points, last_point)
    high = Div(points, block_size)
    block = Min(high, last_block)
    block_begin = Mul(high, block_size)
    place = Sub(points, block_begin)
    stored_block = Gather(block_index, block)
    wide_block = Cast <to = 6> (stored_block)
    stored_begin = Mul(wide_block, block_size)
    slot = Add(stored_begin, place)
    distance = Gather(distances, slot)
    lower_points = Add(points, distance)
    lower_numbers = Add(lower_points, int_one)
    quarters = Div(bytes, quarter)
    is_continuation = Equal(quarters, continues)
    first_numbers = Where(is_continuation, int_zero, lower_numbers)
    before_padded = Concat <axis = 0> (no_bytes, bytes)
    begin_before = Constant <value_ints = [3]> ()
    end_before = Add(byte_count, begin_before)
    bytes_before = Slice(before_padded, begin_before, end_before)
    high_bytes = Mul(bytes_before, byte_values)
    two_bytes = Add(high_bytes, bytes)
    is_dotted = Equal(two_bytes, dotted_bytes)
    numbers = Where(is_dotted, dot, first_numbers)
    is_kept = Greater(numbers, int_zero)
    nonzero_kept = NonZero(is_kept)
    kept_places = Reshape(nonzero_kept, minus_one)
    kept_numbers = Gather(numbers, kept_places)
    padded_numbers = Concat <axis = 0> (kept_numbers, no_points)
    wide_numbers = Cast <to = 7> (padded_numbers)
    kept_count = Shape(kept_numbers)
    stop_0 = Add(kept_count, one)
    stop_1 = Add(kept_count, two)
    stop_2 = Add(kept_count, three)
    numbers_0 = Slice(wide_numbers, zero, stop_0)
    numbers_1 = Slice(wide_numbers, one, stop_1)
    numbers_2 = Slice(wide_numbers, two, stop_2)
    second = Mul(numbers_1, second_place)
    third = Mul(numbers_2, third_place)
    first_and_second = Add(numbers_0, second)
    threes = Add(first_and_second, third)
    kept_flags = Cast <to = 7> (is_kept)
    flags_and_end = Concat <axis = 0> (kept_flags, zero)
    place_of_byte = CumSum <exclusive = 1> (flags_and_end, zero_scalar)
    begins_positive = Max({begins}, zero)
    safe_begins = Min(begins_positive, byte_count)
    ends_positive = Max({ends}, zero)
    safe_ends = Min(ends_positive, byte_count)
    part_begin = Gather(place_of_byte, safe_begins)
    part_end = Gather(place_of_byte, safe_ends)
    part_length = Sub(part_end, part_begin)
    longest_part = ReduceMax <keepdims = 0> (part_length)
    rounded_up = Add(longest_part, two)
    any_width = Div(rounded_up, three)
    width = Max(any_width, one)
    width_scalar = Squeeze(width)
    columns = Range(zero_scalar, width_scalar, one_scalar)
    column_places = Mul(columns, three)
    begin_column = Unsqueeze(part_begin, one)
    any_places = Add(begin_column, column_places)
    row_places = Min(any_places, kept_count)
    row_numbers = Gather(threes, row_places)
    length_column = Unsqueeze(part_length, one)
    any_left = Sub(length_column, column_places)
    not_negative = Max(any_left, zero)
    points_left = Min(not_negative, three)
    limit = Gather(places, points_left)
    {output} = Mod(row_numbers, limit)
"""
