"""onnxruntime's library for aarch64, from its wheel, of the version that is installed here."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import onnxruntime as ort

from perf.errors import PerfError
from perf.sessions.environments import cache_folder, create_in_cache, pip_advice
from perf.sessions.types import Progress, no_progress

PLATFORM = "manylinux_2_28_aarch64"
MEMBER = "onnxruntime/capi/libonnxruntime.so."
"""Path of the library in the wheel, without its version."""


def runtime_library(progress: Progress = no_progress) -> Path:
    """Returns the library's path in the user's cache; pip downloads it if it is not there yet.

    Args:
        progress: Called with a line before the download.

    Raises PerfError where the cache cannot be written, and where pip cannot download it.
    """
    library = cache_folder() / "aarch64" / f"libonnxruntime-{ort.__version__}.so"
    if not library.is_file():
        progress(f"downloading onnxruntime {ort.__version__} for aarch64 into {library.parent}")
        create_in_cache(library.parent)
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            fresh = Path(folder) / library.name
            fresh.write_bytes(_library_of(_wheel(Path(folder))))
            fresh.replace(library)
    return library


def _wheel(folder: Path) -> Path:
    wanted = f"onnxruntime=={ort.__version__}"
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--platform", PLATFORM]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), wanted]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    found = next(folder.glob("*.whl"), None)
    if done.returncode or found is None:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = lines[0].removeprefix("ERROR: ") if lines else f"exit {done.returncode}"
        raise PerfError(f"cannot download {wanted} for {PLATFORM} ({reason}); {pip_advice(reason)}")
    return found


def _library_of(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as files:
        names = [name for name in files.namelist() if name.startswith(MEMBER)]
        if len(names) != 1:
            raise PerfError(
                f"{wheel.name} has {len(names)} libraries {MEMBER}*; expected one: install another version of "
                "onnxruntime"
            )
        return files.read(names[0])
