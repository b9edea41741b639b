"""qemu-user: runs programs for aarch64 on this machine, and counts their instructions."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from perf.devices.emulated.processors import PROCESSORS, Processor, create_root
from perf.errors import PerfError, one_line

PROGRAMS = ("qemu-aarch64", "qemu-aarch64-static")

INSTALL = "apt install qemu-user libstdc++6-arm64-cross"

VARIABLE = "QEMU_LD_PREFIX"
"""qemu's own environment variable: the folder with the emulated machine's libraries; default: Debian's."""
SYSROOT = "/usr/aarch64-linux-gnu"

LIBRARIES = ("ld-linux-aarch64.so.1", "libstdc++.so.6")

INTERFACES = (1, 2, 3, 4)
"""Versions of qemu's plugin interface that the plugin can be built for."""

BuildCounter = Callable[[Path, int], Path]
"""Builds the counting plugin into a folder, for a version of the interface, and returns its path. Raises PerfError."""


@dataclass(frozen=True)
class Emulated:
    """A processor that this qemu emulates: `model` is the value of `-cpu`, `root` the root folder of programs."""

    processor: Processor
    model: str
    root: Path


@dataclass(frozen=True)
class Program:
    """A program for aarch64, and the arguments of a trial run, which must succeed."""

    path: Path
    trial: tuple[str, ...] = ()


class Emulator:
    """Runs one program on several emulated processors.

    Attributes:
        version: qemu's version, such as "7.2.22".
        processors: The processors on which the trial run succeeded.
        refused: A warning for each other processor.
        counts: Whether it counts instructions: qemu loads the plugin.
    """

    def __init__(self, program: Program, build_counter: BuildCounter, folder: Path) -> None:
        """
        Args:
            program: The program to run.
            build_counter: Builds the counting plugin.
            folder: Output folder of the plugin, of its counts and of root folders.

        Raises PerfError where qemu or the libraries are missing, or the program runs on no processor.
        """
        self._qemu, sysroot = find_qemu(), find_sysroot()
        self._program, self._count = program, folder / "count"
        self._plugin: tuple[str, ...] = ()
        self.version = _version(self._qemu)
        self.processors: list[Emulated] = []
        self.refused: list[str] = []
        for processor in PROCESSORS:
            self._try(processor, create_root(folder / "roots", sysroot, processor))
        if not self.processors:
            raise PerfError(f"{self.refused[0]}; expected a qemu-user of version 7.2 or newer: {INSTALL}")
        self._plugin = self._find_plugin(build_counter, folder)

    @property
    def counts(self) -> bool:
        return bool(self._plugin)

    @property
    def count_file(self) -> Path:
        """The file with the instruction count of the process that ended last; "-" where nothing is counted."""
        return self._count if self.counts else Path("-")

    def run(self, on: Emulated, arguments: Sequence[str]) -> str:
        """Runs the program, and returns its standard output. Raises PerfError where it fails."""
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
            f"qemu {self.version} cannot run the driver on a processor with {processor.instruction_set} ({reason})"
        )

    def _find_plugin(self, build_counter: BuildCounter, folder: Path) -> tuple[str, ...]:
        """Returns qemu's options for counting; none where it does not load the plugin."""
        help_text = subprocess.run([self._qemu, "--help"], capture_output=True, text=True, check=False)
        if "-plugin" not in help_text.stdout:
            return ()
        for interface in INTERFACES:
            options = ("-plugin", str(build_counter(folder, interface)))
            if not self._run(self.processors[0], options, self._program.trial).returncode:
                return options
        return ()

    def _run(self, on: Emulated, options: Sequence[str], arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        command = [self._qemu, "-L", str(on.root), "-cpu", on.model, *options, str(self._program.path), *arguments]
        # The rest of this environment does not apply: its variables are about this machine's libraries.
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
                os.killpg(process.pid, signal.SIGKILL)  # with its forked copies
                raise
        return subprocess.CompletedProcess(command, process.returncode, out, errors)


def find_qemu() -> str:
    """Returns qemu-user's path. Raises PerfError where it is not installed."""
    if sys.platform != "linux":
        raise PerfError(
            f"emulated-arm64 needs qemu-user, which runs on Linux only; this is {sys.platform}: pass ssh://USER@HOST"
        )
    found = next((path for path in map(shutil.which, PROGRAMS) if path), None)
    if found is None:
        raise PerfError(f"emulated-arm64 needs qemu-user, and {PROGRAMS[0]} is not on PATH: {INSTALL}")
    return found


def find_sysroot() -> Path:
    """Returns the folder with aarch64's libraries. Raises PerfError where they are missing."""
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
    words = subprocess.run([qemu, "--version"], capture_output=True, text=True, check=False).stdout.split()
    return words[words.index("version") + 1] if "version" in words[:-1] else "of unknown version"
