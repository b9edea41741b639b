"""What does jobs on other machines: our own code as a wheel, and the module that is started there."""

from __future__ import annotations

import importlib.util
import os
import platform
import signal
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import onnx
import pytest
from perf_models import VOCAB_SIZE, token_model
from wheel.wheelfile import WheelFile

from mbert_onnx.benchmark.device import set_kernels, with_kernels
from mbert_onnx.benchmark.remote import job
from mbert_onnx.benchmark.remote.code_identity import identity
from mbert_onnx.benchmark.remote.wheel import wheel_for
from mbert_onnx.errors import MbertError, UsageError
from mbert_onnx.runtime import native_kernels as native
from mbert_onnx.runtime.native_kernels import NATIVE, PORTABLE
from perf.devices.job import JOB, REPORT, Job, pack
from perf.machine.footprint import Footprint
from perf.results.report_file import read_report
from perf.sessions.subject import Subject
from perf.timing import description
from perf.timing.options import BenchOptions

# What tells an executable's processor: two bytes of ELF's head at 18, little-endian.
ELF_MACHINE = slice(18, 20)
ELF_AARCH64 = (183).to_bytes(2, "little")

MODEL = """<ir_version: 8, opset_import: ["" : 18, "mbert" : 1]>
tokens (float[n] x) => (float[n] y) { y = mbert.Twice(x) }
<domain: "mbert", opset_import: ["" : 18]>
Twice (x) => (y) { y = Add(x, x) }"""

PLAIN = """<ir_version: 8, opset_import: ["" : 18]>
tokens (float[n] x) => (float[n] y) { y = Add(x, x) }"""


def kernels_in(path: Path) -> dict[str, bytes]:
    with WheelFile(path) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist() if name.endswith((".so", ".dylib", ".dll"))}


def test_the_wheel_is_this_code(tmp_path: Path) -> None:
    path = wheel_for(platform.system(), platform.machine(), tmp_path)
    library = native.kernels().library
    assert list(kernels_in(path).values()) == ([] if library is None else [library.read_bytes()])
    with WheelFile(path) as wheel:
        told = wheel.read(f"{wheel.dist_info_path}/METADATA").decode()
    assert "\nRequires-Dist: onnxruntime" in told
    there = str(tmp_path / "there")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", there]
    subprocess.run([*pip, str(path)], check=True)
    command = [sys.executable, "-P", "-m", "mbert_onnx.benchmark.remote.job", "--identity"]
    environment = {**os.environ, "PYTHONPATH": there}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == identity()
    changed = tmp_path / "there" / "perf" / "errors.py"
    changed.write_text(changed.read_text() + "\n")
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() != identity()


def test_kernels_for_another_machine(tmp_path: Path) -> None:
    assert kernels_in(wheel_for("Linux", "riscv64", tmp_path)) == {}
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("no compiler is installed: pip install ziglang")
    (library,) = kernels_in(wheel_for("Linux", "aarch64", tmp_path)).values()
    assert library[ELF_MACHINE] == ELF_AARCH64


def test_kernels_that_cannot_be_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    other = "x86_64" if platform.machine() == "aarch64" else "aarch64"
    assert kernels_in(wheel_for("Linux", other, tmp_path)) == {}  # without a compiler the wheel has none


def test_an_installation_that_does_not_know_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mbert_onnx.benchmark.remote.wheel.DISTRIBUTION", "mbert-nowhere")
    with pytest.raises(MbertError, match=r"mbert-nowhere runs without being installed.*: pip install it"):
        wheel_for("Linux", "riscv64", tmp_path)


@pytest.fixture
def ours(tmp_path: Path) -> Subject:
    onnx.save(onnx.parser.parse_model(MODEL), tmp_path / "ours.onnx")
    return Subject("ours", tmp_path / "ours.onnx", notes=("made so",))


@pytest.fixture
def plain(tmp_path: Path) -> Subject:
    onnx.save(onnx.parser.parse_model(PLAIN), tmp_path / "plain.onnx")
    return Subject("plain", tmp_path / "plain.onnx")


def test_the_kernels_of_this_machine(ours: Subject, plain: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    assert with_kernels(ours, PORTABLE) == ours
    assert with_kernels(plain, "auto", note_missing=True) == plain
    library = native.kernels().library
    if library is not None:
        with pytest.raises(UsageError, match="compute no block of plain: it has no functions of the domain mbert"):
            with_kernels(plain, NATIVE)
        found = with_kernels(ours, "auto")
        assert found.library == library
        assert found.notes == ("made so", f"run with the native kernels, {native.kernels().instruction_set}")
    monkeypatch.setattr("graphs.kernels.library", lambda: None)
    assert with_kernels(ours, "auto") == ours
    found = with_kernels(ours, "auto", note_missing=True)
    assert found.library is None
    assert found.notes == ("made so", "run without the native kernels, which this installation has not")
    with pytest.raises(UsageError, match="--kernels is native, and this installation has no library"):
        with_kernels(ours, NATIVE)


def test_a_model_that_cannot_have_the_kernels_is_a_failure(
    ours: Subject, plain: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphs.kernels.library", lambda: None)
    native_only = {"ours": NATIVE, "plain": NATIVE}
    found = set_kernels(Job((ours, plain), own_kernels={"ours": NATIVE}))
    assert [subject.name for subject in found.subjects] == ["plain"]
    assert [failure.name for failure in found.failures] == ["ours"]
    with pytest.raises(UsageError, match="--kernels is native, and this installation has no library"):
        set_kernels(Job((ours, plain), own_kernels=native_only))


def test_a_job_is_run_and_its_report_written(
    tmp_path: Path, plain: Subject, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """What another machine does with a folder that `bench --device` has sent."""
    monkeypatch.setattr(description, "footprint", lambda *_, **__: Footprint((1.0,), 1.0, 1))
    handler = signal.getsignal(signal.SIGINT)
    other = token_model(tmp_path / "other.onnx")
    options = BenchOptions(seq_lens=(4,), threads=(1,), precision=0.5, budget_s=0.01)
    sent = Job((Subject("a", other, VOCAB_SIZE), plain), options, own_kernels={"plain": NATIVE})
    stream, folder = BytesIO(), tmp_path / "there"
    pack(sent).write(stream)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.4 or newer
        archive.extractall(folder)
    try:
        assert job.main([str(folder)]) == 0
    finally:
        signal.signal(signal.SIGINT, handler)
    found = read_report(folder / REPORT)
    assert [item.name for item in found.subjects] == ["a"]
    assert [failure.name for failure in found.failures] == ["plain"]
    assert "> repetition 6 of 6: 1 thread, 4 tokens" in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        ([], 2, "found 0 arguments; expected a folder with a job"),
        (["a", "b"], 2, "found 2 arguments; expected a folder with a job"),
        (["/nowhere"], 1, f"/nowhere/{JOB} is no job"),
    ],
)
def test_jobs_that_cannot_be_done(arguments: list[str], code: int, line: str, capsys: Any) -> None:
    assert job.main(arguments) == code
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1
    assert printed[0].startswith(line)
