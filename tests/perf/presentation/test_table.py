"""What a person reads."""

from __future__ import annotations

from dataclasses import replace

from perf_reports import measurement, report
from rich.console import Console

from perf.presentation.table import print_report, to_markdown
from perf.results.report import Report
from perf.sessions.session import Placement
from perf.statistics import Ratio

WIDTH = 100


def printed(shown: Report) -> str:
    console = Console(width=WIDTH, force_terminal=False)
    with console.capture() as capture:
        print_report(shown, console)
    return capture.get()


def test_terminal() -> None:
    text = printed(report())
    rows = [line.split() for line in text.splitlines() if ".onnx" in line]
    assert text.index("1 thread") < text.index("2 threads")
    assert ["128", "base.onnx", "61.71", "±", "0.62", "74.05", "86.40", "2,074", "1×"] in rows
    assert "1.17× (1.15–1.19)" in text
    assert "no significant difference" in text
    assert "8.30 ± 4.15*" in text
    assert "fused[b]|x.onnx" in text
    assert "* unstable" in text
    assert ["base.onnx", "390.0", "61.0", "MB", "25.1", "MB", "361", "CPU", "–"] in rows
    assert "Some CPU (avx2), 2 of 4 cores" in text
    assert text.rstrip().endswith("warning: the [b]moon[/b] was full")


def test_tables_fit_and_names_are_whole() -> None:
    name = "models/a-rather-long-name-for-a-model_int8[qdq].onnx"
    text = printed(report(name))
    tables = [
        line for line in text.splitlines() if not line.startswith(("Some CPU", "± ", "* ", "difference", "warning"))
    ]
    assert max(map(len, tables)) <= WIDTH
    joined = "".join(line.strip().split("  ")[0] for line in tables)
    assert "…" not in text
    assert "1.17× (1.15–1.19)" in text
    assert "models/" in joined


def test_markdown() -> None:
    lines = to_markdown(report()).splitlines()
    header = "| threads | tokens | model | median ms | p90 | p99 | tokens/s | against base.onnx |"
    assert lines[lines.index(header) + 1] == "| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |"
    assert "| 1 | 128 | base.onnx | 61.71 ± 0.62 | 74.05 | 86.40 | 2,074 | 1× |" in lines
    assert "| 1 | 128 | fused[b]\\|x.onnx | 52.74 ± 0.53 | 63.29 | 73.84 | 2,427 | 1.17× (1.15–1.19) |" in lines
    assert any(line.startswith("| 2 | 128 | fused") and "no significant difference" in line for line in lines)
    assert "| base.onnx | 390.0 | 61.0 MB | 25.1 MB | 361 CPU | – |" in lines
    assert lines[-1] == "- warning: the [b]moon[/b] was full"


def test_one_model_is_compared_with_nobody() -> None:
    full = report()
    cells = tuple(replace(cell, measurements=cell.measurements[:1]) for cell in full.cells)
    alone = replace(full, subjects=full.subjects[:1], cells=cells)
    assert "against" not in to_markdown(alone)
    assert "against" not in printed(alone)
    assert "difference" not in to_markdown(alone)


def test_small_but_certain_difference_is_not_printed_as_one() -> None:
    full = report()
    close = measurement("fused[b]|x.onnx", 52.0, Ratio(1.004, 1.002, 1.006, True))
    cell = replace(full.cells[0], measurements=(full.cells[0].measurements[0], close))
    assert "1.004× (1.002–1.006)" in to_markdown(replace(full, cells=(cell,)))


def with_errors(*errors: float | None, difference: float | None = None) -> Report:
    full = report()
    subjects = tuple(
        replace(item, error=error, difference=difference, runtime="OpenVINO 2026.4", notes=("made [so]",))
        for item, error in zip(full.subjects, errors, strict=True)
    )
    return replace(full, subjects=subjects, error_seq_len=128)


def test_errors_from_float_models_have_a_column_that_says_what_it_is() -> None:
    text = to_markdown(with_errors(0.234, float("inf")))
    assert "| model | load ms | peak memory | file size | nodes | error at 128 tokens |" in text
    assert "| base.onnx | 390.0 | 61.0 MB | 25.1 MB | 361 CPU | 0.23 |" in text
    assert "| 361 CPU | inf |" in text
    assert "of the float model that it was built from" in text.replace("outputs b ", "")
    assert "base.onnx: made [so]" in text
    assert "onnxruntime 1.32.0, provider cpu, OpenVINO 2026.4, batch 1" in text
    assert "error at 128 tokens" in printed(with_errors(0.234, None))


def test_a_difference_that_is_known_stands_before_the_error() -> None:
    text = to_markdown(with_errors(None, 0.234, difference=0.5))
    assert "| nodes | difference | error at 128 tokens |" in text
    assert "| 361 CPU | 0.5 | – |" in text
    assert "| 361 CPU | 0.5 | 0.23 |" in text


def test_an_empty_cell_is_explained() -> None:
    base = report("fused.onnx")
    first, second = base.subjects
    text = to_markdown(replace(base, subjects=(first, replace(second, difference=0.5))))
    assert "| 361 CPU | – |" in text
    assert (
        "difference is the centred error of a model's outputs from those of the first model, base.onnx (itself –), at "
        "128 tokens." in text
    )
    assert "difference – of" not in text
    assert (
        "difference – of fused.onnx: no floating-point output has a name of base.onnx's, or both read texts, and rank "
        "their answers." in to_markdown(base)
    )
    errors = to_markdown(replace(base, subjects=(first, replace(second, error=0.5)), error_seq_len=128))
    assert "error – of base.onnx: no float model." in errors
    assert "difference" not in errors.replace("no significant difference", "")
    far = to_markdown(replace(base, subjects=(first, replace(second, cpu_difference=0.5))))
    assert "from the CPU's – of base.onnx: not run by onnxruntime, or without comparable outputs." in far


def test_without_errors_there_is_no_word_of_them() -> None:
    text = to_markdown(report())
    assert "error at" not in text
    assert "float model" not in text


def test_repeated_repetitions_are_counted() -> None:
    assert "repeated" not in to_markdown(report())
    first, second = report().cells
    cells = (replace(first, repeated={"spread": 2}), replace(second, repeated={"steal time": 1, "spread": 1}))
    note = "12 repetitions were timed, and 4 repeated because of a disturbance (spread 3, steal time 1)."
    assert note in to_markdown(replace(report(), cells=cells)).splitlines()
    assert note in " ".join(printed(replace(report(), cells=cells)).split())


def test_another_provider_tells_its_partitions_and_how_far_it_is_from_the_cpu() -> None:
    shown = report()
    placed = Placement({"QNNExecutionProvider": {"Gemm": 83}}, {"QNNExecutionProvider": 2})
    other = replace(shown.subjects[0], placement=placed, cpu_difference=1.23e-3)
    lines = to_markdown(replace(shown, subjects=(other, shown.subjects[1]))).splitlines()
    assert any("| 83 QNN in 2 partitions |" in line and "| 0.001 |" in line for line in lines)
    assert any(line.startswith("from the CPU's: centred error of the outputs on cpu") for line in lines)
    one = replace(other, placement=Placement(placed.operators, {"QNNExecutionProvider": 1}))
    assert "83 QNN in 1 partition |" in to_markdown(replace(shown, subjects=(one, shown.subjects[1])))
