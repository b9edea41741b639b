"""`bench_emulated`: our own files on aarch64, with the native kernels and without."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from exported_checkpoints import Exports

from graphs.kernels.build import BuildError
from mbert_onnx import MbertError, UsageError
from mbert_onnx.benchmark import emulated
from mbert_onnx.benchmark.emulated import bench_emulated
from mbert_onnx.runtime.native_kernels import kernels
from perf.devices.emulated import device
from perf.devices.emulated.emulator import find_qemu, find_sysroot
from perf.devices.emulated.runtime import runtime_library
from perf.errors import PerfError

# Of float32 on another processor: sums in another order.
FLOAT32 = 1e-4

needs_kernels = pytest.mark.skipif(kernels().library is None, reason="this installation has no native kernels")


@pytest.fixture(scope="module")
def emulator() -> None:
    """qemu-user and what it takes; or the test is skipped."""
    try:
        find_qemu()
        find_sysroot()
        runtime_library()
    except PerfError as error:
        pytest.skip(str(error))


@pytest.mark.full
@needs_kernels
def test_with_kernels_and_without(emulator: None, exported: Exports, tmp_path: Path) -> None:
    bundle = exported(precision="int8", min_agreement=0.0).bundle
    told: list[str] = []
    path = tmp_path / "report.json"
    report = bench_emulated([bundle, "none.onnx"], seq_lens=[8], json=path, progress=told.append, command=["bench"])
    assert "building the native kernels for aarch64" in told
    assert [(item.name, item.has_kernels) for item in report.subjects] == [
        (f"portable:{bundle}", False),
        (f"native:{bundle}", True),
    ]
    # The instruction set that notes tell elsewhere is this machine's.
    assert not any("native kernels" in note for item in report.subjects for note in item.notes)
    assert [failure.name for failure in report.failures] == ["none.onnx"]
    assert report.command == ("bench",)
    assert all(count.difference is not None and count.difference < FLOAT32 for count in report.counts)
    assert len(report.counts) == 2 * len(report.processors)
    if report.counts[0].instructions is not None:
        # Each processor does more products in an instruction than the one before.
        for subject in report.subjects:
            counts = [count.instructions or 0 for count in report.counts if count.subject == subject.name]
            assert all(after < before for before, after in pairwise(counts))
    told_file = json.loads(path.read_text())
    assert told_file["schema"] == "mbert-onnx/emulated"
    assert len(told_file["counts"]) == len(report.counts)


def test_without_qemu_nothing_is_exported_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    told: list[str] = []
    with pytest.raises(PerfError, match="qemu-aarch64 is not on PATH: apt install qemu-user"):
        bench_emulated("random:tiny", progress=told.append)
    assert not told


def test_bad_options(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--kernels is 'fast'"):
        bench_emulated("random:tiny", kernels="fast")
    with pytest.raises(UsageError, match="--json is"):
        bench_emulated("random:tiny", json=tmp_path)
    with pytest.raises(UsageError, match="there is no model"):
        bench_emulated([])


@needs_kernels
def test_a_compiler_that_fails_is_one_line(exported: Exports, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object) -> Path:
        raise BuildError("clang failed for aarch64\nat line 1")

    monkeypatch.setattr(device, "find_qemu", lambda: "qemu")
    monkeypatch.setattr(device, "find_sysroot", lambda: tmp_path)
    monkeypatch.setattr(emulated, "build", refuse)
    monkeypatch.setattr(emulated, "build_counter", refuse)
    with pytest.raises(MbertError, match=r"cannot build the kernels for aarch64 \(clang failed .* at line 1\); pass"):
        bench_emulated(exported().bundle)
    with pytest.raises(PerfError, match=r"cannot build the instruction counter \(clang failed .* at line 1\)"):
        emulated._build_counter(tmp_path, 1)
