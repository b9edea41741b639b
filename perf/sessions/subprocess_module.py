"""Modules of this package as programs in processes of their own, in this Python or in another environment's."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import onnxruntime as ort

import perf

# The child finds this very package by its file: a folder called perf in the working directory, in PYTHONPATH or
# beside site-packages cannot take its place.
BOOTSTRAP = """\
import importlib, importlib.util, sys
spec = importlib.util.spec_from_file_location("perf", sys.argv[1])
package = importlib.util.module_from_spec(spec)
sys.modules["perf"] = package
spec.loader.exec_module(package)
importlib.import_module(sys.argv[2]).answer(*sys.argv[3:])
"""

NEEDED = ("numpy", "psutil", f"onnxruntime=={ort.__version__}")
"""What an environment must have for a module of this package to run in it, beside its own."""


def command(module: str, *arguments: str, python: Path | None = None) -> list[str]:
    """The command that calls a module's function `answer` with these arguments.

    Args:
        module: Such as `perf.machine.footprint`.
        python: Of another environment; None is this one.
    """
    return [str(python or sys.executable), "-P", "-c", BOOTSTRAP, str(perf.__file__), module, *arguments]


def death(returncode: int | None) -> str:
    """How a process ended: "exit 1", "signal SIGKILL"."""
    if returncode is None or returncode >= 0:
        return f"exit {returncode}"
    return f"signal {signal.Signals(-returncode).name}"
