"""The whole benchmark on tiny models; the measured times themselves are not checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto
from perf_models import VOCAB_SIZE, token_model

from graphs.execution.centred_error import largest_centred_error
from perf import harness
from perf.errors import PerfError, PerfUsageError
from perf.harness import REPETITIONS, SEQ_LENS, BenchOptions, Subject
from perf.machine import footprint
from perf.machine.footprint import Footprint
from perf.providers import CPU, Provider
from perf.results.report import Report
from perf.results.report_file import read_report
from perf.sessions.inputs import declared_inputs, synthesise
from perf.sessions.runtimes.onnxruntime_session import open_session
from perf.sessions.subject import Sizes
from perf.sessions.types import Feed, Outputs
from perf.statistics import ratio, summarise
from perf.timing import description, repetitions


def quick(**changed: Any) -> BenchOptions:
    """Options of a benchmark that takes a moment, with one thread."""
    return BenchOptions(**{"precision": 0.5, "budget_s": 0.01, "threads": (1,), **changed})


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


def test_models_with_different_outputs_get_a_warning(tmp_path: Path) -> None:
    subjects = [
        subject(token_model(tmp_path / f"{name}.onnx", seed=seed)) for name, seed in {"a": 1, "b": 1, "c": 2}.items()
    ]
    report = bench(subjects, quick(seq_lens=(4,)))
    first, same, other = (item.difference for item in report.subjects)
    assert first is None
    assert same == 0
    assert other is not None
    assert other > 0.1
    assert [text for text in report.warnings if "the outputs of c.onnx differ from those of a.onnx" in text]
    assert not [text for text in report.warnings if "b.onnx does not say" in text]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_are_reported(value: float, tmp_path: Path) -> None:
    """Of a single model, too; and at the longest length alone, whose ids are others than those of the shortest."""
    one = subject(token_model(tmp_path / "one.onnx"))
    declared = declared_inputs(open_session(one.path, CPU, 1))
    short, long = (
        set(synthesise("one", declared, batch=1, seq_len=seq_len, vocab_size=VOCAB_SIZE)["input_ids"].ravel())
        for seq_len in (2, 12)
    )
    rows = dict.fromkeys(map(int, long - short), value)
    broken = subject(token_model(tmp_path / "broken.onnx", rows=rows))
    for subjects in ([broken], [one, broken], [broken, one]):
        report = bench(subjects, quick(seq_lens=(2, 12)))
        assert {item.name: item.non_finite for item in report.subjects if item.non_finite} == {
            "broken.onnx": {"logits": (12,)}
        }
        assert report.broken == ("broken.onnx",)
        text = "broken.onnx is not usable: its output logits is NaN or infinite at 12 tokens; disregard its times, and"
        assert sum(warning.startswith(text) for warning in report.warnings) == 1
    report.write_json(tmp_path / "report.json")
    assert read_report(tmp_path / "report.json").subjects[0].non_finite == {"logits": (12,)}


def test_report_and_its_json(tmp_path: Path) -> None:
    subjects = [
        subject(token_model(tmp_path / "one.onnx")),
        subject(token_model(tmp_path / "two.onnx", integer=TensorProto.INT32, mask=TensorProto.INT32)),
        subject(token_model(tmp_path / "choices.onnx", shape=["batch", "choices", "seq"])),
    ]
    lines: list[str] = []
    report = bench(subjects, quick(seq_lens=(4, 8, 4), batch=2, threads=(1, 2)), progress=lines.append)
    assert [(cell.threads, cell.seq_len) for cell in report.cells] == [(1, 4), (1, 8), (2, 4), (2, 8)]
    for cell in report.cells:
        assert len(cell.rounds) == REPETITIONS
        first = cell.measurements[0].times_ms
        assert [item.speedup is None for item in cell.measurements] == [True, False, False]
        for item, choices in zip(cell.measurements, (1, 1, 2), strict=True):
            assert item.runs == len(item.times_ms) == sum(cell.rounds) >= 12
            summary = summarise(item.times_ms)
            assert (item.median_ms, item.p99_ms) == (summary.median, summary.p99)
            assert (item.low_ms, item.high_ms) == (summary.low, summary.high)
            assert item.tokens_per_second == pytest.approx(2 * choices * cell.seq_len / item.median_ms * 1000)
            assert item.speedup in (None, ratio(first, item.times_ms, cell.rounds))
    assert report.subjects[0].placement.nodes == {"CPUExecutionProvider": 2}
    assert report.arguments.seq_lens == (4, 8)
    assert any("one.onnx" in line for line in lines)
    assert any("2 threads, 8 tokens" in line for line in lines)

    report.write_json(tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    read = json.loads(text)
    assert (read["schema"], read["schema_version"]) == ("mbert-onnx/bench", 1)
    assert read == json.loads(json.dumps(report.to_json()))
    times = read["cells"][3]["measurements"][1]["times_ms"]
    assert tuple(times) == report.cells[3].measurements[1].times_ms
    assert read["subjects"][0]["file"]["size_bytes"] == (tmp_path / "one.onnx").stat().st_size
    assert str(tmp_path) not in text


def test_load_time_and_memory_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "LOADS", 1)
    monkeypatch.setattr(description, "footprint", footprint.footprint)
    report = bench([subject(token_model(tmp_path / "a.onnx"))], quick(seq_lens=(4,)))
    found = report.subjects[0].footprint
    assert found.loads_ms == (found.load_ms,)
    assert found.load_ms > 0
    assert found.peak_bytes > 0


def test_a_fixed_length_is_detected(tmp_path: Path) -> None:
    free, fixed = subject(token_model(tmp_path / "free.onnx")), subject(token_model(tmp_path / "f.onnx", shape=[1, 16]))
    report = bench([free, fixed], quick())
    assert report.arguments.seq_lens == (16,)
    with pytest.raises(PerfUsageError, match=r"f\.onnx takes only seq-len 16, not 8: pass --seq-len 16"):
        bench([fixed], quick(seq_lens=(8, 4)))
    other = subject(token_model(tmp_path / "other.onnx", shape=[1, 12]))
    with pytest.raises(PerfUsageError, match=r"different fixed lengths \(f\.onnx 16, other\.onnx 12\)"):
        bench([fixed, other], quick())


def largest_distance(found: Outputs, judge: Outputs, _: Feed) -> float:
    return float(np.abs(found["logits"] - judge["logits"]).max())


def test_the_error_is_measured_from_the_float_model(tmp_path: Path) -> None:
    source, other = token_model(tmp_path / "float.onnx"), token_model(tmp_path / "other.onnx", seed=1)
    same = Subject("same", source, VOCAB_SIZE, reference=source, notes=("made so",))
    wrong = Subject("wrong", other, VOCAB_SIZE, reference=source)
    report = bench([same, wrong, subject(other)], quick(seq_lens=(4, 8)), measure=largest_distance)
    assert report.error_seq_len == 8
    assert report.subjects[0].error == 0
    assert report.subjects[1].error is not None
    assert report.subjects[1].error > 0.1
    assert report.subjects[2].error is None
    assert report.subjects[0].notes == ("made so",)
    assert {item.runtime for item in report.subjects} == {f"onnxruntime {ort.__version__}"}
    # The first one has an error of its own, so differences from it have no meaning.
    assert [item.difference for item in report.subjects] == [None, None, None]
    unmeasured = bench([subject(source), wrong], quick(seq_lens=(4,)), measure=None).subjects[1]
    assert (unmeasured.error, unmeasured.difference, unmeasured.padded_difference) == (None, None, None)


def test_a_file_for_each_length(tmp_path: Path) -> None:
    files = {n: token_model(tmp_path / f"{n}.onnx", shape=[1, n], extra=["token_type_ids"] * (n == 8)) for n in (4, 8)}
    fixed = Subject("fixed", files[8], VOCAB_SIZE, by_length=files)
    report = bench([subject(token_model(tmp_path / "a.onnx")), fixed], quick())
    assert report.arguments.seq_lens == (4, 8)
    described = report.subjects[1]
    assert described.file.size_bytes == files[8].stat().st_size
    assert sum(described.placement.nodes.values()) == 3
    assert described.notes == ("has a file of its own for each length; the one for 8 tokens stands in the table",)
    assert described.difference == 0
    with pytest.raises(PerfUsageError, match="fixed has files for 4,8 tokens, not 16: pass --seq-len 4,8"):
        bench([fixed], quick(seq_lens=(16,)))


def left_out(report: Report) -> list[str]:
    """The warnings on lengths at which nothing was measured."""
    return [warning for warning in report.warnings if warning.startswith("not measured")]


def test_of_the_chosen_lengths_those_that_all_models_take_are_measured(tmp_path: Path) -> None:
    free, fixed = subject(token_model(tmp_path / "free.onnx")), subject(token_model(tmp_path / "f.onnx", shape=[1, 16]))
    files = {n: token_model(tmp_path / f"{n}.onnx", shape=[1, n]) for n in (4, 16)}
    by_length = Subject("files", files[16], VOCAB_SIZE, by_length=files)
    short = Subject("short", free.path, VOCAB_SIZE, sizes=Sizes(longest=16))
    report = bench([free, fixed, by_length, short], quick(seq_lens=(8, 16, 32)))
    assert report.arguments.seq_lens == (16,)
    assert [(cell.seq_len, len(cell.measurements)) for cell in report.cells] == [(16, 4)]
    assert left_out(report) == [
        "not measured at 8, 32 tokens: f.onnx takes 16 of --seq-len 8,16,32",
        "not measured at 8, 32 tokens: files takes 16 of --seq-len 8,16,32",
        "not measured at 32 tokens: short takes 8, 16 of --seq-len 8,16,32",
    ]
    assert left_out(bench([free, fixed], quick(seq_lens=(16,)))) == []


def test_a_model_that_takes_none_of_the_chosen_lengths_fails_alone(tmp_path: Path) -> None:
    free, fixed = subject(token_model(tmp_path / "free.onnx")), subject(token_model(tmp_path / "f.onnx", shape=[1, 16]))
    report = bench([free, fixed], quick(seq_lens=(4, 8)))
    assert report.arguments.seq_lens == (4, 8)
    assert [failure.name for failure in report.failures] == ["f.onnx"]
    other = subject(token_model(tmp_path / "other.onnx", shape=[1, 12]))
    with pytest.raises(PerfUsageError, match=r"no length of --seq-len fits all models \(f\.onnx 16; other\.onnx 12\)"):
        bench([fixed, other], quick(seq_lens=(12, 16)))


def test_each_length_is_timed_with_its_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def spy(path: Path, provider: Provider, threads: int, library: Path | None) -> object:
        opened.append(path.stem)
        return open_session(path, provider, threads, library)

    files = {n: token_model(tmp_path / f"{n}.onnx", shape=[1, n]) for n in (4, 8, 16)}
    free = subject(token_model(tmp_path / "free.onnx"))
    monkeypatch.setattr("perf.sessions.runtimes.onnxruntime_session.open_session", spy)
    bench([Subject("fixed", files[16], VOCAB_SIZE, by_length=files), free], quick(seq_lens=(4, 8)))
    assert opened[:4] == ["4", "8", "16", "free"]  # each was inspected
    assert opened[4:7] == ["8", "4", "free"]  # outputs are looked at at each length, and compared at the shortest
    assert opened[7:] == ["4", "8", "free", "free", "4", "8"] * (REPETITIONS // 2)


def test_default_lengths(tmp_path: Path) -> None:
    report = bench([subject(token_model(tmp_path / "a.onnx"))], quick())
    assert report.arguments.seq_lens == SEQ_LENS
    assert report.cells[0].measurements[0].speedup is None


@pytest.mark.parametrize(
    ("sizes", "expected", "left_out"),
    [
        (
            Sizes(longest=128),
            (8, 32, 128),
            "not measured at 384 tokens, which are among the default lengths: a.onnx takes ",
        ),
        (Sizes(longest=16), (8,), "not measured at 32, 128, 384 tokens"),
        (Sizes(longest=4), (4,), "not measured at 8, 32, 128, 384 tokens"),
        (Sizes(shortest=32, longest=512, step=32), (32, 128, 384), "not measured at 8 tokens"),
        (Sizes(shortest=12, longest=12), (12,), None),
        (Sizes(longest=384), SEQ_LENS, None),
    ],
)
def test_default_lengths_are_those_that_all_models_take(
    sizes: Sizes, expected: tuple[int, ...], left_out: str | None, tmp_path: Path
) -> None:
    file = token_model(tmp_path / "a.onnx")
    report = bench(
        [Subject("a.onnx", file, VOCAB_SIZE, sizes=sizes), subject(token_model(tmp_path / "b.onnx"))], quick()
    )
    assert report.arguments.seq_lens == expected
    notes = [warning for warning in report.warnings if warning.startswith("not measured")]
    assert [note for note in notes if note.startswith(left_out or "?")] == notes
    assert len(notes) == (left_out is not None)


@pytest.mark.parametrize(
    ("sizes", "options", "says"),
    [
        (Sizes(longest=16), {"seq_lens": (32,)}, r"a\.onnx takes 1 to 16 tokens, not 32: pass another --seq-len"),
        (Sizes(longest=16), {"ragged": (8, 32)}, r"takes 1 to 16 tokens, not 32: pass shorter texts in --ragged, or"),
        (Sizes(shortest=8, step=8), {"seq_lens": (12,)}, r"takes 8 tokens or more in steps of 8, not 12"),
        (Sizes(shortest=16, longest=16), {"seq_lens": (8,)}, r"takes 16 tokens, not 8"),
        (Sizes(batch=1), {"seq_lens": (8,), "batch": 4}, r"runs with batch 1 only, not 4: pass --batch 1"),
    ],
)
def test_sizes_that_a_model_does_not_take_are_refused(
    sizes: Sizes, options: dict[str, Any], says: str, tmp_path: Path
) -> None:
    file = token_model(tmp_path / "a.onnx")
    with pytest.raises(PerfUsageError, match=says):
        bench([Subject("a.onnx", file, VOCAB_SIZE, sizes=sizes)], quick(**options))


def test_models_without_a_common_length_are_refused(tmp_path: Path) -> None:
    file = token_model(tmp_path / "a.onnx")
    few = Subject("few", file, VOCAB_SIZE, sizes=Sizes(longest=4))
    many = Subject("many", file, VOCAB_SIZE, sizes=Sizes(shortest=8, longest=64, step=8))
    with pytest.raises(
        PerfUsageError, match=r"no length fits all models \(few: 1 to 4 tokens, many: 8 to 64 tokens in"
    ):
        bench([few, many], quick())


def test_ids_stay_below_the_smallest_vocabulary(tmp_path: Path) -> None:
    small = subject(token_model(tmp_path / "small.onnx"))
    wide = Subject("wide", token_model(tmp_path / "wide.onnx"), 30522)
    assert bench([wide, small], quick(seq_lens=(64,))).arguments.vocab_size == VOCAB_SIZE
    with pytest.raises(PerfUsageError, match=r"does not run on input_ids \[1, 64\].*within its vocabulary"):
        bench([wide], quick(seq_lens=(64,)))


def test_sessions_are_opened_in_both_orders_and_one_thread_count_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, int]] = []

    def spy(path: Path, provider: Provider, threads: int, library: Path | None) -> object:
        opened.append((path.stem, threads))
        return open_session(path, provider, threads, library)

    monkeypatch.setattr("perf.sessions.runtimes.onnxruntime_session.open_session", spy)
    bench([subject(token_model(tmp_path / f"{name}.onnx")) for name in "ab"], quick(seq_lens=(4,), threads=(1, 2)))
    there, back = [("a", 1), ("b", 1), ("a", 2), ("b", 2)], [("b", 1), ("a", 1), ("b", 2), ("a", 2)]
    assert opened[4:] == (there + back) * (REPETITIONS // 2)  # each was inspected, and run once for its outputs


def test_subjects_without_distinct_names_or_a_vocabulary_are_refused(tmp_path: Path) -> None:
    one = subject(token_model(tmp_path / "a.onnx"))
    with pytest.raises(PerfUsageError, match="no model given"):
        bench([], quick())
    with pytest.raises(PerfUsageError, match=r"two models are called 'a\.onnx'"):
        bench([one, one], quick())
    with pytest.raises(PerfUsageError, match="the vocabulary size of a is 0"):
        bench([Subject("a", one.path, 0)], quick())


def test_a_provider_that_takes_no_node_is_refused(tmp_path: Path) -> None:
    if "AzureExecutionProvider" not in ort.get_available_providers():
        pytest.skip("this onnxruntime has no azure")
    with pytest.raises(PerfError, match="timed nothing"):
        bench([subject(token_model(tmp_path / "a.onnx"))], quick(provider="azure"))
