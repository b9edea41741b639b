"""Programs that run in a peer's own environment, without the rest of this package: its converters."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from perf.errors import PerfError
from perf.sessions.environments import environment
from perf.sessions.subprocess_module import NEEDED


def python_of(peer: str, packages: Sequence[str], tell: Callable[[str], None]) -> Path:
    """The Python of an environment with a peer's packages, and what a worker of ours needs; made once, and kept.

    Args:
        packages: As pip takes them.
        tell: Is told when something is installed.

    Raises PerfError where pip fails.
    """
    return environment(peer, (*packages, *NEEDED), tell)


def run_program(python: Path, program: Path, arguments: Sequence[str | Path], failure: str) -> str:
    """Runs a file as a program; what it printed on standard output.

    Args:
        python: Of the environment.
        program: The file.
        failure: Begins the error: what fails, on what.

    Raises PerfError with the last line that it printed on standard error where it fails.
    """
    done = subprocess.run(
        [str(python), "-P", str(program), *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        last = ([line.strip() for line in done.stderr.splitlines() if line.strip()] or ["no message"])[-1]
        raise PerfError(f"{failure} with exit {done.returncode}: {last}")
    return done.stdout
