"""Quality figures: two formats, and one line for whatever is wrong with them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import perf_reports
import pytest

from perf.errors import PerfError, PerfUsageError
from perf.presentation.html import Figure, Quality, read_quality, write_page

KNOWN = ("base", "int8 [b]")


@pytest.mark.parametrize("byte_order_mark", [b"", b"\xef\xbb\xbf"], ids=["utf-8", "utf-8-sig"])
def test_json_and_a_table_say_the_same(byte_order_mark: bytes, tmp_path: Path) -> None:
    told = tmp_path / "q.json"
    told.write_text(json.dumps({"metric": "F1", "models": {"base": 0.9, "int8 [b]": 0.85}}))
    table = tmp_path / "q.tsv"
    table.write_text("model\tF1\nbase\t0.9\n\nint8 [b]\t0.85\n")
    for path in (told, table):
        path.write_bytes(byte_order_mark + path.read_bytes())
    expected = [Quality("F1", {"base": Figure(0.9), "int8 [b]": Figure(0.85)})]
    assert read_quality(told, KNOWN) == read_quality(table, KNOWN) == expected


def test_a_part_of_the_models_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "q.tsv"
    path.write_text("model\tF1\nbase\t1\n")
    [found] = read_quality(path, KNOWN)
    assert found.figures == {"base": Figure(1.0)}


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
        ("q.json", '[{"schema": "mbert-onnx/evaluation", "schema_version": 9}]', "is of version 9, not 1"),
        ("q.json", '[{"schema": "mbert-onnx/evaluation", "schema_version": 1}]', "is not complete: "),
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


def score(value: float | None, half: float = 0.02) -> dict[str, float | None]:
    return {
        "value": value,
        "low": None if value is None else value - half,
        "high": None if value is None else value + half,
    }


def evaluation(split: str = "held out", **models: dict[str, dict[str, float | None]]) -> dict[str, object]:
    """What `evaluate --json` writes: the first model has no differences, and NaN is null."""
    standings = [
        {"model": name, "scores": scores, "differences": scores if number else {}, "ms": 1.0}
        for number, (name, scores) in enumerate(models.items())
    ]
    head = {"schema": "mbert-onnx/evaluation", "schema_version": 1, "task": "classification", "data": "r.tsv"}
    return {**head, "split": split, "texts": 1060, "standings": standings}


def test_an_evaluation_has_intervals_differences_and_models_that_were_not_timed(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    scores = {"accuracy": score(0.8), "matthews_correlation": score(0.5)}
    path.write_text(json.dumps([evaluation(torch=scores, base=scores), evaluation("other", base=scores)]))
    first, second = read_quality(path, KNOWN)
    assert (first.metric, first.source) == ("accuracy, %", "classification, held out of r.tsv: 1,060 texts")
    assert first.figures["torch"].text() == "80.00 (78.00 to 82.00)"
    assert [first.difference_text(name) for name in ("torch", "base")] == ["–", "+80.00 (+78.00 to +82.00)"]
    assert list(second.figures) == ["base"]
    chosen = read_quality(path, KNOWN, ["matthews_correlation", "accuracy"])
    assert [one.metric for one in chosen] == ["matthews correlation × 100", "accuracy, %"] * 2
    with pytest.raises(PerfUsageError, match=r"no metric f2; expected --metric among accuracy, matthews_correlation"):
        read_quality(path, KNOWN, ["f2"])
    path.write_text(json.dumps([evaluation(torch=scores)]))
    with pytest.raises(PerfUsageError, match=r"evaluates torch, of which no report has any; .* among base, int8"):
        read_quality(path, KNOWN)
    path.write_text(json.dumps([evaluation(base={"accuracy": score(None)})]))
    with pytest.raises(PerfError, match="has no figure that is a number"):
        read_quality(path, KNOWN)


def test_quality_is_drawn_against_latency_depth_and_size(tmp_path: Path) -> None:
    base = perf_reports.report("fused.onnx")
    shallow, deep = base.subjects
    subjects = (replace(shallow, layers=4), replace(deep, layers=6, file=replace(deep.file, size_bytes=9_000_000)))
    figures = {"base.onnx": Figure(80.0, 78.0, 82.0), "fused.onnx": Figure(83.0), "torch": Figure(84.0)}
    quality = Quality("accuracy, %", figures, {"fused.onnx": Figure(3.0, 1.0, 5.0)}, "held-out reviews")
    page = tmp_path / "page.html"
    write_page([replace(base, subjects=subjects)], page, names=["r.json"], qualities=[quality])
    text = page.read_text(encoding="utf-8")
    for alt in ("layers, Depth", "MB, Size of the file", "ms per run, 128 tokens, 2 threads"):
        assert f'aria-label="accuracy, % against {alt}"' in text
    for cell in (
        "held-out reviews",
        "80.00 (78.00 to 82.00)",
        "+3.00 (+1.00 to +5.00)",
        "9.0 MB",
        "ms, 128 tokens, 1 thread",
    ):
        assert cell in text
    rows = re.findall(r"<tr.*?</tr>", text[text.index("<caption>held-out reviews") :], re.DOTALL)
    assert [re.findall(r"<td[^>]*>(.*?)</td>", row)[:2] for row in rows[1:4]] == [
        ["base.onnx", "4"],
        ["fused.onnx", "6"],
        ["torch", "–"],
    ]
    # Charts of what is the same for all, or not known, say nothing.
    write_page([base], page, names=["r.json"], qualities=[quality])
    assert not {"Depth", "Size of the file"} & set(
        re.findall(r'against \w+, ([\w ]+)"', page.read_text(encoding="utf-8"))
    )
