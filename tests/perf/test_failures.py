"""Failing models, ignored padding masks and interrupts: the rest is measured and reported."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from perf_models import VOCAB_SIZE, token_model

from graphs.execution.centred_error import largest_centred_error
from perf import harness
from perf.errors import PerfError
from perf.harness import REPETITIONS, BenchOptions, Subject
from perf.machine.footprint import Footprint
from perf.machine.peaks import Peaks
from perf.results.report import Failure, Report
from perf.results.report_file import read_report
from perf.sessions.padding import half_mask, half_padded
from perf.sessions.worker import Worker
from perf.timing import description, profiling, repetitions
from perf.timing.cell import Repetition


def quick(**changed: Any) -> BenchOptions:
    """Options of a benchmark at 4 tokens with one thread, which takes a moment."""
    return BenchOptions(**{"precision": 0.5, "budget_s": 0.01, "threads": (1,), "seq_lens": (4,), **changed})


def bench(subjects: Sequence[Subject], options: BenchOptions, **others: Any) -> Report:
    """Runs `perf.harness.bench`, with the centred error unless another measure is given."""
    return harness.bench(subjects, options, **{"measure": largest_centred_error, **others})


@pytest.fixture(autouse=True)
def no_load_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load time and memory are constants: measuring them starts a process for each model, which imports onnxruntime."""
    monkeypatch.setattr(description, "footprint", lambda *_, **__: Footprint((1.0,), 1.0, 1))


@pytest.fixture(autouse=True)
def no_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disturbed repetitions are not repeated: how many are depends on the machine."""
    monkeypatch.setattr(repetitions, "REPEAT_SHARE", 0.0)


def subject(path: Path) -> Subject:
    return Subject(path.name, path, VOCAB_SIZE)


def test_the_third_of_ten_fails_and_the_other_nine_are_reported(tmp_path: Path) -> None:
    subjects = [subject(token_model(tmp_path / f"{number}.onnx")) for number in range(10)]
    subjects[2].path.write_bytes(b"no model")
    report = bench(subjects, quick())
    assert [item.name for item in report.subjects] == [f"{n}.onnx" for n in range(10) if n != 2]
    assert [item.subject for item in report.cells[0].measurements] == [item.name for item in report.subjects]
    (failure,) = report.failures
    assert failure.name == "2.onnx"
    assert "cannot load" in failure.reason
    assert "\n" not in failure.reason


def test_the_next_model_replaces_a_first_one_that_fails(tmp_path: Path) -> None:
    fixed = subject(token_model(tmp_path / "fixed.onnx", shape=[1, 16]))
    rest = [subject(token_model(tmp_path / f"{name}.onnx")) for name in "ab"]
    report = bench([fixed, *rest], quick())
    assert report.failures[0].reason == "fixed.onnx takes only seq-len 16, not 4: pass --seq-len 16"
    assert [item.speedup is None for item in report.cells[0].measurements] == [True, False]
    assert [item.difference for item in report.subjects] == [None, 0]


def test_the_last_error_is_raised_when_none_is_left(tmp_path: Path) -> None:
    missing = [subject(tmp_path / f"{name}.onnx") for name in "ab"]
    with pytest.raises(PerfError, match=r"no file .*b\.onnx"):
        bench(missing, quick())


def test_failures_of_building_are_in_the_report(tmp_path: Path) -> None:
    report = bench([subject(token_model(tmp_path / "a.onnx"))], quick(), failures=[Failure("b", "why")])
    report.write_json(tmp_path / "report.json")
    assert read_report(tmp_path / "report.json").failures == (Failure("b", "why"),)


def test_a_model_that_dies_while_it_is_timed_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = token_model(tmp_path / "a.onnx")
    far = Subject("far", path, VOCAB_SIZE, python=Path(sys.executable))
    ask = Worker.ask
    times = 0

    def dies(self: Worker, question: str, *arguments: Any) -> Any:
        nonlocal times
        times += question == "time"
        if times == 40:
            self._handle.kill()
        return ask(self, question, *arguments)

    monkeypatch.setattr(Worker, "ask", dies)
    report = bench([subject(path), far, Subject("last", path, VOCAB_SIZE)], quick())
    assert [item.name for item in report.subjects] == ["a.onnx", "last"]
    assert "ended with signal SIGKILL" in report.failures[0].reason
    assert len(report.cells[0].rounds) == REPETITIONS
    assert all(item.speedup is not None for item in report.cells[0].measurements[1:])


def interrupt_at(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    from perf.timing.cell import repeat

    count = 0

    def patient(*arguments: Any, **options: Any) -> Repetition:
        nonlocal count
        count += 1
        if count == number:
            raise KeyboardInterrupt
        return repeat(*arguments, **options)

    monkeypatch.setattr(repetitions, "repeat", patient)


def test_an_interrupt_keeps_the_measurements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_at(monkeypatch, 8)  # three repetitions of two cells, and half of the fourth
    models = [subject(token_model(tmp_path / f"{name}.onnx")) for name in "ab"]
    report = bench(models, quick(seq_lens=(4, 8)))
    assert report.interrupted
    assert [len(cell.rounds) for cell in report.cells] == [4, 3]
    assert all(item.speedup is None for cell in report.cells for item in cell.measurements)
    assert report.warnings[0].startswith("interrupted: of 6 repetitions, 3 to 4 were done")
    report.write_json(tmp_path / "report.json")
    assert read_report(tmp_path / "report.json").interrupted


def test_an_interrupt_of_the_profile_keeps_the_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(profiling, "peaks", interrupt)
    report = bench([subject(token_model(tmp_path / "a.onnx"))], quick(profile=True))
    assert report.interrupted
    assert len(report.cells[0].rounds) == REPETITIONS
    assert report.peaks == ()
    assert report.warnings[0].startswith("interrupted after all models were timed")


@pytest.mark.parametrize(("gmacs", "measurements"), [(1e-9, 2), (1e9, 1)])
def test_peaks_that_a_model_exceeds_are_measured_again(
    gmacs: float, measurements: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Peaks(1, {"float32": gmacs, "int8": gmacs}, 1e9), Peaks(1, {"float32": 2 * gmacs, "int8": 0.0}, 1.0)]
    rest = iter(found)
    monkeypatch.setattr(profiling, "peaks", lambda threads: next(rest))
    monkeypatch.setattr(profiling, "_blocks", lambda *_: ())
    lines: list[str] = []
    model = subject(token_model(tmp_path / "a.onnx"))
    report = bench([model], quick(profile=True), count_macs=lambda path, seq_len: 1000, progress=lines.append)
    assert len(list(rest)) == 2 - measurements
    assert report.peaks == (found[0] if measurements == 1 else Peaks(1, {"float32": 2 * gmacs, "int8": gmacs}, 1e9),)
    assert ("peak speed of this machine again: a model is above it" in lines) == (measurements == 2)


def test_an_interrupt_before_any_measurement_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_at(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        bench([subject(token_model(tmp_path / "a.onnx"))], quick())


def test_the_latter_half_is_padded(tmp_path: Path) -> None:
    feed = {"input_ids": np.ones((1, 6), np.int64), "attention_mask": np.ones((1, 6), np.int64)}
    halves = half_padded(feed)
    assert halves is not None
    assert all(halves[name].tolist() == [[1, 1, 1, 0, 0, 0]] for name in feed)
    assert feed["input_ids"].all()  # unchanged
    assert half_padded({"input_ids": np.ones((1, 1), np.int64)}) is None
    assert half_mask(feed).tolist() == [[True, True, True, False, False, False]]
    assert half_mask({"input_ids": np.ones((1, 2, 3), np.int64)}).tolist() == [[[True, False, False]] * 2]


MEAN = """
<ir_version: 8, opset_import: ["" : 18]>
mean (int64[batch, seq] input_ids, int64[batch, seq] attention_mask) => (float[batch, one] logits) {
    ids = Cast <to = 1> (input_ids)
    weights = Cast <to = 1> (attention_mask)
    TOTAL
    axes = Constant <value_ints = [1]> ()
    sum = ReduceSum (weighted, axes)
    count = ReduceSum (weights, axes)
    logits = Div (sum, count)
}
"""


def test_a_model_that_ignores_the_mask_gets_a_warning(tmp_path: Path) -> None:
    masked = MEAN.replace("TOTAL", "weighted = Mul (ids, weights)")
    # It counts the real tokens, but adds 1 for each token, padding included.
    blind = MEAN.replace("TOTAL", "one_more = Constant <value_float = 1.0> () weighted = Add (ids, one_more)").replace(
        "logits = Div (sum, count)", "mean = Div (sum, count) logits = Sub (mean, one_more)"
    )
    models = []
    for name, text in {"masked": masked, "same": masked, "blind": blind}.items():
        onnx.save(onnx.parser.parse_model(text), tmp_path / f"{name}.onnx")
        models.append(subject(tmp_path / f"{name}.onnx"))
    report = bench(models, quick(batch=3))
    _, same, blind_one = report.subjects
    assert (same.difference, same.padded_difference) == (0, 0)
    assert blind_one.difference is not None
    assert blind_one.difference < 1e-6
    assert blind_one.padded_difference is not None
    assert blind_one.padded_difference > 0.01
    (warning,) = [text for text in report.warnings if "handles padding differently" in text]
    assert warning.startswith("blind.onnx handles padding differently from masked.onnx")


PER_TOKEN = """
<ir_version: 8, opset_import: ["" : 18]>
tokens (int64[batch, seq] input_ids, int64[batch, seq] attention_mask) => (float[batch, seq, one] logits) {
    ids = Cast <to = 1> (input_ids)
    real = Cast <to = 1> (attention_mask)
    axes = Constant <value_ints = [2]> ()
    one = Constant <value_float = 1.0> ()
    padding = Sub (one, real)
    size = Constant <value_float = SIZE> ()
    at_padding = Mul (padding, size)
    values = Add (ids, at_padding)
    logits = Unsqueeze (values, axes)
}
"""


def test_outputs_at_padding_do_not_count(tmp_path: Path) -> None:
    models = []
    for name, size in {"first": "0.0", "other": "1e6"}.items():
        onnx.save(onnx.parser.parse_model(PER_TOKEN.replace("SIZE", size)), tmp_path / f"{name}.onnx")
        models.append(subject(tmp_path / f"{name}.onnx"))
    _, found = bench(models, quick(batch=3)).subjects
    assert (found.difference, found.padded_difference) == (0, 0)


def test_an_interrupt_after_one_repetition_keeps_its_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_at(monkeypatch, 2)
    slow = quick(seq_lens=(4, 8), budget_s=1e-6)  # two rounds, and no more
    report = bench([subject(token_model(tmp_path / f"{name}.onnx")) for name in "ab"], slow)
    (cell,) = report.cells
    assert (cell.seq_len, cell.rounds) == (4, (2,))
    for item in cell.measurements:
        assert (item.low_ms, item.high_ms) == (min(item.times_ms), max(item.times_ms))
        assert not item.stable
