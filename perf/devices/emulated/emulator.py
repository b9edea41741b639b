"""qemu-user: programs for aarch64 on this machine, and the instructions that they run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from perf.devices.emulated.processors import PROCESSORS, Processor, make_root
from perf.errors import PerfError, one_line

PROGRAMS = ("qemu-aarch64", "qemu-aarch64-static")

INSTALL = "apt install qemu-user libstdc++6-arm64-cross"

VARIABLE = "QEMU_LD_PREFIX"
"""qemu's own variable for where the libraries of the emulated machine are; default: where Debian puts them."""
SYSROOT = "/usr/aarch64-linux-gnu"

LIBRARIES = ("ld-linux-aarch64.so.1", "libstdc++.so.6")

INTERFACES = (1, 2, 3, 4)
"""Versions of the interface of qemu's plugins that one plugin can be built for."""

BuildCounter = Callable[[Path, int], Path]
"""Builds, into a folder, the plugin that counts, for a version of the interface. Raises PerfError."""


@dataclass(frozen=True)
class Emulated:
    """A processor that this qemu emulates: `model` is what its `-cpu` takes, `root` what programs see as /."""

    processor: Processor
    model: str
    root: Path


@dataclass(frozen=True)
class Program:
    """One for aarch64, and arguments with which it does nothing but end well."""

    path: Path
    trial: tuple[str, ...] = ()


class Emulator:
    """Runs a program on several processors.

    Attributes:
        version: qemu's own, such as "7.2.22".
        processors: Those that it emulates.
        refused: A sentence for each other one.
        counts: Whether it counts instructions.
    """

    def __init__(self, program: Program, build_counter: BuildCounter, folder: Path) -> None:
        """
        Args:
            program: What is run.
            build_counter: Builds the plugin.
            folder: For the plugin, for what it writes, and for root folders.

        Raises PerfError where the emulator or the libraries are missing, or the program runs on no processor.
        """
        self._qemu, sysroot = installed(), find_sysroot()
        self._program, self._count = program, folder / "count"
        self._plugin: tuple[str, ...] = ()
        self.version = _version(self._qemu)
        self.processors: list[Emulated] = []
        self.refused: list[str] = []
        for processor in PROCESSORS:
            self._try(processor, make_root(folder / "roots", sysroot, processor))
        if not self.processors:
            raise PerfError(f"{self.refused[0]}; expected a qemu-user of version 7.2 or newer: {INSTALL}")
        self._plugin = self._find_plugin(build_counter, folder)

    @property
    def counts(self) -> bool:
        return bool(self._plugin)

    @property
    def count_file(self) -> Path:
        """Where the instructions are of the process that has ended last; "-" stands for none where it counts none."""
        return self._count if self.counts else Path("-")

    def run(self, on: Emulated, arguments: Sequence[str]) -> str:
        """What the program prints. Raises PerfError where it fails."""
        done = self._run(on, self._plugin, arguments)
        if done.returncode:
            raise PerfError(f"on {on.model} under qemu {self.version}: {_reason(done)}")
        return done.stdout

    def _try(self, processor: Processor, root: Path) -> None:
        reason = ""
        for model in processor.models:
            one = Emulated(processor, model, root)
            done = self._run(one, (), self._program.trial)
            if not done.returncode:
                self.processors.append(one)
                return
            reason = reason or _reason(done)
        self.refused.append(
            f"qemu {self.version} runs nothing of ours on a processor with {processor.instruction_set} ({reason})"
        )

    def _find_plugin(self, build_counter: BuildCounter, folder: Path) -> tuple[str, ...]:
        """The options with which it counts; none where it takes no plugin."""
        told = subprocess.run([self._qemu, "--help"], capture_output=True, text=True, check=False)
        if "-plugin" not in told.stdout:
            return ()
        for interface in INTERFACES:
            options = ("-plugin", str(build_counter(folder, interface)))
            if not self._run(self.processors[0], options, self._program.trial).returncode:
                return options
        return ()

    def _run(self, on: Emulated, options: Sequence[str], arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        command = [self._qemu, "-L", str(on.root), "-cpu", on.model, *options, str(self._program.path), *arguments]
        # Nothing else of this environment: it is about another machine's libraries.
        environment = {"COUNT": str(self._count)}
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
            start_new_session=True,
        ) as process:
            try:
                out, errors = process.communicate()
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)  # with the copies that it has made of itself
                raise
        return subprocess.CompletedProcess(command, process.returncode, out, errors)


def installed() -> str:
    """The emulator's path. Raises PerfError where there is none."""
    if sys.platform != "linux":
        raise PerfError(
            f"emulated-arm64 needs qemu-user, which is for Linux; this is {sys.platform}: pass ssh://USER@HOST"
        )
    found = next((path for path in map(shutil.which, PROGRAMS) if path), None)
    if found is None:
        raise PerfError(f"emulated-arm64 needs qemu-user, and {PROGRAMS[0]} is not on PATH: {INSTALL}")
    return found


def find_sysroot() -> Path:
    """The folder with aarch64's libraries. Raises PerfError where they are not there."""
    sysroot = Path(os.environ.get(VARIABLE) or SYSROOT)
    missing = [name for name in LIBRARIES if not (sysroot / "lib" / name).exists()]
    if missing:
        raise PerfError(
            f"no lib/{missing[0]} in {sysroot}; expected the C and C++ libraries of aarch64: {INSTALL}, or set "
            f"{VARIABLE} to where they are"
        )
    return sysroot


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    return one_line(Exception(done.stderr)) if done.stderr.strip() else f"exit {done.returncode}"


def _version(qemu: str) -> str:
    told = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=False).stdout.split()
    return told[told.index("version") + 1] if "version" in told[:-1] else "of an unknown version"
