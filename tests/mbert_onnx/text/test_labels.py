"""Names of labels, from maps as real configs have them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mbert_onnx.text.labels import label_names, names_of


@pytest.mark.parametrize(
    ("id2label", "names", "note"),
    [
        ({"0": "a", "1": "b", "2": "c"}, ["a", "b", "c"], None),
        ({"2": "c", "0": "a", "1": "b"}, ["a", "b", "c"], None),
        (["a", "b", "c"], ["a", "b", "c"], None),
        ({"0": 0, "1": 1, "2": True}, ["0", "1", "True"], None),
        ({"1": "a", "2": "b", "3": "c"}, ["a", "b", "c"], "numbered 1 to 3, and outputs 0 to 2: .* 0 is a, 1 is b"),
        ({"10": "c", "9": "b", "-1": "a"}, ["a", "b", "c"], "numbered -1 to 10, and outputs 0 to 2"),
        ({"1": "a", "2": "b"}, ["LABEL_0", "a", "b"], "names 2 of 3 labels; the other is called LABEL_0"),
        ({"0": "a", "2": "c"}, ["a", "LABEL_1", "c"], "names 2 of 3 labels; the other is called LABEL_1"),
        ({"1": None}, ["LABEL_0", "LABEL_1", "LABEL_2"], "names 0 of 3 labels; the others are called LABEL_0, LABEL_1"),
        ({"1": "a\nb", "2": "\x1b[31m", "3": "c"}, ["a\nb", "\x1b[31m", "c"], r"0 is 'a\\nb', 1 is '\\x1b\[31m'"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_names_of_three_outputs(id2label: Any, names: list[str], note: str | None) -> None:
    found, said = label_names(id2label, 3)
    assert list(found.items()) == list(enumerate(names))
    assert names_of(id2label, 3) == found
    if note is None:
        assert said is None
    else:
        assert said is not None
        assert said.isprintable()
        assert re.search(note, said), said


def test_a_long_note_is_shortened() -> None:
    names, note = label_names({str(number): f"star {number}" for number in range(1, 100)}, 99)
    assert names[98] == "star 99"
    assert note is not None
    assert note.endswith("6 is star 7, 7 is star 8 and 91 others")
    assert (label_names({}, 50)[1] or "").endswith("LABEL_5, LABEL_6, LABEL_7 and 42 others")


@pytest.mark.parametrize(
    ("id2label", "error"),
    [
        (3, "id2label is 3, expected an object with a name for each label"),
        ({"negative": 0, "positive": 1}, "id2label has the key 'negative', expected numbers; it looks like label2id"),
        ({"negative": "0"}, "id2label has the key 'negative', expected numbers"),
        ({"1.0": "a"}, "id2label has the key '1.0', expected numbers"),
        ({"9" * 5000: "a"}, r"id2label has the key '9{59}… \(5,002 characters\), expected numbers"),
        ({"1": "a", "01": "b"}, "id2label has 2 keys for 1 numbers; expected each once"),
        ({"0": ["a"]}, r"id2label has the name \['a'\], expected text"),
        ({"0": "a", "1": "b", "2": "c", "3": "d"}, "4 labels, numbered 0 to 3, but the model has 3 outputs, 0 to 2"),
        ({"1": "a", "9": "b"}, "2 labels, numbered 1 to 9, but the model has 3 outputs"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_maps_that_fit_no_outputs(id2label: Any, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        label_names(id2label, 3)
    assert names_of(id2label, 3) == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
