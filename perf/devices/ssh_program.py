"""Our program on another machine: the installed one, or a temporary installation."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from pathlib import Path
from typing import IO

from perf.devices.device import Program
from perf.devices.ssh_address import FORM, Address
from perf.devices.ssh_client import Client
from perf.devices.ssh_folder import Folder, Found
from perf.errors import PerfError
from perf.sessions.types import Progress

OLDEST = (3, 11)
"""The oldest Python that our code supports."""

# An installation for minutes is not worth compiling, nor its packages caching.
PIP = "pip install --quiet --no-compile --no-cache-dir --no-input --disable-pip-version-check"


def check_python(address: Address, found: Found) -> None:
    """Raises PerfError for a machine without Python, or with one that is too old."""
    if found.python is not None and found.python >= OLDEST:
        return
    has = "no Python" if found.python is None else f"Python {_version(found.python)}"
    raise PerfError(
        f"{address.host} has {has} as {address.python}; expected {_version(OLDEST)} or newer: install it there, or "
        f"name another: {FORM}"
    )


def python_with(program: Program, address: Address, client: Client, folder: Folder, progress: Progress) -> str:
    """Returns the Python there that has the program: the machine's own if it has the same code, else a new environment.

    Raises PerfError where the program cannot be installed.
    """
    found = folder.found
    if found.identity == program.identity:
        return address.python
    progress("installing mbert-onnx there for a while")
    environment = f"{found.folder}/environment"
    python = f"{environment}/bin/python"
    with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as local:
        wheel = program.wheel_for(found.system, found.machine, Path(local))
        there = shlex.quote(f"{found.folder}/{wheel.name}")

        def feed(stream: IO[bytes]) -> None:
            with wheel.open("rb") as file:
                shutil.copyfileobj(file, stream)

        done = client.run(f"cat >{there}", feed=feed)
    for command in (
        f"{shlex.quote(address.python)} -m venv {shlex.quote(environment)}",
        f"{shlex.quote(python)} -m {PIP} {there}",
    ):
        done = done if done.status else folder.run(command)
    if done.status:
        raise PerfError(
            f"{address.host}: mbert-onnx cannot be installed there ({done.reason}); expected Python's venv, a package "
            f"index and some 500 MB of room: install the same version there by hand, and name its Python: {FORM}"
        )
    return python


def _version(numbers: tuple[int, int]) -> str:
    return ".".join(map(str, numbers))
