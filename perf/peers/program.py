"""Programs that run in a peer's own Python environment, without the rest of this package: converters, quantizers."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from perf.errors import PerfError
from perf.sessions.environments import environment
from perf.sessions.subprocess_module import NEEDED
from perf.sessions.types import Progress

PROGRAMS = Path(__file__).parent / "programs"
"""The folder of these programs."""


def python_of(peer: str, packages: Sequence[str], progress: Progress) -> Path:
    """Returns the Python of an environment with a peer's packages and those that a worker needs; created once.

    Args:
        packages: As pip takes them.
        progress: Called with a line when packages are installed.

    Raises PerfError where pip fails.
    """
    return environment(peer, (*packages, *NEEDED), progress)


def run_program(python: Path, program: Path, arguments: Sequence[str | Path], failure: str) -> str:
    """Runs a file as a program and returns its standard output.

    Args:
        python: The environment's Python.
        program: The file.
        failure: The beginning of the error message: which tool fails, on which model.

    Raises PerfError with the last line of its standard error where it fails.
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
