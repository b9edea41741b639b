"""Packages of npm in the cache: installed once, and one line where that fails."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from perf.errors import PerfError
from perf.peers.npm import npm_package
from perf.sessions.environments import VARIABLE
from perf.sessions.runtimes.node_session.process import find_node

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="npm is a shell script here"),
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
]


@pytest.fixture(autouse=True)
def _empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_node()  # which remembers it
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))


def write_npm(folder: Path, script: str) -> None:
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)


def test_it_is_installed_once(tmp_path: Path) -> None:
    write_npm(tmp_path, f'echo "$@" >> {tmp_path}/called; /bin/mkdir -p node_modules/some-package')
    told: list[str] = []
    for _ in range(2):
        assert npm_package("some-package", "1.2.3", told.append).is_dir()
    assert len(told) == 1
    [called] = (tmp_path / "called").read_text().splitlines()
    assert called.startswith("install --ignore-scripts ")
    assert called.endswith(" some-package@1.2.3")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (
            "echo 'npm error code E404\nnpm error 404 Not Found - GET https://x/a\nnpm error A complete' >&2; exit 1",
            r"^npm cannot install a@1 \(404 Not Found - GET https://x/a\); expected npm to reach its registry$",
        ),
        ("echo 'npm error code ENOSPC\nnpm error no space' >&2; exit 1", r"\(no space\); free some space$"),
        ("exit 1", r"\(no message\); expected npm to reach its registry$"),
        (None, r"^npm is not installed, which fetches a 1; install Node\.js 20 or newer"),
    ],
)
def test_npm_that_is_missing_or_fails(script: str | None, says: str, tmp_path: Path) -> None:
    if script is not None:
        write_npm(tmp_path, script)
    with pytest.raises(PerfError, match=says):
        npm_package("a", "1", lambda _: None)
