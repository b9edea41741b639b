"""Reports are written whole or not at all."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
from perf_reports import report, with_measurements

from perf.errors import PerfError


def test_written_and_read_again(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    path.write_text("an older one")
    report().write_json(path)
    read = json.loads(path.read_text(encoding="utf-8"))
    assert read["cells"][0]["measurements"][1]["speedup"] == {
        "median": 1.17,
        "low": 1.15,
        "high": 1.19,
        "significant": True,
    }
    assert read["cells"][0]["measurements"][0]["times_ms"] == [61.712] * 24
    assert read["machine"]["cpu"] == "Some CPU"
    assert read["warnings"] == ["the [b]moon[/b] was full"]
    assert [file.name for file in tmp_path.iterdir()] == ["out.json"]


def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PerfError, match="it is a pipe or device; name another place"):
        report().write_json(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("place", ["missing/out.json", "file/out.json", "folder"])
def test_cannot_be_written(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(PerfError, match=rf"^cannot write .*{place}: .*; expected a file in a folder") as caught:
        report().write_json(tmp_path / place)
    assert "\n" not in str(caught.value)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder"]


def test_no_number_that_json_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        with_measurements(report(), p99_ms=float("nan")).write_json(tmp_path / "out.json")
    assert not list(tmp_path.iterdir())


def test_infinity_is_a_word(tmp_path: Path) -> None:
    full = report()
    subjects = tuple(replace(item, error=math.inf, difference=math.inf) for item in full.subjects)
    replace(full, subjects=subjects).write_json(tmp_path / "out.json")
    read = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert [(item["error"], item["difference"]) for item in read["subjects"]] == [("inf", "inf")] * 2
