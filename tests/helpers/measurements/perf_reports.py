"""A report with planted numbers, for the tests of what is made of reports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from perf.machine.footprint import Footprint
from perf.machine.machine import Machine, Software
from perf.results.model_file import ModelFile
from perf.results.report import Arguments, Cell, Measurement, Report, SubjectReport
from perf.sessions.session import Placement
from perf.statistics import Ratio

MACHINE = Machine(
    cpu="Some CPU",
    cpu_features=("avx2",),
    architecture="x86_64",
    physical_cores=2,
    logical_cores=4,
    affinity=(0, 1),
    frequency_mhz=None,
    governor=None,
    load_average=(0.1, 0.1, 0.1),
    memory_bytes=2**34,
    os="Linux",
)


def measurement(name: str, median_ms: float, speedup: Ratio | None, *, stable: bool = True) -> Measurement:
    return Measurement(
        subject=name,
        median_ms=median_ms,
        low_ms=median_ms * 0.99,
        high_ms=median_ms * (1.01 if stable else 1.5),
        p90_ms=median_ms * 1.2,
        p99_ms=median_ms * 1.4,
        tokens_per_second=128 / median_ms * 1000,
        runs=24,
        stable=stable,
        unsteady_repetitions=0,
        speedup=speedup,
        times_ms=(median_ms,) * 24,
    )


def report(second: str = "fused[b]|x.onnx") -> Report:
    """Two models, 128 tokens, one and two threads: 1.17 times as fast, then no difference and unstable."""
    subjects = tuple(
        SubjectReport(
            name,
            ModelFile(25_100_000, "ab" * 32),
            Footprint((380.0, 390.0, 400.0), 390.0, 61_000_000),
            Placement({"CPUExecutionProvider": {"Gemm": 361}}),
        )
        for name in ("base.onnx", second)
    )
    one = (measurement("base.onnx", 61.712, None), measurement(second, 52.74, Ratio(1.17, 1.15, 1.19, True)))
    two = (measurement("base.onnx", 8.4, None), measurement(second, 8.3, Ratio(1.01, 0.99, 1.03, False), stable=False))
    return Report(
        date="2025-01-02T03:04:05+00:00",
        arguments=Arguments("cpu", (128,), 1, (1, 2), 0.02, 10.0, 0, 1000),
        machine=MACHINE,
        software=Software("3.11.0", "1.32.0", "unknown", "2.0.0"),
        other_cores=0.0,
        subjects=subjects,
        cells=(Cell(128, 1, (4,) * 6, one), Cell(128, 2, (4,) * 6, two)),
        warnings=("the [b]moon[/b] was full",),
    )


def with_measurements(base: Report, **changes: Any) -> Report:
    """The report with every measurement changed."""
    cells = tuple(
        replace(cell, measurements=tuple(replace(item, **changes) for item in cell.measurements)) for cell in base.cells
    )
    return replace(base, cells=cells)
