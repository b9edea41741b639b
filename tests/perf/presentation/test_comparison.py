"""What two reports say of each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from perf_reports import report
from rich.console import Console

from perf.errors import PerfUsageError
from perf.presentation.comparison import FASTER, SLOWER, UNDECIDED, Comparison, compare, print_comparison
from perf.results.report import Report


def times_as_long(factor: float, which: int = 1) -> Report:
    """The usual report, in which one model takes so many times as long in every run, give or take."""
    old = report()
    cells = []
    for cell in old.cells:
        items = list(cell.measurements)
        item = items[which]
        spread = [1 + 0.001 * (index % 7) for index in range(len(item.times_ms))]
        times = tuple(time * factor * wide for time, wide in zip(item.times_ms, spread, strict=True))
        items[which] = replace(item, median_ms=item.median_ms * factor, times_ms=times)
        cells.append(replace(cell, measurements=tuple(items)))
    return replace(old, cells=tuple(cells), warnings=())


def printed(comparison: Comparison) -> str:
    console = Console(width=120, force_terminal=False)
    with console.capture() as capture:
        print_comparison(comparison, console)
    return capture.get()


@pytest.mark.parametrize(
    ("factor", "verdict", "slower"), [(1.2, SLOWER, True), (0.5, FASTER, False), (1.0, UNDECIDED, False)]
)
def test_verdicts(factor: float, verdict: str, slower: bool) -> None:
    found = compare(times_as_long(1.0), times_as_long(factor))
    own = [change for change in found.changes if change.subject != "base.onnx"]
    assert [change.verdict for change in own] == [verdict] * 2
    assert [change.verdict for change in found.changes if change.subject == "base.onnx"] == [UNDECIDED] * 2
    assert found.slower == slower
    for change in own:
        assert change.ratio.median == pytest.approx(1 / factor, rel=0.01)
        assert change.new_ms == pytest.approx(change.old_ms * factor)
    assert found.warnings == ()
    assert verdict in printed(found)


def test_what_else_has_changed_is_told() -> None:
    old, new = times_as_long(1.0), times_as_long(1.0)
    new = replace(
        new,
        machine=replace(new.machine, cpu="Another CPU", cpu_features=("avx2", "avx512f")),
        software=replace(new.software, onnxruntime="9.9"),
        warnings=("the moon was full",),
    )
    told = compare(old, new).warnings
    assert told[0] == (
        "the machine differs (Some CPU, then Another CPU), which may have caused a change; measure both alike"
    )
    assert told[1].startswith("the set of processor features differs (avx2, then avx2, avx512f)")
    assert told[2].startswith(f"onnxruntime differs ({old.software.onnxruntime}, then 9.9)")
    assert told[3] == "the new report: the moon was full"
    assert "warning: the machine differs" in printed(compare(old, new))


def test_a_machine_that_was_slower_is_told() -> None:
    old = replace(times_as_long(1.0), speed_check_ms=(0.5, 0.51, 0.5))
    assert compare(old, replace(old, speed_check_ms=(0.54, 0.5, 0.9))).warnings == ()
    for factor in (0.8, 1.3):
        (text,) = compare(old, replace(old, speed_check_ms=(0.5 * factor,) * 3)).warnings
        assert f"took 0.50, then {0.5 * factor:.2f} ms, so all times may have changed by as much" in text


def test_models_that_one_of_both_lacks_are_left_out() -> None:
    old, new = times_as_long(1.0), report("other.onnx")
    new = replace(
        new,
        cells=tuple(
            replace(c, measurements=(c.measurements[0], replace(c.measurements[1], subject="other.onnx")))
            for c in new.cells
        ),
    )
    found = compare(old, new)
    assert {change.subject for change in found.changes} == {"base.onnx"}
    assert any(
        "the reports do not have the same cells of fused[b]|x.onnx, other.onnx" in warning for warning in found.warnings
    )


def test_cells_with_few_repetitions_are_left_out() -> None:
    """An interrupt ends a benchmark within a repetition of all cells."""
    whole = report()
    first, second = whole.cells
    few = replace(whole, cells=(first, replace(second, rounds=(8, 8, 8))))
    for old, new in ((few, whole), (whole, few)):
        found = compare(old, new)
        assert {change.threads for change in found.changes} == {1}
        assert "2 cells have fewer than 4 repetitions and are left out; measure again" in found.warnings
    few = replace(whole, cells=(replace(first, rounds=(24,)), replace(second, rounds=(24,))))
    with pytest.raises(PerfUsageError, match="fewer than 4 repetitions of each cell, as after an interrupt"):
        compare(few, whole)
    four = replace(whole, cells=tuple(replace(cell, rounds=(6,) * 4) for cell in whole.cells))
    assert len(compare(four, four).changes) == 4


def test_reports_with_nothing_in_common() -> None:
    new = report()
    new = replace(new, cells=tuple(replace(cell, seq_len=9) for cell in new.cells))
    with pytest.raises(PerfUsageError, match=r"no model, length and number of threads in common \(old: base\.onnx, "):
        compare(report(), new)
