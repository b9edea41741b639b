"""Runs modules of this package as child processes, in this Python or in another environment's."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import onnxruntime as ort

import perf

# The child imports this package by its file, so that a folder called perf in the working directory, in PYTHONPATH or in
# site-packages does not take its place.
BOOTSTRAP = """\
import importlib, importlib.util, sys
spec = importlib.util.spec_from_file_location("perf", sys.argv[1])
package = importlib.util.module_from_spec(spec)
sys.modules["perf"] = package
spec.loader.exec_module(package)
importlib.import_module(sys.argv[2]).answer(*sys.argv[3:])
"""

NEEDED = ("numpy", "psutil", f"onnxruntime=={ort.__version__}")
"""Packages that an environment needs besides its own, for a module of this package to run in it."""


def command(module: str, *arguments: str, python: Path | None = None) -> list[str]:
    """Returns the command that calls a module's function `answer` with these arguments.

    Args:
        module: A module's name, such as `perf.machine.footprint`.
        python: The Python of another environment; None for this one.
    """
    return [str(python or sys.executable), "-P", "-c", BOOTSTRAP, str(perf.__file__), module, *arguments]


def death(returncode: int | None) -> str:
    """Returns how a process ended: "exit 1", "signal SIGKILL"."""
    if returncode is None or returncode >= 0:
        return f"exit {returncode}"
    return f"signal {signal.Signals(-returncode).name}"
