"""A folder on another machine for as long as a connection lasts, which that machine removes itself."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from perf.devices.ssh_address import Address
from perf.devices.ssh_client import FAILED, Client, Done
from perf.devices.ssh_errors import cut, unreached
from perf.errors import PerfError

PID = "pid"
"""The file in it that names the process that is running there."""

# Ends what is running there, and removes its folder; again where that still wrote.
CLEAR = (
    f'test -s "$d/{PID}" && kill "$(cat "$d/{PID}")" 2>/dev/null; '
    'rm -rf -- "$d" 2>/dev/null || { sleep 1; rm -rf -- "$d"; }'
)

READY, GONE = "ready", "gone"

REMOVAL_S = 60
"""What a machine may need to remove an environment of Python, in seconds."""


@dataclass(frozen=True)
class Found:
    """What a machine is, before anything is sent.

    Args:
        folder: The new one there.
        system, machine: As `uname` names them.
        free_bytes: In the folder; None where `df` does not tell.
        python: The version of its Python, such as (3, 11); None where there is none.
        identity: Which code of ours that Python has; empty for none.
    """

    folder: str
    system: str
    machine: str
    free_bytes: int | None
    python: tuple[int, int] | None
    identity: str


class Folder:
    """The shell that has made it waits until the connection closes, however that comes about, and then removes it.

    Raises PerfError where the host is not reached, or has no place for it.

    Args:
        client: What reaches the host.
        address: The host's, and the Python to look for there.
        module: Of ours, as `perf.devices.device.Program` has it.
    """

    def __init__(self, client: Client, address: Address, module: str) -> None:
        self._client, self._host = client, address.host
        script = "; ".join(
            [
                f"p={shlex.quote(address.python)}",
                'd=$(mktemp -d "${TMPDIR:-/tmp}/mbert-onnx-XXXXXXXX") || exit 1',
                'trap "" HUP INT TERM',  # what else ends with a connection; the folder is to be removed first
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
        told: dict[str, str] = {}
        assert self._shell.stdout is not None
        for line in self._shell.stdout:
            text = line.decode(errors="replace").strip()
            if text == READY:
                break
            key, _, value = text.partition("=")
            told[key] = value
        else:
            self._shell.wait()
            assert self._shell.stderr is not None
            lines = self._shell.stderr.read().decode(errors="replace").splitlines()
            said = [line.strip() for line in lines if line.strip()]
            if self._shell.returncode == FAILED:
                raise (cut if "folder" in told else unreached)(self._host, said)
            reason = said[-1] if said else f"exit {self._shell.returncode}"
            raise PerfError(
                f"{self._host} makes no folder to work in ({reason}); expected a POSIX shell there, and room in "
                "its TMPDIR or /tmp"
            )
        free = re.search(r"(\d+)\s+\d+%", told["space"])
        version = re.fullmatch(r"(\d+) (\d+)", told["python"])
        return Found(
            told["folder"],
            told["system"],
            told["machine"],
            int(free[1]) * 1024 if free else None,
            (int(version[1]), int(version[2])) if version else None,
            told["identity"],
        )

    def run(self, command: str, tell: Callable[[str], None] = lambda _: None, *, interruptible: bool = False) -> Done:
        """Runs what ends with the folder, should the connection break; its temporary files are there, too.

        Args:
            command: One for the shell.
            tell: Is told its progress.
            interruptible: Whether a KeyboardInterrupt is handed on to it, and it then is waited for.

        Raises PerfError for a connection that breaks.
        """
        folder = shlex.quote(self.found.folder)
        pid = f"{folder}/{PID}"
        script = f"export TMPDIR={folder}; {command} & echo $! >{pid}; wait $!; s=$?; rm -f {pid}; exit $s"
        interrupt = partial(self._client.run, f'kill -INT "$(cat {pid})"') if interruptible else None
        return self._client.run(script, tell=tell, stop=interrupt)

    def close(self) -> str:
        """Has the folder removed.

        Returns what is to be said where that cannot be known: what may be left, and where; else nothing.
        """
        return "" if GONE.encode() in self._end() else self._remove(self.found.folder)

    def _end(self) -> bytes:
        """Closes the connection, and gives what the shell printed at the end."""
        try:
            told, _ = self._shell.communicate(timeout=REMOVAL_S)
        except subprocess.TimeoutExpired:
            told = b""
        finally:
            self._shell.kill()
            self._shell.wait()
        return told

    def _remove(self, folder: str) -> str:
        """The same over a connection of its own, since the first is dead."""
        try:
            done = self._client.run(f'd={shlex.quote(folder)}; {CLEAR}; sleep 1; {CLEAR}; test ! -e "$d"')
        except PerfError:
            return f"{folder} may be left on {self._host}, unless it removes it itself: look there"
        return "" if done.status == 0 else f"{folder} is left on {self._host}: remove it there"
