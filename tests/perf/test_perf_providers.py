"""Names of providers, and what is said about those that are not there."""

from __future__ import annotations

import onnxruntime as ort
import pytest

from perf.errors import PerfError, PerfUsageError
from perf.providers import CPU, KNOWN, resolve


@pytest.mark.parametrize("name", ["cpu", "CPU", " cpu ", "CPUExecutionProvider", "cpuexecutionprovider"])
def test_short_and_long_names_in_any_case(name: str) -> None:
    assert resolve(name) == CPU


def test_onnxruntime_spells_them_the_same() -> None:
    assert {provider.ort_name for provider in KNOWN} <= set(ort.get_all_providers())


def test_unknown_provider() -> None:
    with pytest.raises(
        PerfUsageError, match=r"unknown provider 'gpu'; known are cpu, .*tensorrt; available here: .*cpu"
    ):
        resolve("gpu")


def test_provider_of_another_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(
        PerfUsageError, match=r"'openvino' is not in .* which has cpu\. pip install onnxruntime-openvino"
    ):
        resolve("OpenVINOExecutionProvider")


def test_exit_codes() -> None:
    assert (PerfError.exit_code, PerfUsageError.exit_code) == (1, 2)
