"""What a machine can do at most: the products are true ones, and the best run counts."""

from __future__ import annotations

import itertools

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest

from perf.errors import PerfError, PerfUsageError
from perf.machine import peaks as module
from perf.machine.peaks import FORMS, SIDE, peaks, product_model


@pytest.mark.parametrize(("domain", "operator"), FORMS)
def test_each_form_computes_the_product(domain: str, operator: str) -> None:
    model, activations = product_model(domain, operator)
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString())
    (found,) = session.run(None, {"x": activations})
    assert found.shape == (SIDE, SIDE)
    np.testing.assert_allclose(found, SIDE, rtol=1e-3)  # ones times ones, quantized in one form


def test_peaks_are_of_both_precisions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.0)
    found = peaks(2)
    assert found.threads == 2
    assert set(found.gmacs) == {"float32", "int8"}
    assert min(*found.gmacs.values(), found.bandwidth_gb_s) > 0


def test_the_fastest_form_of_a_precision_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {"MatMul": 1.0, "MatMulInteger": 0.5, "DynamicQuantizeMatMul": 0.25, "QGemm": 2.0}
    monkeypatch.setattr(module, "_product", lambda domain, operator, threads: operator)
    monkeypatch.setattr(module, "_best", lambda operator: seconds[operator])
    monkeypatch.setattr(module, "_bandwidth", lambda threads: 3.0)
    found = peaks(1)
    assert found.gmacs == pytest.approx({"float32": SIDE**3 / 1e9, "int8": SIDE**3 / 0.25 / 1e9})
    assert found.bandwidth_gb_s == 3.0


def test_a_form_that_onnxruntime_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def product(domain: str, operator: str, threads: int) -> str:
        if domain:
            raise RuntimeError("no such\noperator")
        return operator

    monkeypatch.setattr(module, "_product", product)
    monkeypatch.setattr(module, "_best", lambda operator: 1.0)
    monkeypatch.setattr(module, "_bandwidth", lambda threads: 3.0)
    assert set(peaks(1).gmacs) == {"float32", "int8"}


def test_a_precision_without_any_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def product(domain: str, operator: str, threads: int) -> str:
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
