"""npm packages for runtimes under Node.js, each in a folder of the cache."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from perf.errors import PerfError
from perf.sessions.environments import CACHE_ADVICE, made_once
from perf.sessions.runtimes.node_session.process import ADVICE, find_node
from perf.sessions.types import Progress

ORT_WEB, ORT_WEB_VERSION = "onnxruntime-web", "1.30.0"
"""onnxruntime for browsers, and the newest version that the tests run."""


def npm_package(name: str, version: str, progress: Progress) -> Path:
    """Returns the folder of an npm package, installing it with its dependencies into the cache if it is not there.

    Args:
        name, version: As the registry has them.
        progress: Called with a line when the package is installed.

    Raises PerfError where Node.js or npm is missing or old, where npm fails, and where the cache cannot be written.
    """
    find_node()
    npm = shutil.which("npm")
    if npm is None:
        raise PerfError(f"npm is not installed, which fetches {name} {version}; {ADVICE}")
    wanted = f"{name}@{version}"

    def install(folder: Path) -> None:
        folder.mkdir()
        # Without a package.json, npm would install into a folder above that has one.
        (folder / "package.json").write_text('{"private": true}\n', encoding="utf-8")
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
        done = subprocess.run(
            [npm, "install", *options, wanted], cwd=folder, capture_output=True, encoding="utf-8", check=False
        )
        if done.returncode:
            raise PerfError(f"npm cannot install {wanted} ({_reason(done.stderr)}); {_advice(done.stderr)}")

    return made_once(name, [wanted], install, progress) / "node_modules" / name


def _reason(printed: str) -> str:
    """Returns the line of npm's errors that says what is wrong."""
    lines = [line.removeprefix("npm error ").strip() for line in printed.splitlines() if line.strip()]
    found = [line for line in lines if not line.startswith(("code ", "errno ", "syscall ", "A complete log"))]
    return (found or lines or ["no message"])[0]


def _advice(printed: str) -> str:
    if "ENOSPC" in printed:
        return "free some space"
    if any(code in printed for code in ("EACCES", "EROFS", "EPERM")):
        return CACHE_ADVICE
    return "expected npm to reach its registry"
