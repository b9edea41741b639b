"""A ragged batch: texts of different lengths in one batch, timed against the same texts one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from onnx import TensorProto
from perf_models import VOCAB_SIZE, token_model
from rich.console import Console

from graphs.execution.centred_error import largest_centred_error
from perf.errors import PerfError, PerfUsageError
from perf.harness import REPETITIONS, BenchOptions, Subject, bench
from perf.machine.footprint import Footprint
from perf.presentation.html.tables import ragged_tables
from perf.presentation.table import print_report, to_markdown
from perf.providers import CPU
from perf.results.report import Arguments, RaggedModel, Report
from perf.results.report_file import read_report
from perf.sessions.inputs import DeclaredInput, synthesise
from perf.sessions.padding import RaggedFeed, ragged
from perf.sessions.session import Placement, Session, Timer
from perf.statistics import ratio
from perf.timing import description, repetitions
from perf.timing.cell import RunError
from perf.timing.inspection import InspectedFile, Inspection
from perf.timing.roster import Roster
from perf.timing.run import Run
from perf.timing.texts.ragged import combine_ragged, repeat_ragged, with_ragged

LENGTHS = (2, 5, 3)
INPUTS = tuple(DeclaredInput(name, "tensor(int64)", ("batch", "seq")) for name in ("input_ids", "attention_mask"))


class FakeSession:
    """Two channels and one pooled number of each text; a run takes a microsecond for each token, padding included.

    Args:
        padding: What it writes at padded positions.
        mixes: Whether the outputs of a text depend on the others in the batch.
    """

    def __init__(self, padding: float = 0.0, *, mixes: bool = False) -> None:
        self.padding, self.mixes = padding, mixes

    def get_outputs(self) -> list[DeclaredInput]:
        return [DeclaredInput(name, "", ()) for name in ("logits", "pooled")]

    def run(self, _: None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        ids, real = feed["input_ids"].astype(np.float32), feed["attention_mask"].astype(bool)
        logits = np.stack([ids, ids**2 % 7], axis=-1)
        pooled = (ids * real).sum(axis=1)
        if self.mixes:
            logits = logits + 3 * len(ids) * np.arange(ids.shape[1])[:, None]
        logits[~real] = self.padding
        return [logits, pooled]

    def timer(self, feed: Mapping[str, np.ndarray]) -> Timer:
        return lambda after_another: 1000 * feed["input_ids"].size


class FakeOpener:
    """Opens the session of a model's name; a PerfError among them is raised."""

    def __init__(self, sessions: Mapping[str, FakeSession | PerfError]) -> None:
        self.sessions = sessions

    def open(self, subject: Subject, *_: Any) -> FakeSession:
        session = self.sessions[subject.name]
        if isinstance(session, PerfError):
            raise session
        return session


def tried(sessions: Mapping[str, FakeSession | PerfError]) -> tuple[Inspection, list[RaggedModel]]:
    """Runs the batch in these models."""
    roster = Roster([Subject(name, Path(name)) for name in sessions])
    run = Run(CPU, roster, cast("Any", FakeOpener(sessions)), lambda _: None)
    arguments = Arguments("cpu", (5,), 1, (1,), 0.02, 1.0, 0, VOCAB_SIZE, ragged=LENGTHS)
    files = {name: {Path(name): InspectedFile(INPUTS, Placement({}), "")} for name in sessions}
    return with_ragged(run, Inspection(arguments, files, {}), largest_centred_error)


def feed() -> RaggedFeed:
    return ragged(synthesise("m", INPUTS, batch=3, seq_len=5, vocab_size=VOCAB_SIZE), LENGTHS)


def test_texts_are_the_same_in_the_batch_and_one_by_one() -> None:
    found = feed()
    assert found.tokens == sum(LENGTHS)
    assert found.batch["attention_mask"].sum(axis=1).tolist() == list(LENGTHS)
    for number, (length, text) in enumerate(zip(LENGTHS, found.texts, strict=True)):
        assert text["input_ids"].shape == text["attention_mask"].shape == (1, length)
        assert text["attention_mask"].all()
        assert np.array_equal(text["input_ids"][0], found.batch["input_ids"][number, :length])
        assert not found.batch["input_ids"][number, length:].any()
    choices = tuple(replace(item, shape=("batch", "choices", "seq")) for item in INPUTS)
    of_choices = ragged(synthesise("m", choices, batch=3, seq_len=5, vocab_size=VOCAB_SIZE), LENGTHS)
    assert of_choices.tokens == 2 * sum(LENGTHS)
    assert [text["input_ids"].shape for text in of_choices.texts] == [(1, 2, length) for length in LENGTHS]


def test_outputs_of_padding_are_not_compared() -> None:
    """Kernels skip padding and write 0 there; other models write anything."""
    sessions = {"zero": FakeSession(), "seven": FakeSession(7.0), "nan": FakeSession(np.nan)}
    inspection, models = tried(sessions | {"mixing": FakeSession(mixes=True)})
    assert list(inspection.ragged) == ["zero", "seven", "nan", "mixing"]
    assert [one.difference for one in models[:3]] == [None, 0, 0]
    assert [one.batch_difference for one in models[:3]] == [0, 0, 0]
    assert not any(one.non_finite for one in models)
    assert models[3].batch_difference is not None
    assert models[3].batch_difference > 0.1


def test_a_model_that_does_not_take_the_batch_is_left_out_with_the_reason() -> None:
    inspection, models = tried({"broken": PerfError("it broke"), "free": FakeSession(), "same": FakeSession()})
    assert list(inspection.ragged) == ["free", "same"]
    assert [one.left_out for one in models] == ["it broke", "", ""]
    assert [one.difference for one in models] == [None, None, None]  # the first one has no outputs


def test_the_batch_and_the_sum_of_its_texts_are_timed_in_the_same_rounds() -> None:
    sessions = {name: cast("Session", FakeSession()) for name in ("first", "second")}
    feeds = dict.fromkeys(sessions, feed())
    parts = [repeat_ragged(sessions, feeds, precision=0.02, budget_s=1.0, seed=seed) for seed in range(REPETITIONS)]
    assert all(part.rounds == len(part.one_by_one_ms["first"]) for part in parts)
    cell = combine_ragged(dict.fromkeys(sessions, 10), parts, lengths=LENGTHS, threads=1, precision=0.02)
    assert cell.place == "3 texts of 2 to 5 tokens, 1 thread"
    assert replace(cell, lengths=(5, 5)).place == "2 texts of 5 tokens, 1 thread"
    first, second = cell.results
    assert (first.batch.median_ms, first.one_by_one.median_ms) == (0.015, 0.010)
    assert first.cost is not None
    assert (first.cost.low, first.cost.median, first.cost.high) == pytest.approx((1.5, 1.5, 1.5))
    assert first.batch.speedup is None
    assert second.batch.speedup is not None
    assert second.batch.tokens_per_second == pytest.approx(10 / 0.015 * 1000)
    few = combine_ragged({"first": 10}, parts[:5], lengths=LENGTHS, threads=1, precision=0.02)
    assert few.results[0].cost is None


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """A benchmark of tiny files of all kinds."""
    monkeypatch.setattr(description, "footprint", lambda *_, **__: Footprint((1.0,), 1.0, 1))
    monkeypatch.setattr(repetitions, "REPEAT_SHARE", 0.0)
    masked = {"mask": TensorProto.INT64}
    files = {5: token_model(tmp_path / "5.onnx", shape=[1, 5], **cast("Any", masked))}
    subjects = [
        Subject("free", token_model(tmp_path / "a.onnx", mask=TensorProto.INT64), VOCAB_SIZE),
        Subject("same", token_model(tmp_path / "b.onnx", mask=TensorProto.FLOAT), VOCAB_SIZE),
        Subject("no mask", token_model(tmp_path / "c.onnx"), VOCAB_SIZE),
        Subject("fixed", files[5], VOCAB_SIZE),
        Subject("files", files[5], VOCAB_SIZE, by_length=files),
        Subject("one", token_model(tmp_path / "d.onnx", shape=[1, "seq"], mask=TensorProto.INT64), VOCAB_SIZE),
    ]
    options = BenchOptions(precision=0.5, budget_s=0.01, threads=(1, 2), ragged=LENGTHS)
    return bench(subjects, options, measure=largest_centred_error)


def test_report_of_a_ragged_batch(report: Report, tmp_path: Path) -> None:
    assert (report.arguments.seq_lens, report.arguments.ragged) == ((5,), LENGTHS)
    assert {one.name: one.left_out for one in report.ragged_models} == {
        "free": "",
        "same": "",
        "no mask": "it takes no attention_mask, and would read padding as text",
        "fixed": "it takes texts of 5 tokens only",
        "files": "it has a file of its own for each length, and a batch has texts of several",
        "one": "it takes 1 text in a run, not 3",
    }
    assert [(cell.threads, len(cell.rounds)) for cell in report.ragged] == [(1, REPETITIONS), (2, REPETITIONS)]
    for cell in report.ragged:
        assert [result.subject for result in cell.results] == ["free", "same"]
        for result in cell.results:
            times = result.batch.times_ms, result.one_by_one.times_ms
            assert result.cost == ratio(*times, cell.rounds)
    assert report.ragged_models[1].difference == 0
    assert not report.failures
    report.write_json(tmp_path / "report.json")
    assert read_report(tmp_path / "report.json").ragged == report.ragged
    cut = replace(report.ragged[0], lengths=()), replace(report.ragged[0], rounds=(1,))
    without = replace(report, arguments=replace(report.arguments, ragged=()))
    for broken in (without, *(replace(report, ragged=(cell,)) for cell in cut)):
        broken.write_json(tmp_path / "report.json")
        with pytest.raises(PerfError, match="is not a valid report: a"):
            read_report(tmp_path / "report.json")


def test_tables_of_a_ragged_batch(report: Report) -> None:
    printed = StringIO()
    print_report(report, Console(file=printed, width=200))
    for text in (printed.getvalue(), to_markdown(report)):
        assert "a batch of 3 texts of 2 to 5 tokens" in text
        assert "it takes 1 text in a run, not 3" in text
        assert "the texts have 2, 5, 3 tokens, and are padded to 5." in text
    (table,) = ragged_tables([report], ["report"])
    assert [row[:2] for row in table.rows] == [["1", "free"], ["", "same"], ["2", "free"], ["", "same"]]
    assert len(table.failures) == 4


@pytest.mark.parametrize(("lengths", "says"), [((8,), "has 1 length; expected those of 2"), ((8, 0), "--ragged is 0")])
def test_bad_lengths_are_refused(lengths: tuple[int, ...], says: str) -> None:
    with pytest.raises(PerfUsageError, match=says):
        BenchOptions(ragged=lengths)


def test_a_model_that_fails_on_the_batch_while_it_is_timed_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also the only one that takes it: there is no ragged batch then, and the others are timed."""

    def dies(sessions: Mapping[str, Session], *_: Any, **__: Any) -> None:
        raise RunError("free", PerfError("it died"))

    monkeypatch.setattr(description, "footprint", lambda *_, **__: Footprint((1.0,), 1.0, 1))
    monkeypatch.setattr(repetitions, "REPEAT_SHARE", 0.0)
    monkeypatch.setattr(repetitions, "repeat_ragged", dies)
    free = Subject("free", token_model(tmp_path / "a.onnx", mask=TensorProto.INT64), VOCAB_SIZE)
    fixed = Subject("fixed", token_model(tmp_path / "b.onnx", shape=[1, 5], mask=TensorProto.INT64), VOCAB_SIZE)
    report = bench([free, fixed], BenchOptions(precision=0.5, budget_s=0.01, threads=(1,), ragged=LENGTHS))
    assert [(failure.name, failure.reason) for failure in report.failures] == [("free", "it died")]
    assert [subject.name for subject in report.subjects] == ["fixed"]
    assert (report.ragged, [model.name for model in report.ragged_models]) == ((), ["fixed"])
    assert len(report.cells[0].rounds) == REPETITIONS
