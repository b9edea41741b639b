"""Warnings: there when they must be, absent when not, with their cause and cure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from perf_reports import MACHINE, report, with_measurements

from perf.presentation.warnings import find_warnings
from perf.results.report import Report

CALM = with_measurements(report(), stable=True)


def warnings(base: Report, **machine: Any) -> list[str]:
    return find_warnings(replace(MACHINE, **machine), base.arguments, base.other_cores, base.cells, base.subjects)


def test_nothing_to_doubt() -> None:
    assert warnings(CALM) == []


def test_models_that_are_not_the_same() -> None:
    first, second = CALM.subjects
    assert warnings(replace(CALM, subjects=(first, replace(second, difference=1e-6)))) == []
    (text,) = warnings(replace(CALM, subjects=(first, replace(second, difference=0.25))))
    assert "the outputs of fused[b]|x.onnx differ from those of base.onnx" in text
    assert "centred error 0.25;" in text
    assert warnings(replace(CALM, subjects=(first, replace(second, difference=float("nan")))))


def test_many_models_that_are_not_the_same_share_a_line() -> None:
    first, second = CALM.subjects
    others = [replace(second, name=name, difference=by) for name, by in (("one", 0.25), ("two", 0.5))]
    (text,) = warnings(replace(CALM, subjects=(first, *others)))
    assert "the outputs of 2 models differ from those of base.onnx" in text
    assert "centred error of one 0.25, two 0.5;" in text


def test_models_that_say_nothing_any_more() -> None:
    first, second = CALM.subjects
    assert warnings(replace(CALM, subjects=(first, replace(second, error=0.9)))) == []
    for error in (1.0, float("inf"), float("nan")):
        (text,) = warnings(replace(CALM, subjects=(first, replace(second, error=error))))
        assert "fused[b]|x.onnx is not usable: its centred error from its float model is" in text


def test_models_whose_outputs_are_not_finite() -> None:
    first, second = CALM.subjects
    broken: Any = {"non_finite": {"logits": (8, 128)}, "difference": float("inf"), "error": float("inf")}
    expected = "is not usable: its output logits is NaN or infinite at 8, 128 tokens; disregard its times, and time"
    (text,) = warnings(replace(CALM, subjects=(first, replace(second, **broken))))
    assert text.startswith(f"fused[b]|x.onnx {expected}")
    # No difference from a broken model says anything.
    far = replace(second, difference=float("inf"), padded_difference=float("inf"))
    (text,) = warnings(replace(CALM, subjects=(replace(first, non_finite=broken["non_finite"]), far)))
    assert text.startswith(f"base.onnx {expected}")


def test_more_threads_than_cores() -> None:
    (text,) = warnings(replace(CALM, arguments=replace(CALM.arguments, threads=(1, 3))))
    assert text.startswith("3 threads share 2 available cores")
    assert "--threads 2" in text


def test_a_frequency_that_changes() -> None:
    assert warnings(CALM, governor="performance") == []
    (text,) = warnings(CALM, governor="powersave")
    assert text.startswith("the governor 'powersave' changes the processor's frequency; choose performance")


def test_a_machine_whose_speed_moves() -> None:
    def speed_warnings(*speed_check_ms: float) -> list[str]:
        return find_warnings(MACHINE, CALM.arguments, 0.0, CALM.cells, CALM.subjects, speed_check_ms)

    assert speed_warnings(1.0, 1.09, 1.05) == []
    (text,) = speed_warnings(1.0, 1.2, 1.05)
    assert "a fixed task took 1.00 to 1.20 ms; trust ratios, not milliseconds" in text


def test_load_average() -> None:
    assert warnings(CALM, load_average=(2.0, 0.0, 0.0)) == []
    assert warnings(CALM, load_average=None) == []
    (text,) = warnings(CALM, load_average=(2.1, 0.0, 0.0))
    assert "load average was 2.1 on 4 cores" in text


def test_other_programs() -> None:
    assert warnings(replace(CALM, other_cores=0.4)) == []
    (text,) = warnings(replace(CALM, other_cores=1.26))
    assert "other programs used 1.3 of 4 cores" in text


def test_repetitions_that_remain_disturbed() -> None:
    first, second = CALM.cells
    assert warnings(replace(CALM, cells=(replace(first, repeated={"spread": 2}), second))) == []
    both = (replace(first, disturbed={"spread": 1}), replace(second, disturbed={"steal time": 1, "spread": 1}))
    (text,) = warnings(replace(CALM, cells=both))
    assert text == (
        "3 of 12 repetitions remain disturbed (spread 2, steal time 1), the most at 128 tokens, 2 threads (2 of 6); "
        "end other programs, and use a machine whose processors are not shared with others, and repeat"
    )


def test_unstable_names_the_worst_and_the_options() -> None:
    (text,) = warnings(report())
    assert text.startswith("unstable: 1 of 4 medians have a wider interval than the requested ±2.0%")
    assert "fused[b]|x.onnx at 128 tokens, 2 threads, ±50.0% after 24 runs" in text
    assert "--budget" in text
    assert "--precision" in text


def test_never_steady() -> None:
    assert warnings(with_measurements(CALM, unsteady_repetitions=3)) == []
    (text,) = warnings(with_measurements(CALM, unsteady_repetitions=4))
    assert "in 4 of 4 medians" in text
    assert "(4 of 6 repetitions)" in text
    assert "--budget" in text


def test_a_machine_that_is_emulated() -> None:
    (text,) = warnings(CALM, is_emulated=True)
    assert "is emulated: its times are meaningless" in text


def test_padding_that_is_treated_otherwise() -> None:
    first, second = CALM.subjects
    assert warnings(replace(CALM, subjects=(first, replace(second, difference=0.0, padded_difference=1e-6)))) == []
    (text,) = warnings(replace(CALM, subjects=(first, replace(second, difference=0.0, padded_difference=0.3))))
    assert "fused[b]|x.onnx handles padding differently from base.onnx" in text
    # A model whose outputs differ anyway gets no second warning.
    (text,) = warnings(replace(CALM, subjects=(first, replace(second, difference=0.3, padded_difference=0.3))))
    assert "differ from those of" in text


def test_too_few_runs_for_percentiles() -> None:
    few = with_measurements(CALM, runs=12)
    (text,) = warnings(few)
    assert "too few runs for percentiles in" in text
    assert "pass a longer --budget" in text
    assert warnings(with_measurements(CALM, runs=20)) == []


@pytest.mark.parametrize(
    ("repetitions", "says"),
    [(4, "interrupted: of 6 repetitions, 4 to 4 were done"), (6, "interrupted after all models were timed")],
)
def test_what_was_interrupted(repetitions: int, says: str) -> None:
    cells = [replace(cell, rounds=(10,) * repetitions) for cell in CALM.cells]
    found = find_warnings(MACHINE, CALM.arguments, CALM.other_cores, cells, CALM.subjects, interrupted=True)
    assert found[0].startswith(says)
