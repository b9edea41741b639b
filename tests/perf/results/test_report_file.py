"""Reports that are read again."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from perf_reports import report

from perf.errors import PerfError
from perf.results.report_file import read_report


def written(tmp_path: Path, **changed: Any) -> Path:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({**report().to_json(), **changed}))
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    whole = report()
    odd = replace(whole.subjects[1], difference=math.inf, cpu_difference=0.5)
    whole = replace(whole, subjects=(whole.subjects[0], odd))
    path = tmp_path / "a.json"
    whole.write_json(path)
    assert read_report(path) == whole
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())  # a byte order mark
    assert read_report(path) == whole


def test_a_report_from_before_a_key_was_new_is_read(tmp_path: Path) -> None:
    told = report().to_json()
    for subject in told["subjects"]:
        del subject["cpu_difference"], subject["placement"]["partitions"]
    for cell in told["cells"]:
        del cell["repeated"], cell["disturbed"]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(told))
    assert read_report(path) == report()


def test_repeats_are_written_and_read(tmp_path: Path) -> None:
    cells = tuple(replace(cell, repeated={"spread": 2}, disturbed={"steal time": 1}) for cell in report().cells)
    path = tmp_path / "a.json"
    replace(report(), cells=cells).write_json(path)
    assert json.loads(path.read_text())["cells"][0]["repeated"] == {"spread": 2}
    assert read_report(path).cells == cells


def test_times_of_the_speed_check_keep_their_json_key(tmp_path: Path) -> None:
    whole = replace(report(), speed_check_ms=(0.5, 0.75))
    content = whole.to_json()
    assert content["guard_ms"] == (0.5, 0.75)
    assert "speed_check_ms" not in content
    assert read_report(written(tmp_path, guard_ms=[0.5, 0.75])) == whole


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"schema": "else"}, r"a\.json has the schema 'else'; expected 'mbert-onnx/bench', the schema of bench --json"),
        ({"schema": None}, r"a\.json has no schema; expected 'mbert-onnx/bench'"),
        ({"schema_version": 7}, r"a\.json is of version 7; expected 1: read it with the mbert-onnx that wrote it"),
        (
            {"cells": None},
            r"a\.json is not a complete report: .*cells; expected a report of bench --json: measure again",
        ),
        (
            {"other_cores": float("nan")},
            r"a\.json is not a valid report: other_cores is not a number; expected a report",
        ),
        (
            {"machine": {**report().to_json()["machine"], "memory_bytes": 10**400}},
            r"memory_bytes is beyond 1e\+18; expected",
        ),
        ({"other_cores": -1}, r"other_cores is -1, below 0; expected"),
        ({"guard_ms": [0]}, r"speed_check_ms is 0, expected more than 0; expected"),
        ({"subjects": []}, r"a cell has times of 'base\.onnx', which is not among the subjects"),
        ({"arguments": {**report().to_json()["arguments"], "threads": []}}, "arguments has no seq_lens, or no threads"),
        (
            {"cells": [{**report().to_json()["cells"][0], "rounds": [4] * 5}]},
            "a cell does not have one time of 'base.onnx' for each of its 20 rounds",
        ),
        ({"cells": [{**report().to_json()["cells"][0], "rounds": [1] * 101}]}, "101 repetitions, more than 100"),
        ({"other_cores": "many"}, r"a\.json is not a complete report: .*expected float @ \$\.other_cores"),
    ],
)
def test_another_file_is_one_line(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(PerfError, match=message) as caught:
        read_report(written(tmp_path, **changed))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe", b'{"schema": "mbert-onnx/bench", "cel', b"[" * 10**5])
def test_what_is_no_report_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(PerfError, match=r"a\.json (is truncated or not JSON|has no schema|is not UTF-8)") as caught:
        read_report(path)
    assert "\n" not in str(caught.value)


def test_an_endless_number_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(f'{{"schema": {"1" * 5000}}}')
    with pytest.raises(PerfError, match=r"not JSON \(a number has 5,000 digits, expected at most 1,000: 1111111111…\)"):
        read_report(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PerfError, match=r"cannot read .*none\.json: No such file"):
        read_report(tmp_path / "none.json")
