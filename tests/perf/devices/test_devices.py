"""Where a bench runs, and how it gets there; another machine's ssh is played by a script that runs everything here."""

from __future__ import annotations

import os
import sys
import tarfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from perf_models import VOCAB_SIZE, token_model
from perf_reports import report

from perf.devices import device_named
from perf.devices.device import Program
from perf.devices.job import FILES, JOB, Job, pack, unpack
from perf.devices.local import LocalDevice
from perf.devices.ssh import SshDevice
from perf.devices.ssh_address import Address, parse
from perf.errors import PerfError, PerfUsageError
from perf.machine import emulation, footprint
from perf.machine.emulation import differ, is_emulated
from perf.results.report import Failure, Report
from perf.sessions.runtimes import OPENVINO
from perf.sessions.subject import Subject
from perf.timing.options import BenchOptions

# Runs the last word, a script, here; FAKE_SSH makes it fail as ssh does.
SSH = """#!/bin/sh
test -z "$FAKE_SSH" || { printf "%s\\n" "$FAKE_SSH" >&2; exit 255; }
for script; do :; done
exec sh -c "$script"
"""

# Does a job as PLAY says, which is Python, in its folder.
PLAYER = """
import os, sys
from pathlib import Path
if sys.argv[1:] == ["--identity"]:
    print("same")
else:
    folder = Path(sys.argv[1])
    exec(os.environ["PLAY"])
"""

# A Python that makes an environment, and whose pip finds no index.
NO_INDEX = """#!/bin/sh
case "$*" in
    *venv*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    *pip*) printf "WARNING: Retrying\\nERROR: No matching distribution found for numpy\\nERROR: more\\n" >&2; exit 1 ;;
    *-c*) echo 3 12 ;;
esac
"""


def wheel_for(system: str, machine: str, folder: Path) -> Path:
    wheel = folder / "some.whl"
    wheel.write_bytes(b"a wheel")
    return wheel


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Makes ssh that script, and another machine's folder for temporary files `scratch`, which is returned."""
    programs, scratch = tmp_path / "programs", tmp_path / "scratch"
    for folder in (programs, scratch):
        folder.mkdir()
    put_program(programs / "ssh", SSH)
    (programs / "player.py").write_text(PLAYER)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(programs))
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setenv("FAKE_SSH", "")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # this side's are elsewhere
    return scratch


def put_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    subject = Subject("a", token_model(tmp_path / "a.onnx"), VOCAB_SIZE)
    return Job((subject,), BenchOptions(seq_lens=(4,), threads=(1,), precision=0.5, budget_s=0.01))


def bench_there(job: Job, python: str = sys.executable, identity: str = "same", **options: Any) -> Report:
    with SshDevice(f"ssh://box{python}", Program("player", identity, wheel_for)) as device:
        return device.bench(job, **options)


def test_a_job_travels_with_its_files(tmp_path: Path) -> None:
    home, there = tmp_path / "home", tmp_path / "there"
    home.mkdir()
    files = {n: token_model(home / f"{n}.onnx", shape=[1, n], external=True, seed=n) for n in (4, 8)}
    reference = token_model(tmp_path / "float.onnx")
    one = Subject("one", files[8], VOCAB_SIZE, by_length=files, reference=reference, notes=("n",), library=Path("x.so"))
    given = Job(
        (one, Subject("two", reference)), BenchOptions(threads=(2,), profile=True), own_kernels={"two": "portable"}
    )
    given = replace(given, failures=(Failure("three", "it is not there"),))
    packed, stream = pack(given), BytesIO()
    packed.write(stream)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as archive:
        assert {(entry.uid, entry.uname) for entry in archive} == {(0, "")}
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.4 or newer
        archive.extractall(there)
    assert packed.size_bytes == sum(path.stat().st_size for path in (there / FILES).rglob("*") if path.is_file())
    found = unpack(there)
    sent = found.subjects[0]
    assert [path.name for path in sent.files] == ["4.onnx", "8.onnx"]
    assert sent.reference == found.subjects[1].path
    for here, now in ((files[4], sent.by_length[4]), (files[8], sent.path), (reference, found.subjects[1].path)):
        assert now.is_relative_to(there)
        assert now.read_bytes() == here.read_bytes()
        for weights in here.parent.glob(f"{here.name}.data"):
            assert (now.parent / weights.name).read_bytes() == weights.read_bytes()
    assert (sent.library, sent.notes) == (None, ("n",))
    assert replace(found, subjects=()) == replace(given, subjects=())
    assert str(home) not in (there / JOB).read_text()


def test_what_cannot_travel(tmp_path: Path) -> None:
    path = token_model(tmp_path / "a.onnx", external=True)
    with pytest.raises(PerfUsageError, match="a runs in openvino; expected models that onnxruntime runs"):
        pack(Job((Subject("a", path, runtime=OPENVINO),)))
    with pytest.raises(PerfUsageError, match="a runs in an environment of its own; expected models"):
        pack(Job((Subject("a", path, python=Path(sys.executable)),)))
    (tmp_path / "a.onnx.data").unlink()
    with pytest.raises(PerfError, match=r"a\.onnx has its weights in a\.onnx\.data; expected a file beside it"):
        pack(Job((Subject("a", path),)))
    (tmp_path / "a.onnx.data").symlink_to(__file__)  # out of its folder
    with pytest.raises(PerfError, match=r"a\.onnx has its weights in a\.onnx\.data; expected a file beside it"):
        pack(Job((Subject("a", path),)))
    path.write_bytes(b"no model")
    with pytest.raises(PerfError, match=r"cannot read \S+a\.onnx: .*; expected an \.onnx file"):
        pack(Job((Subject("a", path),)))
    with pytest.raises(PerfError, match=r"job\.json is no job"):
        unpack(tmp_path)
    (tmp_path / JOB).write_text('{"subjects": [{}]}')
    with pytest.raises(PerfError, match=r"job\.json is no job"):
        unpack(tmp_path)


def test_devices_by_name() -> None:
    local = LocalDevice()

    def program() -> Program:
        return Program("player", "same", wheel_for)

    assert device_named("local", local, program) is local
    found = device_named("ssh://pi@box:2222", local, program)
    assert isinstance(found, SshDevice)
    assert found.name == "ssh://pi@box:2222"
    with pytest.raises(PerfUsageError, match=r"unknown device 'pi'; expected local, ssh://\[user@\]host"):
        device_named("pi", local, program)
    with pytest.raises(PerfUsageError, match="emulated-arm64 counts instructions and times nothing; expected local"):
        device_named("emulated-arm64", local, program)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("ssh://Box", Address("Box")),
        ("ssh://pi@box:2222/", Address("pi@box:2222")),
        ("ssh://pi@[::1]:22/usr/bin/python3.12", Address("pi@[::1]:22", "/usr/bin/python3.12")),
        ("ssh://box/a%20b/python", Address("box", "/a b/python")),
    ],
)
def test_addresses(name: str, address: Address) -> None:
    assert parse(name) == address


@pytest.mark.parametrize(
    "name",
    ["ssh:", "ssh://", "ssh:/box", "ssh://box:0", "ssh://box:x", "ssh://pi:secret@box", "ssh://b ox", "ssh://b?x"],
)
def test_addresses_that_cannot_be_meant(name: str) -> None:
    with pytest.raises(PerfUsageError, match=r"--device is .*; expected ssh://"):
        parse(name)


def test_here(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "LOADS", 1)
    lines: list[str] = []
    with LocalDevice(prepare=lambda job: replace(job, failures=(Failure("b", "no"),))) as device:
        found = device.bench(job, lines.append)
    assert found.arguments.device == "local"
    assert [item.name for item in found.subjects] == ["a"]
    assert found.failures == (Failure("b", "no"),)
    assert lines


def test_there(play: Path, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report().write_json(tmp_path / "report.json")
    monkeypatch.setenv("REPORT", str(tmp_path / "report.json"))
    monkeypatch.setenv(
        "PLAY",
        "assert (folder / 'files/0/a.onnx').is_file(); print('> half\\nnoise', file=sys.stderr);"
        "(folder / 'report.json').write_bytes(Path(os.environ['REPORT']).read_bytes())",
    )
    told: list[str] = []
    found = bench_there(job, progress=told.append)
    name = f"ssh://box{sys.executable}"
    assert found == replace(report(), arguments=replace(report().arguments, device=name))
    assert told[-1] == "box: half"
    assert not list(play.iterdir())


@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        ("print('it is so'); sys.exit(1)", PerfError, "^box: it is so$"),
        ("print('noise'); print('it is so'); sys.exit(2)", PerfUsageError, "^box: it is so$"),
        ("raise ValueError('a mistake')", PerfError, "^box: ValueError: a mistake$"),
        ("os.kill(os.getpid(), 9)", PerfError, "^box: .*"),
        ("(folder / 'report.json').write_text('{\"sch')", PerfError, "^box gives no whole report: .* is truncated"),
        ("pass", PerfError, "^box gives no whole report: .* is truncated"),
    ],
)
def test_a_job_that_fails(
    play: Path, job: Job, monkeypatch: pytest.MonkeyPatch, script: str, kind: type[PerfError], message: str
) -> None:
    monkeypatch.setenv("PLAY", script)
    with pytest.raises(PerfError, match=message) as caught:
        bench_there(job)
    assert caught.type is kind
    assert "\n" not in str(caught.value)
    assert not list(play.iterdir())


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("ssh: connect to host box port 22: Connection timed out", r"\(connect to host .*timed out\); .* that is on"),
        ("pi@box: Permission denied (publickey).", r"\(pi@box: Permission denied \(publickey\)\.\); .*ssh-copy-id"),
        ("No key\nHost key verification failed.", r"\(Host key verification failed\.\); .*by hand"),
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nIt\nHost key verification failed.", "ssh-keygen -R"),
        ("", "no message"),
    ],
)
def test_a_machine_that_is_not_reached(
    play: Path, job: Job, monkeypatch: pytest.MonkeyPatch, said: str, message: str
) -> None:
    monkeypatch.setenv("FAKE_SSH", said or "\n")
    with pytest.raises(PerfError, match=f"^cannot reach box .*{message}") as caught:
        bench_there(job)
    assert "\n" not in str(caught.value)


def test_no_ssh_here(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PerfError, match="no ssh is found here; expected OpenSSH's client on PATH"):
        bench_there(job)


def test_no_room_for_the_models(play: Path, job: Job, tmp_path: Path) -> None:
    put_program(tmp_path / "programs" / "tar", "#!/bin/sh\necho 'tar: a: Cannot write: No space left' >&2; exit 2\n")
    with pytest.raises(
        PerfError, match=r"^box does not take the models into \S+scratch \(tar: .*No space left\); .*MB"
    ):
        bench_there(job)
    assert not list(play.iterdir())


def test_no_room_at_all(play: Path, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(play / "nowhere"))
    with pytest.raises(PerfError, match=r"^box makes no folder to work in \(.*nowhere.*\); expected a POSIX shell"):
        bench_there(job)


def test_what_cannot_be_installed(play: Path, job: Job, tmp_path: Path) -> None:
    put_program(tmp_path / "python", NO_INDEX)
    told: list[str] = []
    with pytest.raises(
        PerfError, match=r"cannot be installed there \(No matching .* numpy\); .*package index .* by hand"
    ):
        bench_there(job, str(tmp_path / "python"), progress=told.append)
    assert told == ["box: installing mbert-onnx there for a while"]
    assert not list(play.iterdir())


def test_what_cannot_be_removed_is_told(
    play: Path, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put_program(tmp_path / "programs" / "rm", "#!/bin/sh\nexit 1\n")
    monkeypatch.setenv("PLAY", "print('it is so'); sys.exit(1)")
    with pytest.raises(PerfError, match=r"^box: it is so; \S+scratch/mbert-onnx-\S+ is left on box: remove it there$"):
        bench_there(job)
    report().write_json(tmp_path / "report.json")
    monkeypatch.setenv("PLAY", f"(folder / 'report.json').write_bytes(Path('{tmp_path}/report.json').read_bytes())")
    assert bench_there(job).cells  # it is not lost
    assert "is left on box: remove it there" in caplog.text


@pytest.mark.parametrize(
    ("machine", "told", "is_so"),
    [
        ("aarch64", ["x86_64\n"], True),
        ("aarch64", ["", "cpu:type:x86,ven0000fam0006mod00CF:feature:"], True),
        ("x86_64", ["aarch64", "cpu:type:aarch64:feature:,0000"], True),
        ("aarch64", ["", "", " GenuineIntel"], True),
        ("x86_64", ["x86_64", "cpu:type:x86,ven0002", " AuthenticAMD"], False),
        ("i686", ["x86_64"], False),
        ("armv7l", ["aarch64"], False),
        ("aarch64", ["", "", ""], False),
        ("riscv64", ["x86_64"], False),
    ],
)
def test_a_machine_that_is_another(machine: str, told: list[str], is_so: bool) -> None:
    assert differ(machine, *told) == is_so


def test_emulation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    files = {emulation.KERNEL[0]: "x86_64"}
    monkeypatch.setattr(emulation, "_read", lambda path: files.get(path, ""))
    assert is_emulated()
    files = {emulation.KERNEL[0]: "aarch64"}
    assert not is_emulated()
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    files = {emulation.CPUINFO: "processor : 0\nvendor_id : VirtualApple\n"}
    assert is_emulated()
