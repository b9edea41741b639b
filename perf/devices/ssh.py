"""Another machine, reached by ssh: a Raspberry Pi, a server of another kind, a phone with a shell."""

from __future__ import annotations

import logging
import shlex
import tempfile
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from perf.devices.device import Program
from perf.devices.job import REPORT, Job, PackedJob, pack
from perf.devices.ssh_address import parse
from perf.devices.ssh_client import Client, control_socket
from perf.devices.ssh_folder import Folder
from perf.devices.ssh_program import check_python, python_with
from perf.errors import PerfError, PerfUsageError
from perf.results.report import Report
from perf.results.report_file import read_report
from perf.sessions.types import Progress

INTERRUPTED = 130
"""Exit status of a job that Ctrl-C ended before anything was measured."""

MEGABYTE = 10**6


class SshDevice:
    """The machine `ssh://[user@]host[:port][/path/of/python]`; the default Python is `python3`.

    Args:
        name: The address.
        program: The program that runs jobs there. It is installed into a temporary folder there, unless that Python has
            the same code.
        config: A config file for ssh in place of the user's, for tests.
    """

    def __init__(self, name: str, program: Program, config: Path | None = None) -> None:
        self.name, self._program, self._config = name, program, config
        self._address = parse(name)
        self._host = self._address.host
        self._jobs = 0
        self._installed: str | None = None

    def __enter__(self) -> Self:
        self._here = tempfile.TemporaryDirectory(prefix="mbo-")  # short: a socket's path may have 100 characters
        try:
            socket = control_socket(Path(self._here.name))
            self._client = Client(self._address, self._config, socket)
            self._folder = Folder(self._client, self._address, self._program.module)
        except BaseException:
            self._here.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._here:
            left = self._folder.close()
        if left and isinstance(error, PerfError):
            raise type(error)(f"{error}; {left}") from None
        if left:  # a warning only: neither the report nor an interrupt may be lost
            logging.getLogger("perf").warning("%s", left)

    def bench(self, job: Job, progress: Progress | None = None) -> Report:
        """Runs the job there and returns its report. At Ctrl-C, the report has the measurements until then, if any.

        Raises PerfError and PerfUsageError; a message of the host begins with its name.
        """

        def report(line: str) -> None:
            if progress is not None:
                progress(f"{self._host}: {line}")

        packed, found = pack(job), self._folder.found
        check_python(self._address, found)
        if found.free_bytes is not None and found.free_bytes < packed.size_bytes:
            raise self._full(packed, f"{_megabytes(found.free_bytes)} are free")
        if self._installed is None:
            self._installed = python_with(self._program, self._address, self._client, self._folder, report)
        self._jobs += 1
        place = f"{found.folder}/{self._jobs}"
        self._send(packed, place, report)
        done = self._folder.run(
            f"{shlex.quote(self._installed)} -P -m {self._program.module} {shlex.quote(place)}",
            report,
            interruptible=True,
        )
        if done.status == INTERRUPTED:
            raise KeyboardInterrupt
        if done.status:
            kind = PerfUsageError if done.status == PerfUsageError.exit_code else PerfError
            raise kind(f"{self._host}: {done.last}")
        return self._fetch(f"{place}/{REPORT}")

    def _send(self, packed: PackedJob, place: str, progress: Progress) -> None:
        progress(f"sending {_megabytes(packed.size_bytes)}")
        done = self._client.run(f"mkdir {shlex.quote(place)} && tar -xf - -C {shlex.quote(place)}", feed=packed.write)
        if done.status:
            raise self._full(packed, done.reason)

    def _full(self, packed: PackedJob, reason: str) -> PerfError:
        folder = self._folder.found.folder.rpartition("/")[0]
        return PerfError(
            f"{self._host} does not take the models into {folder} ({reason}); expected room for "
            f"{_megabytes(packed.size_bytes)}: free some, or set TMPDIR there"
        )

    def _fetch(self, there: str) -> Report:
        done = self._client.run(f"cat {shlex.quote(there)}")
        with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as folder:
            here = Path(folder) / REPORT
            here.write_bytes(done.printed)
            try:
                report = read_report(here)
            except PerfError as error:
                raise PerfError(f"{self._host} gives no whole report: {error}") from None
        return replace(report, arguments=replace(report.arguments, device=self.name))


def _megabytes(size: int) -> str:
    return f"{size / MEGABYTE:.1f} MB"
