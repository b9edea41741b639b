"""Quality figures: two formats, and one line for whatever is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perf.errors import PerfError, PerfUsageError
from perf.presentation.html.quality import Quality, read_quality

KNOWN = ("base", "int8 [b]")


@pytest.mark.parametrize("byte_order_mark", [b"", b"\xef\xbb\xbf"], ids=["utf-8", "utf-8-sig"])
def test_json_and_a_table_say_the_same(byte_order_mark: bytes, tmp_path: Path) -> None:
    told = tmp_path / "q.json"
    told.write_text(json.dumps({"metric": "F1", "models": {"base": 0.9, "int8 [b]": 0.85}}))
    table = tmp_path / "q.tsv"
    table.write_text("model\tF1\nbase\t0.9\n\nint8 [b]\t0.85\n")
    for path in (told, table):
        path.write_bytes(byte_order_mark + path.read_bytes())
    assert read_quality(told, KNOWN) == read_quality(table, KNOWN) == Quality("F1", {"base": 0.9, "int8 [b]": 0.85})


def test_a_part_of_the_models_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "q.tsv"
    path.write_text("model\tF1\nbase\t1\n")
    assert read_quality(path, KNOWN).models == {"base": 1.0}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("q.json", '{"metric": "F1", "models": {"base"', "truncated or not JSON"),
        (
            "q.json",
            f'{{"metric": {"1" * 5000}}}',
            "not JSON (a number has 5,000 digits, expected at most 1,000: 1111111111…)",
        ),
        ("q.json", "[]", "no metric, or no models"),
        ("q.json", '{"models": {"base": 1}}', "no metric, or no models"),
        ("q.json", '{"metric": "F1", "models": {}}', "no metric, or no models"),
        ("q.json", '{"metric": "F1", "models": {"base": "good"}}', "the figure for base is 'good'"),
        ("q.json", '{"metric": "F1", "models": {"base": true}}', "the figure for base is True"),
        ("q.json", '{"metric": "F1", "models": {"base": null}}', "the figure for base is None"),
        ("q.json", '{"metric": "F1", "models": {"base": NaN}}', "the figure for base is nan"),
        ("q.json", f'{{"metric": "F1", "models": {{"base": {10**400}}}}}', "the figure for base is 1000"),
        ("q.tsv", "", "has no models"),
        ("q.tsv", "model\tF1\n", "has no models"),
        ("q.tsv", "model\tF1\nbase 0.9\n", "row 2 has 1 columns, not 2"),
        ("q.tsv", "model\tF1\nbase\t0,9\n", "the figure for base is '0,9'"),
        ("q.tsv", "model\tF1\nbase\t0.9\nbase\t0.8\n", "two figures for base"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, name: str, content: str, says: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(PerfError) as caught:
        read_quality(path, KNOWN)
    assert says in str(caught.value)
    assert "expected" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_so_is_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(PerfError, match=r"cannot read .*No such file"):
        read_quality(tmp_path / "none.json", KNOWN)
    (tmp_path / "b.tsv").write_bytes(b"\xff\xfe")
    with pytest.raises(PerfError, match="is not UTF-8 text"):
        read_quality(tmp_path / "b.tsv", KNOWN)


def test_a_model_that_no_report_has_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    path = tmp_path / "q.tsv"
    path.write_text("model\tF1\nbase\t0.9\nbsae\t0.9\n")
    with pytest.raises(PerfUsageError, match=r"a figure for bsae, .*expected names among base, int8 \[b\]"):
        read_quality(path, KNOWN)
