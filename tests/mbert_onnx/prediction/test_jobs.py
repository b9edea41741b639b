"""Jobs: parts and the manifest, continuing after a kill at every step, and what a second command does."""

from __future__ import annotations

import gc
import gzip
import json
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mbert_onnx.errors import DataError, MbertError, UsageError
from mbert_onnx.prediction.jobs import job as jobs
from mbert_onnx.prediction.jobs.job import Job
from mbert_onnx.prediction.storage import WriteError, locate
from mbert_onnx.prediction.types import BadRow, Position, Result
from mbert_onnx.prediction.writing.formats import output_format

ROWS = 9
SCHEMA = pa.schema(
    [("id", pa.int64()), ("text", pa.string()), ("label", pa.string()), ("scores", pa.list_(pa.float64()))]
)
RECORD: dict[str, Any] = {"inputs": [["a.csv", 9, 1]], "options": {"all": False}, "model": {"sha256": "1"}}


class Killed(BaseException):
    """Stands for a process that is killed."""


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "PART_ROWS", 2)
    monkeypatch.setattr("mbert_onnx.prediction.storage._sync", lambda _: None)  # no power failure is tested


def results(start: int = 0) -> Iterator[Result]:
    """One result for each row; each third row is bad."""
    for number in range(start, ROWS):
        good = [] if number % 3 == 2 else [number]
        rows = pa.table({"id": pa.array(good, pa.int64()), "text": pa.array([f"t,{n}" for n in good], pa.string())})
        columns = pa.table(
            {
                "label": pa.array(["x" for _ in good], pa.string()),
                "scores": pa.array([[0.5, None] for _ in good], pa.list_(pa.float64())),
            }
        )
        bad = [] if good else [BadRow("a.csv", number, "bad")]
        yield Result(number, Position(0, number + 1), rows, columns, bad, 3, 0, number)


def job(output: Path, *, overwrite: bool = False, **changes: Any) -> Job:
    return Job(locate(output), output_format(str(output)), SCHEMA, {**RECORD, **changes}, overwrite=overwrite)


def run(output: Path, *, overwrite: bool = False, until: int = ROWS) -> None:
    """Writes the rows that are missing, up to `until`, and finishes if that is all."""
    with job(output, overwrite=overwrite) as writing:
        if not writing.is_finished:
            for result in results(writing.position.records) if not writing.is_complete else ():
                if result.number == until:
                    raise Killed
                writing.write(result)
            writing.finish()


def ids(output: Path) -> list[int]:
    """The column `id` of an output, read without this package."""
    if output.suffix == ".parquet":
        return [int(value) for value in pq.read_table(output).column("id").to_pylist()]
    data = gzip.decompress(output.read_bytes()) if output.suffix == ".gz" else output.read_bytes()
    lines = data.decode().splitlines()
    if ".jsonl" in output.name:
        return [json.loads(line)["id"] for line in lines]
    assert lines[0].replace("\t", ",") == "id,text,label,scores"
    return [int(line.replace("\t", ",").split(",")[0]) for line in lines[1:]]


GOOD = [number for number in range(ROWS) if number % 3 != 2]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.csv.gz", "a.jsonl.gz", "a.parquet"])
def test_parts_become_one_file(name: str, tmp_path: Path) -> None:
    output = tmp_path / name
    run(output)
    assert ids(output) == GOOD
    errors = [json.loads(line) for line in (tmp_path / f"{name}.errors.jsonl").read_text().splitlines()]
    assert errors == [{"file": "a.csv", "line": number, "reason": "bad"} for number in (2, 5, 8)]
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, f"{name}.errors.jsonl"]


def test_values_of_each_format(tmp_path: Path) -> None:
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        run(tmp_path / name)
    assert (tmp_path / "a.csv").read_text().splitlines()[1] == '0,"t,0",x,"[0.5, null]"'
    first = {"id": 0, "text": "t,0", "label": "x", "scores": [0.5, None]}
    assert json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0]) == first
    table = pq.read_table(tmp_path / "a.parquet")
    assert (table.schema.remove_metadata(), table.to_pylist()[0]) == (SCHEMA, first)


def test_it_continues_after_a_kill_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each write and rename, and each removal, is the last thing that a process did in turn."""
    expected = tmp_path / "expected.csv"
    run(expected)
    steps = 0

    class Counting:
        """A file system that stops working after some steps, as for a process that was killed."""

        def __init__(self, inner: Any, most: int) -> None:
            self.inner, self.left = inner, most

        def __getattr__(self, name: str) -> Any:
            value = getattr(self.inner, name)
            if name not in ("move", "delete_file", "open_output_stream", "create_dir"):
                return value

            def counted(*arguments: Any, **options: Any) -> Any:
                nonlocal steps
                if self.left == 0:
                    raise Killed
                self.left -= 1
                steps += 1
                return value(*arguments, **options)

            return counted

    for most in range(1, 1_000):
        output, steps = tmp_path / f"{most}" / "out.csv", 0
        output.parent.mkdir()
        place = locate(output)
        monkeypatch.setattr(type(place), "is_local", property(lambda _: False))  # no lock: no process has died
        object.__setattr__(place, "filesystem", Counting(place.filesystem, most))
        monkeypatch.setattr(f"{__name__}.locate", lambda _, place=place: place)
        try:
            run(output)
            done = True
        except Killed:
            done = False
        monkeypatch.undo()
        monkeypatch.setattr(jobs, "PART_ROWS", 2)
        if done:
            break
        run(output)
        for suffix in ("", ".errors.jsonl"):
            assert (
                output.with_name(f"out.csv{suffix}").read_bytes()
                == expected.with_name(f"expected.csv{suffix}").read_bytes()
            )
        assert sorted(path.name for path in output.parent.iterdir()) == ["out.csv", "out.csv.errors.jsonl"]
        shutil.rmtree(output.parent)
    assert most > 40


def test_rows_since_the_last_part_are_kept_where_it_can_be_written(tmp_path: Path) -> None:
    output = tmp_path / "a.csv"
    with pytest.raises(Killed):
        run(output, until=5)
    with job(output) as writing:
        assert writing.position == Position(0, 5)
    run(output)
    assert ids(output) == GOOD


@pytest.mark.parametrize("name", ["part-00001.csv", "part-00001.errors.jsonl"])
@pytest.mark.parametrize("cut", [False, True])
def test_a_part_that_was_deleted_or_cut_is_computed_again(name: str, cut: bool, tmp_path: Path) -> None:
    output = tmp_path / "a.csv"
    with pytest.raises(Killed):
        run(output, until=7)
    part = tmp_path / "a.csv.parts" / name
    part.write_bytes(part.read_bytes()[:-1]) if cut else part.unlink()
    with job(output) as writing:
        assert writing.position == Position(0, 2)
    run(output)
    assert ids(output) == GOOD


def refusal(output: Path, error: type[MbertError] = UsageError, **changes: Any) -> str:
    with pytest.raises(error) as found, job(output, **changes):
        pass
    assert "\n" not in str(found.value)
    return str(found.value)


def test_a_finished_output_is_not_touched(tmp_path: Path) -> None:
    output = tmp_path / "a.csv"
    run(output)
    before = output.stat()
    assert refusal(output) == f"{output} exists; pass --overwrite to replace it, or choose another --output"
    assert output.stat() == before
    with pytest.raises(Killed):
        run(output, overwrite=True, until=5)
    assert output.stat() == before  # until the end
    assert "pass --overwrite" in refusal(output, options={"all": True})
    run(output, overwrite=True)
    assert ids(output) == GOOD
    assert output.stat().st_mtime_ns != before.st_mtime_ns


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": {"all": True}}, "its options had all False, and not True"),
        ({"inputs": [["b.csv", 9, 1]]}, "b.csv was not among its inputs"),
        ({"inputs": [["a.csv", 9, 2]]}, "a.csv was changed since"),
        ({"inputs": []}, "it had 1 inputs, and not 0"),
        ({"model": {"sha256": "2"}}, "it had another model"),
    ],
)
def test_another_job_is_refused_by_what_differs(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    output = tmp_path / "a.csv"
    with pytest.raises(Killed):
        run(output, until=5)
    assert f"a.csv.parts has another unfinished job: {message}; pass --overwrite" in refusal(output, **changes)
    with job(output, overwrite=True, **changes) as writing:
        assert writing.position == Position()
    assert list(tmp_path.iterdir()) == []  # nothing was written


def test_only_one_process_writes(tmp_path: Path) -> None:
    output = tmp_path / "a.csv"
    with job(output) as writing:
        writing.write(next(results()))
        assert "is being written by another process" in refusal(output, DataError)
    assert filelock.FileLock(tmp_path / "other").acquire(timeout=0)


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    output, parts = tmp_path / "a.csv", tmp_path / "a.csv.parts"
    parts.mkdir()
    (parts / "notes.txt").write_text("mine")
    assert "has notes.txt, not written by a job" in refusal(output, DataError)
    (parts / "manifest.json").write_text("{}")
    assert "is not a manifest that this version" in refusal(output, DataError)
    (parts / "manifest.json").unlink()
    (parts / "notes.txt").unlink()
    run(output)
    with pytest.raises(Killed):
        run(tmp_path / "b.csv", until=5)
    mine = ["notes.txt", "part-00009.csv", "part-mine.csv"]
    for name in mine:
        (tmp_path / "b.csv.parts" / name).write_text("mine")
    run(tmp_path / "b.csv")
    assert sorted(path.name for path in (tmp_path / "b.csv.parts").iterdir()) == mine
    assert "has notes.txt, part-00009.csv, part-mine.csv, not" in refusal(tmp_path / "b.csv", DataError, overwrite=True)


def test_a_file_with_the_name_of_the_bad_rows_is_left_alone(tmp_path: Path) -> None:
    output, errors = tmp_path / "a.csv", tmp_path / "a.csv.errors.jsonl"
    errors.write_text('{"text": "mine"}\n')
    for overwrite in (False, True):
        assert "a.csv.errors.jsonl exists, and is no list of bad rows" in refusal(output, overwrite=overwrite)
    errors.unlink()
    run(output)
    output.unlink()
    assert "a.csv.errors.jsonl exists; pass --overwrite" in refusal(output)
    run(output, overwrite=True)
    assert ids(output) == GOOD


def test_a_job_without_a_part_does_not_hold_back_another(tmp_path: Path) -> None:
    output = tmp_path / "a.csv"
    with job(output):
        shutil.copytree(tmp_path / "a.csv.parts", tmp_path / "kept")  # as it is where the process is killed now
    shutil.move(tmp_path / "kept", tmp_path / "a.csv.parts")
    with job(output, options={"all": True}) as writing:
        assert writing.position == Position()
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.csv").mkdir()
    assert "a folder; expected a file" in refusal(tmp_path / "folder.csv")
    with pytest.raises(WriteError, match=r"cannot be written \(Not a directory\); choose another --output"):
        run(tmp_path / "file" / "a.csv")
    (tmp_path / "b.csv.errors.jsonl").mkdir()
    (tmp_path / "c.csv.parts").touch()
    assert "b.csv.errors.jsonl is a folder, and its name that of the bad rows" in refusal(tmp_path / "b.csv")
    assert "c.csv.parts is a file, and its name that of the parts" in refusal(tmp_path / "c.csv")
    before = sorted(tmp_path.iterdir())
    for length in (255, 249, 240, 234):
        long = tmp_path / f"{'x' * (length - 4)}.csv"
        assert refusal(long, DataError).endswith("(File name too long); choose a shorter name")
        assert sorted(tmp_path.iterdir()) == before
    run(tmp_path / f"{'x' * 229}.csv")
    for name in ("a.txt", "a.doc", "a.parquet.gz"):
        with pytest.raises(UsageError, match=r"expected one of the suffixes \.csv, \.tsv, \.jsonl"):
            output_format(name)


def test_rows_of_all_parts_may_be_bad(tmp_path: Path) -> None:
    for name in ("a.csv", "a.parquet", "a.jsonl"):
        with job(tmp_path / name) as writing:
            writing.write(list(results())[2])
            writing.finish()
        assert ids(tmp_path / name) == []


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.jsonl.gz"])
def test_a_full_disk_is_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A limit of the size of files stands for the disk. A writer may hold rows until the part is finished."""
    monkeypatch.setattr(jobs, "PART_ROWS", 3_000)
    numbers = np.random.default_rng(0).integers(0, 2**60, 3_000)
    rows = pa.table({"id": numbers, "text": [str(number) for number in numbers]})
    columns = pa.table({"label": rows.column("text"), "scores": pa.array([[]] * 3_000, pa.list_(pa.float64()))})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**14, limits[1]))
    try:
        with (
            pytest.raises(WriteError, match=r"cannot be written \(File too large\); free some space"),
            job(tmp_path / name) as writing,
        ):
            writing.write(Result(0, Position(0, 3_000), rows, columns, [], 3, 0, 0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    gc.collect()
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
