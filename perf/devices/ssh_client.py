"""The system's own ssh, so that a user's config, keys, agent, jump hosts and known hosts work as they do by hand."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from perf.devices.device import TOLD
from perf.devices.ssh_address import Address
from perf.devices.ssh_errors import cut
from perf.errors import PerfError

# A machine that does not answer within this many seconds is down; one that is silent four times as long is gone.
PATIENCE_S = 15
SILENCES = 4

OPTIONS = {
    "BatchMode": "yes",  # nothing is asked: a bench may run where nobody sits
    "ConnectTimeout": str(PATIENCE_S),
    "ServerAliveInterval": str(PATIENCE_S),
    "ServerAliveCountMax": str(SILENCES),
    "LogLevel": "ERROR",  # or a greeting would be taken for what went wrong
    # A user's config may want these for a shell, and they would fail or disturb here.
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "ClearAllForwardings": "yes",
}

FAILED = 255
"""ssh's own exit status; any other is that of what ran there."""


@dataclass(frozen=True)
class Done:
    """What a script left: its exit status, all that it printed, and the other lines that it said beside."""

    status: int
    printed: bytes
    said: Sequence[str]

    @property
    def last(self) -> str:
        """What it printed or, where it printed nothing, said last."""
        for lines in (self.printed.decode(errors="replace").splitlines(), self.said):
            words = [line.strip() for line in lines if line.strip()]
            if words:
                return words[-1]
        return f"it ended with exit {self.status}"

    @property
    def reason(self) -> str:
        """In a line, why it failed: what pip calls an error, else what was said last."""
        lines = [*self.printed.decode(errors="replace").splitlines(), *self.said]
        words = [line.strip() for line in lines if line.strip()]
        errors = [line.removeprefix("ERROR: ") for line in words if line.startswith("ERROR: ")]
        return errors[0] if errors else self.last


@dataclass(frozen=True)
class Client:
    """Runs scripts for a POSIX shell on a host.

    Args:
        address: The host's.
        config: In place of the user's own; for tests.
        control: Where the socket is that the first connection offers to the others; None for a handshake each.
    """

    address: Address
    config: Path | None = None
    control: Path | None = None

    def start(self, script: str, *, first: bool = False, **streams: Any) -> subprocess.Popen[bytes]:
        """Starts a script there, with streams as Popen takes them. Raises PerfError where there is no ssh."""
        options = dict(OPTIONS)
        if self.control is not None:
            options |= {"ControlMaster": "yes" if first else "no", "ControlPath": str(self.control)}
            options |= {"ControlPersist": "no"}
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        config = [] if self.config is None else ["-F", str(self.config)]
        # Whatever the user's shell is there, `sh` reads the script.
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
        tell: Callable[[str], None] = lambda _: None,
        stop: Callable[[], object] | None = None,
    ) -> Done:
        """Runs a script to its end.

        Args:
            script: For `sh`.
            feed: Writes what it reads.
            tell: Is told at once each line that begins with `TOLD`, of those that it says beside what it prints.
            stop: Asks it to end, at the first KeyboardInterrupt, after which it is waited for all the same.

        Raises PerfError where the host is not reached, or the connection breaks.
        """
        with tempfile.TemporaryFile() as printed:
            stdin = subprocess.DEVNULL if feed is None else subprocess.PIPE
            process = self.start(script, stdin=stdin, stdout=printed, stderr=subprocess.PIPE)
            said: list[str] = []
            try:
                if feed is not None:
                    _feed(process, feed)
                try:
                    _listen(process, said, tell)
                except KeyboardInterrupt:
                    if stop is None:
                        raise
                    stop()
                    _listen(process, said, tell)
            finally:
                process.kill()  # no matter where it has ended
                process.wait()
            if process.returncode == FAILED:
                raise cut(self.address.host, said)
            printed.seek(0)
            return Done(process.returncode, printed.read(), said)


def control_socket(folder: Path) -> Path | None:
    """Where connections of one process meet; Windows' ssh cannot."""
    return None if os.name == "nt" else folder / "s"


def _feed(process: subprocess.Popen[bytes], feed: Callable[[IO[bytes]], None]) -> None:
    stdin = process.stdin
    assert stdin is not None
    try:
        with stdin:
            feed(stdin)
    except BrokenPipeError:
        pass  # what it says, and its exit status, tell why


def _listen(process: subprocess.Popen[bytes], said: list[str], tell: Callable[[str], None]) -> None:
    stderr = process.stderr
    assert stderr is not None
    for line in stderr:
        text = line.decode(errors="replace").rstrip()
        if text.startswith(TOLD):
            tell(text.removeprefix(TOLD))
        elif text:
            said.append(text)
    process.wait()
