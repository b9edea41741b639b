"""A Node.js process that runs models of one npm package, as `programs/worker.mjs` describes the lines it reads."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import weakref
from functools import cache
from pathlib import Path
from typing import IO, Any

from perf.errors import PerfError, one_line
from perf.sessions.subprocess_module import death

PROGRAM = Path(__file__).parent / "programs" / "worker.mjs"

OLDEST = 20
"""The oldest major version of Node.js that the tests run."""

ADVICE = f"install Node.js {OLDEST} or newer (https://nodejs.org)"


ERROR = re.compile(r"(FATAL ERROR|\w*Error)\b")
"""Begins the line that names an error, among lines of source code and of its stack."""


@cache
def find_node() -> Path:
    """Returns the program `node`. Raises PerfError where there is none, or an old one."""
    found = shutil.which("node")
    if found is None:
        raise PerfError(f"Node.js is not installed, which runs WebAssembly here; {ADVICE}")
    try:
        done = subprocess.run([found, "--version"], capture_output=True, text=True, check=True)
        version = done.stdout.strip()
        major = int(version.removeprefix("v").partition(".")[0])
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        raise PerfError(f"{found} prints no version ({one_line(error)}); {ADVICE}") from None
    if major < OLDEST:
        raise PerfError(f"{found} is Node.js {version}, expected {OLDEST} or newer; {ADVICE}")
    return Path(found)


class NodeProcess:
    """A Node.js process, which ends with this one.

    Args:
        runtime: The name of an npm package, for which `programs/` has a module.
        package: The folder of the package.
    """

    def __init__(self, runtime: str, package: Path) -> None:
        self._runtime = runtime
        self._closed: list[int] = []
        errors = tempfile.TemporaryFile()  # noqa: SIM115  # for as long as the process lives
        process = subprocess.Popen(
            [find_node(), PROGRAM, runtime, package],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
        )
        self._process, self._errors = process, errors
        self.close = weakref.finalize(self, _end, process, errors)
        """Kills the process."""

    def forget(self, number: int) -> None:
        """Closes a session, together with the next request."""
        self._closed.append(number)

    def ask(self, request: str, **arguments: Any) -> Any:
        """Sends a request and returns the answer. Raises the process's error as a PerfError, or one if it has died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        closed, self._closed = self._closed, []
        try:
            self._process.stdin.write(json.dumps({"request": request, "closed": closed, **arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:  # a pipe without a reader
            line = ""
        if not line:
            raise PerfError(f"the Node.js process that runs {self._runtime} ended with {self._death()}")
        reply = json.loads(line)
        if "error" in reply:
            raise PerfError(" ".join(reply["error"].split()))
        return reply["answer"]

    def _death(self) -> str:
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        # An uncaught error is followed by its stack, and by the version of Node.js.
        reason = next(filter(ERROR.match, lines), lines[-1] if lines else "no message")
        return f"{death(self._process.poll())} ({reason.strip()})"


def _end(process: subprocess.Popen[str], errors: IO[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, errors):
        try:
            if stream is not None:
                stream.close()
        except OSError:  # buffered data that can no longer be written
            continue
