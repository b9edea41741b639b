"""Lists of names in messages."""

from __future__ import annotations

import pytest

from mbert_onnx.text.name_lists import name_list


@pytest.mark.parametrize(
    ("names", "line"),
    [
        ([], "none"),
        (["a"], "a"),
        (["a", "b", "c"], "a, b, c"),
        (["a", "b", "c", "d"], "a, b, c and 1 other"),
        (range(2000), "0, 1, 2 and 1,997 others"),
        (["ab\n" + "c" * 20, "\x1b[31m"], r"'ab\ncccccccccc…', '\x1b[31m'"),
        (["é" * 13, "b" * 14], "é" * 13 + ", " + "b" * 13 + "…"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_the_first_names_and_the_number_of_the_others(names: list[object], line: str) -> None:
    assert name_list(iter(names), 3, 13) == line
