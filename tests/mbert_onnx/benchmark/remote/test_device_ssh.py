"""`bench` on another machine: this one, behind a real sshd that the tests start."""

from __future__ import annotations

import getpass
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from exported_checkpoints import Exports

from mbert_onnx.benchmark.models.builder import ModelBuilder
from mbert_onnx.benchmark.remote.code_identity import HOME
from mbert_onnx.benchmark.remote.wheel import program
from perf.devices.job import Job
from perf.devices.ssh import SshDevice
from perf.errors import PerfError, PerfUsageError
from perf.results.report import Report
from perf.sessions.subject import Subject
from perf.timing.options import BenchOptions

SSHD = shutil.which("sshd", path=os.environ.get("PATH", "") + os.pathsep + "/usr/sbin")
ARM64_ROOT = os.environ.get("MBERT_ONNX_ARM64_ROOT")
IS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0

pytestmark = pytest.mark.skipif(SSHD is None or shutil.which("ssh") is None, reason="OpenSSH is not installed")

# Seconds in which a server starts, and in which a machine notices that a connection is cut.
SOON = 20

VOCAB_SIZE, WIDTH = 50, 8

# Tokens, whose square takes a millisecond or more.
LONG = 1500

# Of two machines' float32.
FLOAT32 = 1e-5

SMALL_KB = 512
TIGHT_MB = 4


def token_model(path: Path, *, external: bool = False, seed: int = 0) -> Path:
    """Writes a model that looks ids up in a random table."""
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        tokens (int64[batch, seq] input_ids) => (float[batch, seq, width] logits) {
            logits = Gather(table, input_ids)
        }"""
    )
    table = np.random.default_rng(seed).normal(size=(VOCAB_SIZE, WIDTH)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(table, "table"))
    onnx.save(model, path, save_as_external_data=external, location=f"{path.name}.data", size_threshold=0)
    return path


class Server:
    """An sshd, and a config of ssh that calls it `box`; what is done there has its temporary files in `scratch`."""

    def __init__(self, folder: Path, *settings: str, scratch: Path | None = None, root: Path = Path("/")) -> None:
        self.folder, self.scratch = folder, scratch or folder / "scratch"
        self.scratch.mkdir(exist_ok=True)
        there = Path("/", self.scratch.relative_to(root))
        command = "" if root == Path("/") else f'ForceCommand exec chroot {root} /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n'
        for name in ("host", "user", "stranger"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        shutil.copy(folder / "user.pub", folder / "authorized")
        self.know("host")
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder / 'host'}\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {folder / 'authorized'}\nStrictModes no\nPasswordAuthentication no\n"
            f"SetEnv {' '.join([f'TMPDIR={there}', *settings])}\n{command}"
        )
        self.config = folder / "ssh_config"
        self.config.write_text(
            f"Host box\nHostName 127.0.0.1\nPort {self.port}\nUser {getpass.getuser()}\n"
            f"IdentityFile {folder / 'user'}\nIdentitiesOnly yes\nIdentityAgent none\n"
            f"UserKnownHostsFile {folder / 'known_hosts'}\nGlobalKnownHostsFile none\n"
        )

    def know(self, key: str) -> None:
        public = (self.folder / f"{key}.pub").read_text()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {public}")

    def start(self, *options: str) -> None:
        if IS_ROOT:
            Path("/run/sshd").mkdir(exist_ok=True)  # where sshd drops its rights; a running system has it
        assert SSHD is not None
        command = [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config"), *options]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        for _ in range(SOON * 10):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.1)
        raise AssertionError("sshd does not start")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()

    def device(self, python: str = sys.executable) -> SshDevice:
        return SshDevice(f"ssh://box{python}", program(), self.config)

    def is_empty(self) -> bool:
        """Whether nothing is left there, now or soon."""
        return eventually(lambda: not list(self.scratch.iterdir()))


def eventually(is_so: Callable[[], bool]) -> bool:
    for _ in range(SOON * 10):
        if is_so():
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Has the code that is tested."""
    made = Server(tmp_path, f"PYTHONPATH={HOME}")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def bare_server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Two models, one with its weights beside it, for a very short bench."""
    paths = [token_model(tmp_path / "one.onnx"), token_model(tmp_path / "two.onnx", external=True, seed=1)]
    subjects = tuple(Subject(path.stem, path, VOCAB_SIZE) for path in paths)
    return Job(subjects, BenchOptions(seq_lens=(4,), threads=(1,), precision=0.5, budget_s=0.05))


@pytest.fixture
def long_job(tmp_path: Path) -> Job:
    """Has some eight seconds left when its second repetition begins, which is time enough to disturb it."""
    path = tmp_path / "slow.onnx"
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18]>
        tokens (int64[batch, seq] input_ids) => (float[batch, width, width] logits) {
            rows = Cast<to = 1>(input_ids)
            columns = Transpose(rows)
            square = MatMul(columns, rows)
            axes = Constant<value_ints = [0]>()
            logits = Unsqueeze(square, axes)
        }"""
    )
    onnx.save(model, path)
    subject = Subject("slow", path, VOCAB_SIZE)
    return Job((subject,), BenchOptions(seq_lens=(LONG,), threads=(1,), precision=0.0001, budget_s=10))


def bench(device: SshDevice, job: Job, **options: Any) -> Report:
    with device:
        return device.bench(job, **options)


def test_the_report_comes_back_and_nothing_stays(server: Server, job: Job) -> None:
    told: list[str] = []
    first = replace(job.subjects[0], reference=job.subjects[1].path)
    device = server.device()
    report = bench(device, replace(job, subjects=(first, job.subjects[1])), progress=told.append)
    assert report.arguments.device == device.name
    assert [item.name for item in report.subjects] == ["one", "two"]
    assert report.subjects[0].error is not None
    assert report.subjects[0].error > 0.1
    assert report.subjects[1].file.size_bytes == sum(path.stat().st_size for path in server.folder.glob("two.onnx*"))
    assert [(cell.seq_len, cell.threads) for cell in report.cells] == [(4, 1)]
    assert "box: repetition 6 of 6: 1 thread, 4 tokens" in told
    assert not [line for line in told if "installing" in line]  # this very code is there
    assert server.is_empty()


def test_what_the_other_side_complains_of_comes_through(server: Server, job: Job) -> None:
    with pytest.raises(PerfUsageError, match=r"^box: the vocabulary size of one is 0; expected at least 1"):
        bench(server.device(), replace(job, subjects=(replace(job.subjects[0], vocab_size=0),)))
    with pytest.raises(PerfUsageError, match=r"^box: the native kernels compute no block of one: it has no functions"):
        bench(server.device(), replace(job, subjects=job.subjects[:1], own_kernels={"one": "native"}))
    assert server.is_empty()


def test_a_cut_connection(server: Server, long_job: Job) -> None:
    def cut(line: str) -> None:
        if "repetition 2" in line:
            for session in psutil.Process(server.process.pid).children():
                session.kill()

    with pytest.raises(PerfError, match=r"^the connection to box was cut[^>]*bench them again$"):
        bench(server.device(), long_job, progress=cut)
    assert server.is_empty()
    assert eventually(lambda: not working_in(server.scratch))


def working_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if str(folder) in " ".join(process.cmdline()) and "mbert_onnx.benchmark.remote.job" in process.cmdline():
                found.append(process)
    return found


@pytest.mark.full
def test_the_whole_server_dies(server: Server, long_job: Job) -> None:
    def die(line: str) -> None:
        if "repetition 2" in line:
            sessions = psutil.Process(server.process.pid).children()
            server.process.kill()
            for session in sessions:
                session.kill()

    with pytest.raises(PerfError, match=r"^the connection to box was cut.*; \S+ may be left on box"):
        bench(server.device(), long_job, progress=die)
    assert server.is_empty()  # it has removed it itself


def test_ctrl_c_keeps_what_was_measured(server: Server, long_job: Job) -> None:
    def interrupt(line: str) -> None:
        if "repetition 2" in line:
            raise KeyboardInterrupt

    report = bench(server.device(), long_job, progress=interrupt)
    assert report.interrupted
    assert report.cells
    assert server.is_empty()


@pytest.mark.full
def test_ctrl_c_before_anything_is_measured(server: Server, job: Job) -> None:
    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench(server.device(), job, progress=interrupt)
    assert server.is_empty()


def test_doors_that_stay_shut(server: Server, job: Job) -> None:
    config = server.config.read_text()
    server.config.write_text(config.replace(str(server.folder / "user"), str(server.folder / "stranger")))
    with pytest.raises(PerfError, match=r"^cannot reach box \(.*Permission denied \(publickey.*ssh-copy-id"):
        bench(server.device(), job)
    server.config.write_text(config)
    (server.folder / "known_hosts").write_text("")
    with pytest.raises(
        PerfError, match=r"^cannot reach box \(Host key verification failed\.\); .*connect once by hand"
    ):
        bench(server.device(), job)
    server.know("stranger")
    with pytest.raises(PerfError, match=r"^cannot reach box \(.*REMOTE HOST IDENTIFICATION HAS CHANGED.*ssh-keygen -R"):
        bench(server.device(), job)
    server.config.write_text(config.replace("127.0.0.1", "nowhere.invalid"))
    with pytest.raises(PerfError, match=r"^cannot reach box \(Could not resolve hostname.*expected a name"):
        bench(server.device(), job)
    server.config.write_text(config)
    server.stop()
    with pytest.raises(PerfError, match=r"^cannot reach box \(.*Connection refused\); expected a machine that is on"):
        bench(server.device(), job)


def test_no_python_and_an_old_one(server: Server, job: Job) -> None:
    with pytest.raises(PerfError, match=r"^box has no Python as /no/python; expected 3\.11 or newer"):
        bench(server.device("/no/python"), job)
    old = server.folder / "old"
    old.write_text("#!/bin/sh\necho 3 9\n")
    old.chmod(0o755)
    with pytest.raises(PerfError, match=r"^box has Python 3\.9 as \S+old; expected 3\.11 or newer"):
        bench(server.device(str(old)), job)
    assert server.is_empty()


def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    if not IS_ROOT or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]).returncode:
        pytest.skip("a small disk can be mounted by root alone")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    yield from small_disk(tmp_path / "tiny", f"{SMALL_KB}k")


@pytest.fixture
def tight_disk(tmp_path: Path) -> Iterator[Path]:
    yield from small_disk(tmp_path / "tight", f"{TIGHT_MB}m")


def test_no_room_for_the_models(tmp_path: Path, tiny_disk: Path, job: Job) -> None:
    server = Server(tmp_path, scratch=tiny_disk)
    server.start()
    try:
        big = replace(job.subjects[0], path=tmp_path / "big.ort")
        big.path.write_bytes(bytes(SMALL_KB * 2048))
        with pytest.raises(
            PerfError, match=r"^box does not take the models into \S+tiny \(0\.5 MB are free\); .* 1\.0 MB"
        ):
            bench(server.device(), replace(job, subjects=(big,)))
        assert server.is_empty()
    finally:
        server.stop()


@pytest.mark.full
def test_no_room_to_install(tmp_path: Path, tight_disk: Path, job: Job) -> None:
    server = Server(tmp_path, scratch=tight_disk)
    server.start()
    device = SshDevice(f"ssh://box{sys.executable}", replace(program(), identity="another"), server.config)
    try:
        with pytest.raises(PerfError, match=r"^box: mbert-onnx cannot be installed there \(.*\); .*package index"):
            bench(device, job)
        assert server.is_empty()
    finally:
        server.stop()


@pytest.mark.full
def test_a_machine_without_our_program(bare_server: Server, job: Job) -> None:
    """Its wheel is installed there for as long as the bench lasts."""
    told: list[str] = []
    device = SshDevice(f"ssh://box{sys.executable}", replace(program(), identity="another"), bare_server.config)
    report = bench(device, job, progress=told.append)
    assert [item.name for item in report.subjects] == ["one", "two"]
    assert "box: installing mbert-onnx there for a while" in told
    assert bare_server.is_empty()


@pytest.mark.full
@pytest.mark.skipif(
    ARM64_ROOT is None, reason="MBERT_ONNX_ARM64_ROOT names no root; tests/helpers/measurements/arm64_root.py makes one"
)
def test_a_machine_of_another_kind(tmp_path: Path, exported: Exports) -> None:
    """aarch64 under emulation: what it computes is right, kernels included; its milliseconds are not looked at."""
    assert ARM64_ROOT is not None
    root = Path(ARM64_ROOT).resolve()
    scratch = root / "tmp" / tmp_path.name
    with ExitStack() as stack:
        builder = ModelBuilder(stack, task=None, seed=0, seq_lens=None, batch=1, kernels="portable", progress=None)
        ours = builder.subject(str(exported().bundle))
    subjects = tuple(replace(ours, name=name, reference=ours.path) for name in ("auto", "portable"))
    options = BenchOptions(seq_lens=(8,), threads=(1,), precision=0.5, budget_s=0.05)
    job = Job(subjects, options, own_kernels={"portable": "portable"})
    # OpenBLAS would start a thread for each core, which the emulator makes slow.
    server = Server(tmp_path, "OPENBLAS_NUM_THREADS=1", "QEMU_CPU=neoverse-v1", scratch=scratch, root=root)
    server.start()
    try:
        report = bench(server.device("/usr/bin/python3"), job)
        assert server.is_empty()
    finally:
        server.stop()
        scratch.rmdir()
    assert report.machine.architecture == "aarch64"
    for subject in report.subjects:
        assert subject.error is not None
        assert subject.error < FLOAT32
    with_kernels, without = (sum(item.placement.nodes.values()) for item in report.subjects)
    if importlib.util.find_spec("ziglang") is not None:
        assert report.subjects[0].notes[-1] == "run with the native kernels, neon-i8mm"
        assert with_kernels < without
    assert report.subjects[1].notes == ()
