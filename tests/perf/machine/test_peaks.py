"""What a machine can do at most: the products are true ones, and the best run counts."""

from __future__ import annotations

import itertools

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from perf.errors import PerfError, PerfUsageError
from perf.machine import peaks as module
from perf.machine.peaks import FORMS, SIDE, Peaks, peaks, product_model


@pytest.mark.parametrize(("domain", "operator", "precision"), FORMS)
def test_each_form_computes_the_product(domain: str, operator: str, precision: str) -> None:
    model, activations = product_model(domain, operator, precision)
    assert (activations.dtype == np.float16) == (precision == "fp16")
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString())
    (found,) = session.run(None, {"x": activations})
    assert found.shape == (SIDE, SIDE)
    np.testing.assert_allclose(found, SIDE, rtol=1e-3)  # ones times ones, quantized in one form


def test_peaks_are_of_all_precisions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.0)
    found = peaks(2)
    assert found.threads == 2
    assert set(found.gmacs) == {"float32", "fp16", "int8"}
    assert min(*found.gmacs.values(), found.bandwidth_gb_s) > 0


def test_the_fastest_form_of_a_precision_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {
        "MatMulfloat32": 1.0,
        "MatMulfp16": 4.0,
        "MatMulIntegerint8": 0.5,
        "DynamicQuantizeMatMulint8": 0.25,
        "QGemmint8": 2.0,
    }
    monkeypatch.setattr(module, "_product", lambda domain, operator, precision, threads: operator + precision)
    monkeypatch.setattr(module, "_best", lambda operator: seconds[operator])
    monkeypatch.setattr(module, "_bandwidth", lambda threads: 3.0)
    found = peaks(1)
    assert found.gmacs == pytest.approx(
        {"float32": SIDE**3 / 1e9, "fp16": SIDE**3 / 4 / 1e9, "int8": SIDE**3 / 0.25 / 1e9}
    )
    assert found.bandwidth_gb_s == 3.0


def test_a_form_that_onnxruntime_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def product(domain: str, operator: str, precision: str, threads: int) -> str:
        if domain or precision == "fp16":
            raise RuntimeError("no such\noperator")
        return operator

    monkeypatch.setattr(module, "_product", product)
    monkeypatch.setattr(module, "_best", lambda operator: 1.0)
    monkeypatch.setattr(module, "_bandwidth", lambda threads: 3.0)
    assert set(peaks(1).gmacs) == {"float32", "int8"}


def test_a_precision_without_any_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def product(domain: str, operator: str, precision: str, threads: int) -> str:
        if operator != "MatMul":
            raise RuntimeError("no such\noperator")
        return operator

    monkeypatch.setattr(module, "_product", product)
    monkeypatch.setattr(module, "_best", lambda operator: 1.0)
    with pytest.raises(PerfError, match=r"runs no matrix product in int8 here \(no such operator\)"):
        peaks(1)


def test_the_best_run_counts_and_the_first_does_not() -> None:
    # The first run asks no clock. Then the start, and for each run what it began and ended at, and whether to go on.
    second = 1_000_000_000
    ticks = itertools.chain(
        [0, 0, 3 * second, 3 * second, 4 * second, 9 * second, 11 * second], itertools.repeat(second**2)
    )
    runs = []
    assert module._best(lambda: runs.append(1), clock=lambda: next(ticks)) == 1.0
    assert len(runs) == 1 + module.FEWEST


def test_bandwidth_counts_each_byte_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_BYTES", 12_000)
    monkeypatch.setattr(module, "_largest_cache", lambda: 0)
    monkeypatch.setattr(module, "_best", lambda run: 0.5 if run() == [1.0] * 3 else 0.0)
    assert module._bandwidth(3) == pytest.approx(12_000 / 0.5 / 1e9)


def test_more_is_read_than_a_large_cache_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_BYTES", 12_000)
    monkeypatch.setattr(module, "_largest_cache", lambda: 20_000)
    monkeypatch.setattr(module, "_best", lambda run: 1.0)
    assert module._bandwidth(1) == pytest.approx(40_000 / 1e9)


def test_no_threads_is_a_usage_error() -> None:
    with pytest.raises(PerfUsageError, match="--threads is 0"):
        peaks(0)


def test_a_roof_is_the_lower_of_arithmetic_and_memory() -> None:
    known = Peaks(1, {"float32": 60.0, "int8": 230.0}, 2.0)
    assert known.roof("float32", 20.0) == (40.0, "memory")
    assert known.roof("float32", 40.0) == (60.0, "arithmetic")
    assert known.roof("fp16", 40.0) == (60.0, "arithmetic")  # a report without a peak of fp16
    assert Peaks(1, {"float32": 60.0, "fp16": 100.0}, 2.0).roof("fp16", 60.0) == (100.0, "arithmetic")
    assert known.roof("bfloat16", 40.0) is None


def test_of_two_measurements_the_larger_peaks_count() -> None:
    first, second = Peaks(2, {"float32": 60.0, "int8": 200.0}, 2.0), Peaks(2, {"float32": 50.0, "int8": 230.0}, 3.0)
    assert first.best_of(second) == Peaks(2, {"float32": 60.0, "int8": 230.0}, 3.0)
