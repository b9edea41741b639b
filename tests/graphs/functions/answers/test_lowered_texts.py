"""Parts of a text are equal rows where Python's lower case of them is equal."""

from __future__ import annotations

import numpy as np
from answer_functions import answered, random_text

from graphs.functions.answers.body import function_of
from graphs.functions.answers.lowered_texts import SIGMAS, constants, lowered_texts
from graphs.model.opsets import OLDEST_OPSET

# More than the last letter with a lower case, and a part of the code points above.
POINTS = [point for point in (*range(0x1F000), 0x1F600, 0x20000, 0x10FFFF) if not 0xD800 <= point < 0xE000]


def rows_of_parts(text: bytes, begins: list[int], ends: list[int]) -> np.ndarray:
    names = (["text", "begins", "ends"], ["rows"])
    body = lowered_texts("text", "begins", "ends", "rows")
    function = function_of("LoweredTexts", "", names, body, OLDEST_OPSET, constants())
    feed = {"text": np.frombuffer(text, np.uint8), "begins": np.array(begins), "ends": np.array(ends)}
    return answered(function, feed)["rows"]


def test_every_code_point_has_the_lower_case_of_python() -> None:
    letters = [chr(point) for point in POINTS]
    ends = np.cumsum([len(letter.encode()) for letter in letters]).tolist()
    rows = rows_of_parts("".join(letters).encode(), [0, *ends[:-1]], ends)
    lower = ["σ" if letter in SIGMAS else letter.lower() for letter in letters]
    expected = np.array([[ord(text[0]) + 1, ord(text[1]) + 1 if text[1:] else 0] for text in lower])
    np.testing.assert_array_equal(rows, expected[:, :1] + (expected[:, 1:] << 21))


def test_parts_of_any_length_are_equal_where_their_lower_case_is() -> None:
    rng = np.random.default_rng(5)
    text = random_text(rng, 60)
    places = np.cumsum([0, *(len(letter.encode()) for letter in text)])
    starts = rng.integers(0, len(text), 300)
    stops = np.minimum(starts + rng.integers(0, 9, 300), len(text))
    rows = rows_of_parts(text.encode(), places[starts].tolist(), places[stops].tolist())
    parts = [text[start:stop].lower() for start, stop in zip(starts, stops, strict=True)]
    numbers = {part: number for number, part in enumerate(dict.fromkeys(parts))}
    _, found = np.unique(rows, axis=0, return_inverse=True)
    pairs = {(numbers[part], row) for part, row in zip(parts, found.reshape(-1).tolist(), strict=True)}
    assert len(pairs) == len(numbers) == len({row for _, row in pairs})


def test_bytes_that_are_not_utf8_and_places_outside_are_read_safely() -> None:
    text = bytes([0xC4, 0xFF, 0xF4, 0xBF, 0xBF, 0xBF, 0xE0, 0x80, 0x41])
    rows = rows_of_parts(text, [0, -5, 8, 100], [9, 2**40, 9, 200])
    assert rows.shape[0] == 4
    assert rows[2, 0] == ord("a") + 1
    assert not rows[3].any()
    assert rows_of_parts(b"", [0], [0]).tolist() == [[0]]
