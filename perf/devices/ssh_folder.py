"""Temporary folder on another machine, which that machine removes when the connection ends."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass
from functools import partial

from perf.devices.ssh_address import Address
from perf.devices.ssh_client import FAILED, Client, Done
from perf.devices.ssh_errors import cut, unreached
from perf.errors import PerfError
from perf.sessions.types import Progress, no_progress

PID = "pid"
"""The file in it with the id of the process that is running there."""

# Ends the running process and removes the folder; once more if the process was still writing.
CLEAR = (
    f'test -s "$d/{PID}" && kill "$(cat "$d/{PID}")" 2>/dev/null; '
    'rm -rf -- "$d" 2>/dev/null || { sleep 1; rm -rf -- "$d"; }'
)

READY, GONE = "ready", "gone"

REMOVAL_S = 60
"""Time limit for removing a Python environment there, in seconds."""


@dataclass(frozen=True)
class Found:
    """Facts about a machine, read before anything is sent.

    Args:
        folder: The new folder there.
        system, machine: Its operating system and architecture, as `uname` names them.
        free_bytes: Free space in the folder; None where `df` does not report it.
        python: The version of its Python, such as (3, 11); None without Python.
        identity: The identity of our code in that Python; empty where it is not installed.
    """

    folder: str
    system: str
    machine: str
    free_bytes: int | None
    python: tuple[int, int] | None
    identity: str


class Folder:
    """Temporary folder on a host; the shell that created it removes it when the connection ends for any reason.

    Raises PerfError where the host cannot be reached, or cannot create the folder.

    Args:
        client: Connects to the host.
        address: The host's address, and the Python to look for there.
        module: Our program's module, as `perf.devices.device.Program` has it.
    """

    def __init__(self, client: Client, address: Address, module: str) -> None:
        self._client, self._host = client, address.host
        script = "; ".join(
            [
                f"p={shlex.quote(address.python)}",
                'd=$(mktemp -d "${TMPDIR:-/tmp}/mbert-onnx-XXXXXXXX") || exit 1',
                'trap "" HUP INT TERM',  # these end a shell with its connection; it must remove the folder first
                'echo "folder=$d"',
                'echo "system=$(uname -s)"',
                'echo "machine=$(uname -m)"',
                'echo "space=$(df -Pk "$d" | tail -n 1)"',
                'echo "python=$("$p" -c "import sys; print(*sys.version_info[:2])" 2>/dev/null </dev/null)"',
                f'echo "identity=$("$p" -P -m {module} --identity 2>/dev/null </dev/null)"',
                f"echo {READY}",
                "cat >/dev/null",
                CLEAR,
                f'test -e "$d" || echo {GONE}',
            ]
        )

        self._shell = client.start(
            script, first=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        try:
            self.found = self._read()
        except BaseException:
            self._end()
            raise

    def _read(self) -> Found:
        facts: dict[str, str] = {}
        assert self._shell.stdout is not None
        for line in self._shell.stdout:
            text = line.decode(errors="replace").strip()
            if text == READY:
                break
            key, _, value = text.partition("=")
            facts[key] = value
        else:
            self._shell.wait()
            assert self._shell.stderr is not None
            lines = self._shell.stderr.read().decode(errors="replace").splitlines()
            said = [line.strip() for line in lines if line.strip()]
            if self._shell.returncode == FAILED:
                raise (cut if "folder" in facts else unreached)(self._host, said)
            reason = said[-1] if said else f"exit {self._shell.returncode}"
            raise PerfError(
                f"{self._host} makes no folder to work in ({reason}); expected a POSIX shell there, and room in "
                "its TMPDIR or /tmp"
            )
        free = re.search(r"(\d+)\s+\d+%", facts["space"])
        version = re.fullmatch(r"(\d+) (\d+)", facts["python"])
        return Found(
            facts["folder"],
            facts["system"],
            facts["machine"],
            int(free[1]) * 1024 if free else None,
            (int(version[1]), int(version[2])) if version else None,
            facts["identity"],
        )

    def run(self, command: str, progress: Progress = no_progress, *, interruptible: bool = False) -> Done:
        """Runs a command that is ended with the folder if the connection breaks; its TMPDIR is the folder.

        Args:
            command: A shell command.
            progress: Called with its progress lines.
            interruptible: Whether a KeyboardInterrupt is passed on to the command, which is then waited for.

        Raises PerfError for a connection that breaks.
        """
        folder = shlex.quote(self.found.folder)
        pid = f"{folder}/{PID}"
        script = f"export TMPDIR={folder}; {command} & echo $! >{pid}; wait $!; s=$?; rm -f {pid}; exit $s"
        interrupt = partial(self._client.run, f'kill -INT "$(cat {pid})"') if interruptible else None
        return self._client.run(script, progress=progress, stop=interrupt)

    def close(self) -> str:
        """Removes the folder.

        Returns a warning of what is or may be left there; empty where the folder is gone.
        """
        return "" if GONE.encode() in self._end() else self._remove(self.found.folder)

    def _end(self) -> bytes:
        """Closes the connection and returns the shell's last output."""
        try:
            printed, _ = self._shell.communicate(timeout=REMOVAL_S)
        except subprocess.TimeoutExpired:
            printed = b""
        finally:
            self._shell.kill()
            self._shell.wait()
        return printed

    def _remove(self, folder: str) -> str:
        """Removes it over a new connection, because the first one is dead; returns as `close` does."""
        try:
            done = self._client.run(f'd={shlex.quote(folder)}; {CLEAR}; sleep 1; {CLEAR}; test ! -e "$d"')
        except PerfError:
            return f"{folder} may be left on {self._host}, unless it removes it itself: look there"
        return "" if done.status == 0 else f"{folder} is left on {self._host}: remove it there"
