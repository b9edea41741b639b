"""Names of providers, and what is said about those that are not there."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import onnxruntime as ort
import pytest

from perf.errors import PerfError, PerfUsageError
from perf.providers import CPU, KNOWN, Provider, Standing, plugin, resolve, standing
from perf.providers.known import COREML, OPENVINO
from perf.providers.plugin import devices, imitation


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
    with pytest.raises(PerfUsageError, match=r"'coreml' is not in .* which has cpu, cpu\+native.*\. " + COREML.how):
        resolve("CoreMLExecutionProvider")


def test_one_with_an_environment_of_its_own_is_usable_and_told_so() -> None:
    found = standing(replace(OPENVINO, environment=("some-package",)))
    assert found.usable
    assert found.elsewhere


@pytest.mark.parametrize("provider", KNOWN, ids=lambda provider: provider.name)
def test_each_is_told_in_full(provider: Provider) -> None:
    assert provider.how.endswith(".")
    assert provider.runs_on
    assert provider.package
    assert provider.needs.command.startswith("--target ")
    assert ("--seq-len" in provider.needs.command) == provider.needs.fixed_shapes


def test_names_are_their_own() -> None:
    assert len({provider.name for provider in KNOWN}) == len(KNOWN)


def plugin_that(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str) -> Provider:
    """A provider whose package has this text."""
    (tmp_path / "some_plugin.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "some_plugin", raising=False)
    return Provider(
        "some", "SomeExecutionProvider", "some chip", "some-plugin", "pip install it.", plugin="some_plugin"
    )


def test_a_plugin_that_is_not_installed() -> None:
    absent = Provider(
        "some", "SomeExecutionProvider", "some chip", "some-plugin", "pip install it.", plugin="no_plugin"
    )
    found = standing(absent)
    assert not found.usable
    assert found.why_not == f"it is not in this onnxruntime {ort.__version__}. pip install it."
    assert imitation(absent) == ""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("def get_library_path(): return __file__", r"does not take some-plugin: .*some_plugin\.py"),
        ("import nothing_of_this_name", "does not take some-plugin: No module named 'nothing_of_this_name'"),
    ],
    ids=["no library", "broken package"],
)
def test_a_plugin_that_does_not_work(body: str, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    provider = plugin_that(monkeypatch, tmp_path, body)
    with pytest.raises(PerfError, match=reason) as caught:
        devices(provider)
    assert "\n" not in str(caught.value)
    found = standing(provider)
    assert not found.usable
    assert found.why_not == str(caught.value)


def test_a_plugin_without_a_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ort, "register_execution_provider_library", lambda *_: None)
    provider = plugin_that(monkeypatch, tmp_path, "def get_library_path(): return __file__")
    monkeypatch.setattr(plugin, "_registered", set())
    with pytest.raises(PerfError, match=r"some-plugin finds no device here\. pip install it\."):
        devices(provider)


@pytest.mark.parametrize(("kind", "expected"), [("CPU", "a GPU in software"), ("GPU", "")])
def test_a_device_that_is_the_cpu_imitates_one(
    kind: str, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    device = SimpleNamespace(
        ep_name="SomeExecutionProvider", device=SimpleNamespace(type=getattr(ort.OrtHardwareDeviceType, kind))
    )
    monkeypatch.setattr(ort, "register_execution_provider_library", lambda *_: None)
    monkeypatch.setattr(ort, "get_ep_devices", lambda: [device])
    monkeypatch.setattr(plugin, "_registered", set())
    provider = plugin_that(monkeypatch, tmp_path, "def get_library_path(): return __file__")
    assert standing(provider) == Standing(provider, True, imitation=expected)


def test_exit_codes() -> None:
    assert (PerfError.exit_code, PerfUsageError.exit_code) == (1, 2)
