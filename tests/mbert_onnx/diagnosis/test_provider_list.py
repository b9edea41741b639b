"""`mbert-onnx providers`, and `cpu+native` as a provider."""

from __future__ import annotations

import json
from typing import Any

import pytest
from exported_checkpoints import Exports
from typer.testing import CliRunner

import mbert_onnx
from mbert_onnx import UsageError, bench
from mbert_onnx.benchmark.options import kernels_on
from mbert_onnx.cli.application import app
from mbert_onnx.diagnosis import provider_list as provider_table
from mbert_onnx.runtime.native_kernels import Kernels
from perf.machine import footprint
from perf.providers import KNOWN

SHORT: dict[str, Any] = {"threads": [1], "budget": 0.1, "seq_lens": [8]}


def test_every_provider_has_a_row_and_every_other_one_a_reason() -> None:
    found = CliRunner().invoke(app, ["providers"])
    assert found.exit_code == 0, found.output
    lines = found.output.splitlines()
    for provider in KNOWN:
        assert any(line.startswith(f"  {provider.name} ") for line in lines)
    for item in mbert_onnx.providers():
        assert item.usable != any(line.startswith(f"{item.provider.name}: ") for line in lines)
    assert any(line.startswith("nnapi: it is not in this onnxruntime 1.") for line in lines)


def test_as_json() -> None:
    told = json.loads(CliRunner().invoke(app, ["providers", "--json"]).stdout)
    assert [item["name"] for item in told] == [provider.name for provider in KNOWN]
    assert told[0]["usable"] is True
    assert told[0]["needs"]["target"] == "cpu"


def test_without_a_library_there_are_no_native_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_table, "kernels", lambda: Kernels(None, None, {}))
    native = next(item for item in mbert_onnx.providers() if item.provider.kernels)
    assert not native.usable
    assert native.why_not.startswith("this installation has no native kernels. It is in mbert-onnx's wheels")


@pytest.mark.parametrize(
    ("provider", "kernels", "expected"),
    [
        ("cpu", "auto", "auto"),
        ("cpu", "portable", "portable"),
        ("cpu", "native", "native"),
        ("cpu+native", "auto", "native"),
        ("cpu+native", "native", "native"),
        ("azure", "auto", "portable"),
    ],
)
def test_kernels_on(provider: str, kernels: str, expected: str) -> None:
    assert kernels_on(provider, kernels) == expected


def test_kernels_that_cannot_be_meant() -> None:
    with pytest.raises(UsageError, match=r"--provider is cpu\+native, and --kernels portable; expected one of both"):
        kernels_on("cpu+native", "portable")
    with pytest.raises(UsageError, match=r"--kernels is native, and --provider azure; expected cpu"):
        kernels_on("azure", "native")
    with pytest.raises(UsageError, match=r"--kernels is 'fast'; expected one of auto, native, portable"):
        kernels_on("azure", "fast")


@pytest.mark.skipif(mbert_onnx.kernels().library is None, reason="there are no native kernels here")
def test_cpu_native_insists_on_the_kernels(exported: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "LOADS", 1)
    report = bench(str(exported().bundle), provider="cpu+native", **SHORT)
    (found,) = report.subjects
    assert report.arguments.provider == "cpu+native"
    assert {"Encoder", "StackedFFN"} & set(found.placement.operators["CPUExecutionProvider"])
    assert found.cpu_difference is None
