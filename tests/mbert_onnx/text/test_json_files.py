"""JSON files as other programs write them."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from mbert_onnx.text.json_files import brief, read_json


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_every_encoding_of_json(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes('{"label": "schön", "size": 24}'.encode(encoding))
    assert read_json(path) == {"label": "schön", "size": 24}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value: line 1 column 1"),
        (codecs.BOM_UTF8, "Expecting value"),
        (b'{"a": "\xff"}', "can't decode byte 0xff"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"1" * 5000 + b"}", "^a number has 5,000 digits, expected at most 1,000: 1111111111…$"),
        (b'{"a": -' + b"1" * 5000 + b"}", "^a number has 5,001 digits"),
    ],
)
def test_what_is_not_json_has_a_reason_in_one_line(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason) as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "config.json")


def test_values_in_messages_are_short() -> None:
    assert brief("no\nlines") == r"'no\nlines'"
    assert brief(10**999) == f"1{'0' * 59}… (1,000 characters)"
