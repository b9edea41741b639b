"""`--device emulated-arm64`: under qemu-user where it is installed; its errors where it is not."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from perf_models import token_model
from perf_reports import MACHINE
from rich.console import Console

from graphs.execution.centred_error import largest_centred_error
from graphs.kernels.build import build_counter
from perf.devices.emulated import counting, driver, emulated, emulator, runtime
from perf.devices.emulated.driver import DriverResult, build_driver
from perf.devices.emulated.emulated import bench_emulated_subjects
from perf.devices.emulated.emulator import Emulated, Emulator, Program, find_qemu, find_sysroot
from perf.devices.emulated.processors import KERNEL_FOLDERS, PROCESSORS, create_root
from perf.devices.emulated.report import Count, EmulatedProcessor, EmulatedReport, EmulatedSubject
from perf.devices.emulated.runtime import runtime_library
from perf.devices.emulated.table import print_emulated
from perf.errors import PerfError, PerfUsageError
from perf.machine.machine import Software
from perf.results.model_file import ModelFile
from perf.results.report import Failure
from perf.sessions.subject import Subject

HEADERS = Path(os.environ.get("ONNXRUNTIME_HEADERS", Path(__file__).parents[3] / "build" / "onnxruntime-headers"))

# Rounding of float32 sums of 8 products in another order.
ROUNDING = 1e-6


@pytest.fixture(scope="module")
def library() -> Path:
    """onnxruntime's library for aarch64; skips where qemu-user or the libraries are missing."""
    try:
        find_qemu()
        find_sysroot()
        return runtime_library()
    except PerfError as error:
        pytest.skip(str(error))


@pytest.mark.full
def test_models_are_run_and_counted(library: Path, tmp_path: Path) -> None:
    any_length = token_model(tmp_path / "any.onnx", mask=onnx.TensorProto.FLOAT, external=True)
    fixed = token_model(tmp_path / "fixed.onnx", shape=(1, 8), integer=onnx.TensorProto.INT32)
    lines: list[str] = []
    report = bench_emulated_subjects(
        [Subject("any", any_length, 50), Subject("fixed", fixed, 50), Subject("gone", tmp_path / "gone.onnx", 50)],
        build_counter,
        seq_lens=[8, 64],
        measure=largest_centred_error,
        progress=lines.append,
    )
    # A model of a fixed length fails at the other length, and a missing file fails; both are reported.
    assert [failure.name for failure in report.failures] == ["fixed", "gone"]
    assert "takes only seq-len 8, not 64" in report.failures[0].reason
    assert [subject.name for subject in report.subjects] == ["any"]
    assert [one.instruction_set for one in report.processors] == [one.instruction_set for one in PROCESSORS]
    assert len(report.counts) == 2 * len(PROCESSORS)
    assert all(count.difference is not None and count.difference < ROUNDING for count in report.counts)
    if report.counts[0].instructions is None:
        assert "does not load the plugin" in report.warnings[0]
        return
    assert not report.warnings
    for one in report.processors:
        short, long = (count.instructions for count in report.counts if count.processor == one.instruction_set)
        assert short is not None
        assert long is not None
        # Tens of thousands to call four operators, far fewer than to load a model; and more for more tokens.
        assert 1_000 < short < long < 10_000_000
    assert any("64 tokens on cortex-a72" in line for line in lines)


def test_without_plugins_only_outputs_are_compared(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "qemu-aarch64"
    script.write_text(f'#!/bin/sh\n[ "$1" = --help ] && exit\nexec {find_qemu()} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    fixed = token_model(tmp_path / "fixed.onnx", shape=(1, 4))
    report = bench_emulated_subjects([Subject("fixed", fixed, 50)], build_counter, measure=largest_centred_error)
    assert [count.seq_len for count in report.counts] == [4] * len(PROCESSORS)
    assert all(count.instructions is None for count in report.counts)
    assert all(count.difference is not None and count.difference < ROUNDING for count in report.counts)
    assert "no instructions were counted: qemu" in report.warnings[0]


@pytest.mark.full
def test_a_file_that_is_not_a_library_is_one_line(library: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "libonnxruntime.so"
    wrong.write_text("not a library")
    with pytest.raises(
        PerfError, match=r"cannot run the driver on a processor with neon \(loading: .*libonnx.*\); exp"
    ):
        Emulator(build_driver(tmp_path, wrong), build_counter, tmp_path)


def test_a_model_that_fails_there_is_one_line(library: Path, tmp_path: Path) -> None:
    program = build_driver(tmp_path, library)
    machine = Emulator(program, build_counter, tmp_path)
    broken = tmp_path / "broken.onnx"
    broken.write_text("no model")
    with pytest.raises(PerfError, match=r"^on cortex-a72 under qemu .*: onnxruntime: .*broken.onnx") as caught:
        driver.run_driver(machine, machine.processors[0], library, broken, None, [], tmp_path)
    assert "\n" not in str(caught.value)
    other = tmp_path / "other.so"
    other.write_text("no library of operators")
    model = token_model(tmp_path / "model.onnx")
    with pytest.raises(PerfError, match=r"onnxruntime: .*other.so"):
        driver.run_driver(machine, machine.processors[0], library, model, other, [], tmp_path)


def test_without_qemu_or_libraries_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Subject("model", token_model(tmp_path / "model.onnx"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PerfError, match=r"qemu-aarch64 is not on PATH: apt install qemu-user libstdc\+\+6-arm64-cross"):
        bench_emulated_subjects([model], build_counter)
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(PerfError, match=r"runs on Linux only; this is darwin: pass ssh://USER@HOST"):
        find_qemu()
    monkeypatch.setenv("QEMU_LD_PREFIX", str(tmp_path))
    with pytest.raises(PerfError, match=r"no lib/ld-linux-aarch64.so.1 in .*: apt install"):
        find_sysroot()


def test_without_a_compiler_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(PerfError, match=r"ziglang, not installed here: pip install ziglang"):
        build_driver(tmp_path, tmp_path)


def test_a_failed_download_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBERT_ONNX_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    lines: list[str] = []
    with pytest.raises(
        PerfError, match=r"cannot download onnxruntime==.* for manylinux_2_28_aarch64 \(.*\); expected pip"
    ):
        runtime_library(lines.append)
    assert "downloading onnxruntime" in lines[0]
    assert [path.name for path in tmp_path.rglob("*")] == ["aarch64"]
    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("onnxruntime/capi/other.so", b"")
    with pytest.raises(PerfError, match=r"other\.whl has 0 libraries"):
        runtime._library_of(wheel)


def test_arguments_out_of_range(tmp_path: Path) -> None:
    model = Subject("model", token_model(tmp_path / "model.onnx"))
    with pytest.raises(PerfUsageError, match="no model"):
        bench_emulated_subjects([], build_counter)
    with pytest.raises(PerfUsageError, match="--batch is 0"):
        bench_emulated_subjects([model], build_counter, batch=0)
    with pytest.raises(PerfUsageError, match="--seq-len is -1"):
        bench_emulated_subjects([model], build_counter, seq_lens=[8, -1])


class StandIn:
    """A stand-in for the emulator."""

    version, counts, refused = "7.2", True, ("no such processor",)
    processors = (Emulated(PROCESSORS[0], "cortex-a72", Path()),)


def replace_emulator(monkeypatch: pytest.MonkeyPatch, wrong: str = "", interrupts: str = "") -> list[Path | None]:
    """Replaces the emulated machine by this one, with wrong outputs for one file, and an interrupt at another.

    Returns the libraries that it is called with.
    """
    from onnxruntime import InferenceSession

    given: list[Path | None] = []

    def run_driver(
        _: object,
        __: object,
        ___: Path,
        model: Path,
        library: Path | None,
        feeds: Sequence[Mapping[str, np.ndarray]],
        ____: Path,
    ) -> list[DriverResult]:
        given.append(library)
        if model.stem == interrupts:
            raise KeyboardInterrupt
        session: Any = InferenceSession(model, providers=["CPUExecutionProvider"])
        outputs = [session.run(None, dict(feed)) for feed in feeds]
        return [DriverResult((-1 * first if model.stem == wrong else first, *rest), 7) for first, *rest in outputs]

    monkeypatch.setattr(emulated, "_prepare", lambda *_: (StandIn(), Path("libonnxruntime.so")))
    monkeypatch.setattr(counting, "run_driver", run_driver)
    return given


def test_different_outputs_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_emulator(monkeypatch, wrong="wrong")
    models = [Subject(name, token_model(tmp_path / f"{name}.onnx"), 50) for name in ("right", "wrong")]
    models.append(Subject("nan", token_model(tmp_path / "nan.onnx", rows=dict.fromkeys(range(50), np.nan)), 50))
    report = bench_emulated_subjects(models, build_counter, seq_lens=[3], measure=largest_centred_error)
    right, wrong, broken = report.counts
    assert broken.non_finite == ("logits",)
    assert report.broken == ("nan",)
    assert right == Count("right", 3, "neon", 7, 0.0)
    assert wrong.difference == pytest.approx(2, rel=0.2)  # −x from x, of which the mean is not quite 0
    first, unusable, second = report.warnings
    assert first == "no such processor"
    assert unusable == "nan is not usable: its output logits is NaN or infinite at 3 tokens on neon"
    assert re.match(
        r"wrong: outputs on aarch64 differ from this machine's, .* of \S+ at 3 tokens on neon; expected at most 0.01$",
        second,
    )


def test_each_file_runs_at_its_own_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = replace_emulator(monkeypatch)
    files = {length: token_model(tmp_path / f"{length}.onnx", shape=(1, length)) for length in (4, 6)}
    model = Subject("fixed", files[6], 50, by_length=files)
    report = bench_emulated_subjects([model], build_counter, kernels=Path("kernels.so"))
    assert [count.seq_len for count in report.counts] == [4, 6]
    assert libraries == [None, None]  # the subject has no library, so it runs without kernels


def test_an_interrupt_keeps_the_counts_until_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_emulator(monkeypatch, interrupts="second")
    models = [Subject(name, token_model(tmp_path / f"{name}.onnx"), 50) for name in ("first", "second", "third")]
    report = bench_emulated_subjects(models, build_counter, seq_lens=[3])
    assert report.interrupted
    assert [count.subject for count in report.counts] == ["first"]
    assert any("interrupted" in warning for warning in report.warnings)
    with pytest.raises(KeyboardInterrupt):
        bench_emulated_subjects(models[1:], build_counter, seq_lens=[3])


def test_where_no_model_runs_the_first_error_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_emulator(monkeypatch)
    other = Subject("other", token_model(tmp_path / "model.onnx"), 50, runtime="torch")
    with pytest.raises(PerfError, match="other runs in torch; expected a model for onnxruntime"):
        bench_emulated_subjects([other, Subject("gone", tmp_path / "gone.onnx")], build_counter)


def sample_report() -> EmulatedReport:
    """A report of two models on two processors at 8 tokens."""
    processors = (EmulatedProcessor("neon", "cortex-a72"), EmulatedProcessor("neon-dotprod", "neoverse-n1"))
    subjects = tuple(EmulatedSubject(name, ModelFile(10, "ab"), name == "b[b]", ("a note",)) for name in ("a", "b[b]"))
    counts = (
        Count("a", 8, "neon", 2_000_000, 0.0),
        Count("a", 8, "neon-dotprod", 3_000_000, 0.0),
        Count("b[b]", 8, "neon", 1_000_000, float("inf")),
        Count("b[b]", 8, "neon-dotprod", None, 0.25),
    )
    software = Software("3.11.0", "1.32.0", "unknown", "2.0.0")
    failed = (Failure("c", "it is not a model"),)
    rest = (processors, subjects, counts, ("the moon was full",), failed)
    return EmulatedReport("2025-01-02", MACHINE, software, "7.2.22", "1.32.0", 1, 0, 1000, *rest)


def test_the_printed_table() -> None:
    console = Console(file=io.StringIO(), width=120)
    print_emulated(sample_report(), console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "aarch64 under qemu-user 7.2.22, onnxruntime 1.32.0" in text
    assert re.search(r" 8 +a +2\.0 +3\.0 +0 *\n", text)
    assert re.search(r" b\[b\] +1\.0 \(2\.00×\) +– +inf *\n", text)
    assert "not run: c: it is not a model" in text
    assert "warning: the moon was full" in text
    assert not re.search(r"\bms\b", text)


def test_the_json_file(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    report = replace(sample_report(), command=("bench", "a"))
    report.write_json(path)
    document = json.loads(path.read_text())
    assert (document["schema"], document["schema_version"]) == ("mbert-onnx/emulated", 1)
    assert document["counts"][2] == {
        "subject": "b[b]", "seq_len": 8, "processor": "neon", "instructions": 1_000_000, "difference": "inf",
        "non_finite": [],
    }  # fmt: skip
    assert document["command"] == ["bench", "a"]
    with pytest.raises(PerfError, match="cannot write"):
        report.write_json(tmp_path / "none" / "report.json")


def test_programs_see_the_emulated_processor(tmp_path: Path) -> None:
    sysroot = tmp_path / "sysroot"
    for name in ("lib", *KERNEL_FOLDERS):
        (sysroot / name).mkdir(parents=True)
    (sysroot / "lib" / "libc.so.6").write_text("the C library")
    root = create_root(tmp_path / "roots", sysroot, PROCESSORS[1])
    assert sorted(path.name for path in root.iterdir()) == ["lib", "proc", "sys"]
    assert (root / "lib" / "libc.so.6").read_text() == "the C library"
    assert "CPU part\t: 0xd0c\n" in (root / "proc" / "cpuinfo").read_text()
    assert (root / "sys/devices/system/cpu/present").read_text() == "0\n"


def test_an_interrupt_ends_the_emulator_and_its_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qemu, started = tmp_path / "qemu-aarch64", tmp_path / "started"
    # As in the driver, a copy works and the first process waits.
    qemu.write_text(
        f"#!/bin/sh\n[ $# -lt 7 ] && exit\nsleep 60 & echo $! > {started}.new\nmv {started}.new {started}\nwait\n"
    )
    qemu.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(emulator, "find_sysroot", lambda: tmp_path)
    machine = Emulator(Program(Path("program")), build_counter, tmp_path / "output")

    def interrupted(process: subprocess.Popen[str]) -> None:
        while not started.exists():
            assert process.poll() is None
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        machine.run(machine.processors[0], ["a", "model"])
    # It would run for a minute; once killed, it has ended or is a zombie.
    copy = psutil.Process(int(started.read_text())) if psutil.pid_exists(int(started.read_text())) else None
    deadline = time.monotonic() + 20
    while copy is not None and copy.is_running() and copy.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.full
@pytest.mark.skipif(
    not (HEADERS / "onnxruntime_c_api.h").is_file(), reason="`make onnxruntime-headers` fetches the official header"
)
def test_every_entry_has_the_offset_of_the_header(tmp_path: Path) -> None:
    abi = (driver.HERE / "ort_abi.h").read_text()
    entries = re.findall(r"^  (\w+) = (\d+),$", abi, re.MULTILINE)
    assert len(entries) >= 15
    places = [
        f'_Static_assert(offsetof(OrtApi, {name}) == {number} * sizeof(void*), "{name}");' for name, number in entries
    ]
    types = {
        name: f"ONNX_TENSOR_ELEMENT_DATA_TYPE_{name}"
        for name in re.findall(r"\b(U?INT\d+|FLOAT16|FLOAT|BOOL|DOUBLE)\b", abi)
    }
    types |= {"LOG_ERRORS": "ORT_LOGGING_LEVEL_ERROR", "ARENA_ALLOCATOR": "OrtArenaAllocator"}
    types |= {"DEFAULT_MEMORY": "OrtMemTypeDefault"}
    values = {name: re.search(rf"\b{name} = (\d+)[,;]", abi) for name in types}
    assert len(values) >= 11
    assert all(values.values())
    places += [f'_Static_assert({types[name]} == {found[1]}, "{name}");' for name, found in values.items() if found]
    source = tmp_path / "places.c"
    source.write_text('#include <stddef.h>\n#include "onnxruntime_c_api.h"\n' + "\n".join(places) + "\n")
    command = [sys.executable, "-m", "ziglang", "cc", "-c", "-I", str(HEADERS), "-o", str(tmp_path / "places.o")]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
