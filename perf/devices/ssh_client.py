"""Client for the system's own ssh, so that the user's config, keys, agent, jump hosts and known hosts apply."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from perf.devices.device import PROGRESS_MARK
from perf.devices.ssh_address import Address
from perf.devices.ssh_errors import cut
from perf.errors import PerfError
from perf.sessions.types import Progress, no_progress

# A machine that does not answer within this many seconds is down; one that is silent four times as long is lost.
TIMEOUT_S = 15
SILENT_TIMEOUTS = 4

OPTIONS = {
    "BatchMode": "yes",  # no prompts: a benchmark may run unattended
    "ConnectTimeout": str(TIMEOUT_S),
    "ServerAliveInterval": str(TIMEOUT_S),
    "ServerAliveCountMax": str(SILENT_TIMEOUTS),
    "LogLevel": "ERROR",  # or a login banner would be taken for an error
    # Settings that a user's config may have for a shell, and that would fail here.
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "ClearAllForwardings": "yes",
}

FAILED = 255
"""ssh's own exit status; any other is that of the script."""


@dataclass(frozen=True)
class Done:
    """Result of a script: its exit status, its standard output, and the lines of stderr that are not progress."""

    status: int
    printed: bytes
    said: Sequence[str]

    @property
    def last(self) -> str:
        """The last line of its standard output or, where that is empty, of stderr."""
        for lines in (self.printed.decode(errors="replace").splitlines(), self.said):
            words = [line.strip() for line in lines if line.strip()]
            if words:
                return words[-1]
        return f"it ended with exit {self.status}"

    @property
    def reason(self) -> str:
        """The reason of a failure, in one line: pip's first error, else the last line."""
        lines = [*self.printed.decode(errors="replace").splitlines(), *self.said]
        words = [line.strip() for line in lines if line.strip()]
        errors = [line.removeprefix("ERROR: ") for line in words if line.startswith("ERROR: ")]
        return errors[0] if errors else self.last


@dataclass(frozen=True)
class Client:
    """Runs scripts for a POSIX shell on a host.

    Args:
        address: The host's address.
        config: A config file in place of the user's, for tests.
        control: The socket by which later connections share the first one; None for a connection each.
    """

    address: Address
    config: Path | None = None
    control: Path | None = None

    def start(self, script: str, *, first: bool = False, **streams: Any) -> subprocess.Popen[bytes]:
        """Starts a script there, with streams as Popen takes them. Raises PerfError where ssh is not installed."""
        options = dict(OPTIONS)
        if self.control is not None:
            options |= {"ControlMaster": "yes" if first else "no", "ControlPath": str(self.control)}
            options |= {"ControlPersist": "no"}
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        config = [] if self.config is None else ["-F", str(self.config)]
        # `sh` reads the script, whatever the user's login shell is.
        command = ["ssh", *config, *words, "-T", self.address.destination, f"exec sh -c {shlex.quote(script)}"]
        try:
            # A session of its own: Ctrl-C is for this program, which then cleans up over the same connection.
            return subprocess.Popen(command, start_new_session=True, **streams)
        except FileNotFoundError:
            raise PerfError("no ssh is found here; expected OpenSSH's client on PATH: install it") from None

    def run(
        self,
        script: str,
        *,
        feed: Callable[[IO[bytes]], None] | None = None,
        progress: Progress = no_progress,
        stop: Callable[[], object] | None = None,
    ) -> Done:
        """Runs a script to its end.

        Args:
            script: A script for `sh`.
            feed: Writes the script's standard input.
            progress: Called at once with each line of stderr that begins with `PROGRESS_MARK`.
            stop: Called at the first KeyboardInterrupt to end the script, which is then waited for.

        Raises PerfError where the host cannot be reached, or the connection breaks.
        """
        with tempfile.TemporaryFile() as printed:
            stdin = subprocess.DEVNULL if feed is None else subprocess.PIPE
            process = self.start(script, stdin=stdin, stdout=printed, stderr=subprocess.PIPE)
            said: list[str] = []
            try:
                if feed is not None:
                    _feed(process, feed)
                try:
                    _listen(process, said, progress)
                except KeyboardInterrupt:
                    if stop is None:
                        raise
                    stop()
                    _listen(process, said, progress)
            finally:
                process.kill()  # harmless where it has ended
                process.wait()
            if process.returncode == FAILED:
                raise cut(self.address.host, said)
            printed.seek(0)
            return Done(process.returncode, printed.read(), said)


def control_socket(folder: Path) -> Path | None:
    """Returns the socket by which connections are shared; None on Windows, whose ssh cannot share them."""
    return None if os.name == "nt" else folder / "s"


def _feed(process: subprocess.Popen[bytes], feed: Callable[[IO[bytes]], None]) -> None:
    stdin = process.stdin
    assert stdin is not None
    try:
        with stdin:
            feed(stdin)
    except BrokenPipeError:
        pass  # its stderr and exit status have the reason


def _listen(process: subprocess.Popen[bytes], said: list[str], progress: Progress) -> None:
    stderr = process.stderr
    assert stderr is not None
    for line in stderr:
        text = line.decode(errors="replace").rstrip()
        if text.startswith(PROGRESS_MARK):
            progress(text.removeprefix(PROGRESS_MARK))
        elif text:
            said.append(text)
    process.wait()
