"""Cached Python environments for tools whose packages conflict with others; each is created once."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from perf.errors import PerfError
from perf.sessions.types import Progress

VARIABLE = "MBERT_ONNX_CACHE"
"""Environment variable with the folder of the environments; default: the user's cache."""


def environment(name: str, packages: Sequence[str], progress: Progress) -> Path:
    """Returns the Python of an environment that has these packages, creating it if it does not exist.

    Args:
        name: The tool that it is for.
        packages: As pip takes them; another list is another environment.
        progress: Called with a line when packages are installed.

    Raises PerfError where pip fails.
    """
    kind = hashlib.sha256("\n".join([*packages, sys.version]).encode()).hexdigest()[:8]
    folder = cache_folder() / "environments" / f"{name}-{kind}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    complete = folder / "complete"
    if complete.is_file():
        return python
    progress(f"installing {name} into an environment of its own, {folder}")
    shutil.rmtree(folder, ignore_errors=True)  # left by an interrupted run
    _run([sys.executable, "-m", "venv", str(folder)], name)
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages], name)
    complete.touch()
    return python


def cache_folder() -> Path:
    """Returns the folder for downloads: that of the environment variable, or the user's cache."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen)
    base = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    return Path(base or Path.home() / ".cache") / "mbert-onnx"


def _run(command: Sequence[str], name: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("ERROR")]
        reason = lines[0].removeprefix("ERROR: ") if lines else f"exit {done.returncode}"
        raise PerfError(f"cannot create the environment for {name} ({reason}); expected pip to reach a package index")
