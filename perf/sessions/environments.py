"""Cached environments for tools whose packages conflict with others, of Python or Node.js; each is created once."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock

from perf.errors import PerfError
from perf.sessions.types import Progress

VARIABLE = "MBERT_ONNX_CACHE"
"""Environment variable with the folder of the environments; default: the user's cache."""

CACHE_ADVICE = f"set {VARIABLE} to a folder that can be written"


def environment(name: str, packages: Sequence[str], progress: Progress) -> Path:
    """Returns the Python of an environment that has these packages, creating it if it does not exist.

    Args:
        name: The tool that it is for.
        packages: As pip takes them; another list is another environment.
        progress: Called with a line when packages are installed.

    Raises PerfError where the cache cannot be written, and where venv or pip fails.
    """
    python = Path("Scripts/python.exe" if os.name == "nt" else "bin/python")

    def make(folder: Path) -> None:
        venv = [sys.executable, "-m", "venv", str(folder)]
        _run(venv, name, "expected a Python that has its modules venv and ensurepip")
        _run([str(folder / python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages], name)

    return made_once(name, [*packages, sys.version], make, progress) / python


def made_once(name: str, content: Sequence[str], make: Callable[[Path], None], progress: Progress) -> Path:
    """Returns a folder of the cache with packages, making it if it does not exist.

    Several processes may ask for the same one: the first makes it, and the others wait.

    Args:
        name: The tool that it is for.
        content: Packages and versions; another list is another folder.
        make: Called with the folder, which does not exist.
        progress: Called with a line when packages are installed.

    Raises PerfError where the cache cannot be written, and what `make` raises.
    """
    kind = hashlib.sha256("\n".join(content).encode()).hexdigest()[:8]
    folder = cache_folder() / "environments" / f"{name}-{kind}"
    complete = folder / "complete"
    if complete.is_file():
        return folder
    create_in_cache(folder.parent)
    with FileLock(folder.with_suffix(".lock")):
        if complete.is_file():
            return folder
        progress(f"installing {name} into an environment of its own, {folder}")
        shutil.rmtree(folder, ignore_errors=True)  # left by an interrupted run
        make(folder)
        complete.touch()
    return folder


def cache_folder() -> Path:
    """Returns the folder for downloads: that of the environment variable, or the user's cache."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen)
    base = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_CACHE_HOME")
    try:
        return Path(base or Path.home() / ".cache") / "mbert-onnx"
    except RuntimeError as error:  # HOME is not set, and the user has no entry in the list of users
        raise PerfError(f"this user has no home folder for a cache; set {VARIABLE} to a folder for it") from error


def create_in_cache(folder: Path) -> None:
    """Creates a folder in the cache. Raises PerfError if it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise PerfError(f"{folder} cannot be written ({error.strerror}); {CACHE_ADVICE}") from error


def pip_advice(reason: str) -> str:
    """Returns what to do about an error of pip: about the disk, the package, or the connection."""
    if "No space left" in reason or "Disk quota" in reason:
        return "free some space"
    if any(part in reason for part in ("Permission denied", "Read-only file system", "Operation not permitted")):
        return CACHE_ADVICE
    return "expected pip to reach a package index"


def _run(command: Sequence[str], name: str, advice: str | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        printed = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        lines = [line for line in printed if line.startswith("ERROR")] or printed[-1:]
        reason = lines[0].removeprefix("ERROR: ") if lines else f"exit {done.returncode}"
        raise PerfError(f"cannot create the environment for {name} ({reason}); {advice or pip_advice(reason)}")
