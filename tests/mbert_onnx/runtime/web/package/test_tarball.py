"""The packed package in an empty folder: its files and sizes, its types, and answers in Node, Deno and Bun.

`make web-package` packs it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from text_bundles import write_text_file

import mbert_onnx

HERE = Path(__file__).parent
BUILD = HERE.parents[4] / "build"
TARBALL = BUILD / f"mbert-onnx-web-{mbert_onnx.__version__}.tgz"
TOOLS = BUILD / "mbert-onnx-web" / "node_modules" / ".bin"
SECONDS = 300
KB = 1024
TEXT = "👩 ada wrote the first program in london ."
# What runs modules of Node, and its arguments; the others than Node are tested where they are installed.
RUNTIMES: dict[str, list[str]] = {"node": [], "deno": ["run", "--allow-all"], "bun": []}

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed"),
    pytest.mark.skipif(not TARBALL.is_file(), reason="`make web-package` was not run"),
]


def run(command: list[str], folder: Path, given: str = "") -> str:
    done = subprocess.run(command, cwd=folder, input=given, capture_output=True, encoding="utf-8", timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the package."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "package.json").write_text('{"private": true, "type": "module"}')
    run(["npm", "install", "--offline", "--no-audit", "--no-fund", "--loglevel=error", str(TARBALL)], folder)
    return folder


def test_the_files_and_their_sizes(project: Path) -> None:
    package = project / "node_modules" / "mbert-onnx-web"
    files = {path.relative_to(package).as_posix(): path.stat().st_size for path in package.rglob("*") if path.is_file()}
    wasm = {f"wasm/mbert{name}.wasm" for name in ("", "-relaxed", "-threads", "-relaxed-threads")}
    scripts = {"dist/index.js", "dist/thread.js"}
    assert set(files) == wasm | scripts | {"index.d.ts", "package.json", "README.md", "LICENSE"}
    assert all(files[name] <= 130 * KB for name in wasm), files
    assert sum(files[name] for name in scripts) <= 12 * KB, files
    assert list((project / "node_modules").glob("*/")) == [package]  # no dependencies


def test_the_types(project: Path) -> None:
    shutil.copy(HERE / "types.ts", project)
    options = ["--noEmit", "--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom", "types.ts"]
    run([str(TOOLS / "tsc"), *options], project)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("threads", [1, 2])
def test_answers(runtime: str, threads: int, project: Path, text_bundle: Callable[..., Path]) -> None:
    path = os.pathsep.join([str(TOOLS), os.environ["PATH"]])
    program = shutil.which(runtime, path=path)
    if program is None:
        pytest.skip(f"{runtime} is not installed")
    file = write_text_file(text_bundle("text-classification"))
    shutil.copy(HERE / "ask.mjs", project)
    asked: dict[str, Any] = {"package": "mbert-onnx-web", "model": str(file), "options": {"threads": threads}}
    found = json.loads(
        run([program, *RUNTIMES[runtime], "ask.mjs"], project, json.dumps({**asked, "calls": [["classify", TEXT]]}))
    )
    assert found["info"]["threads"] == threads
    [outcome] = found["results"]
    expected = mbert_onnx.load(file).classify(TEXT)
    assert outcome["result"]["label"] == expected.label
    assert outcome["result"]["score"] == pytest.approx(expected.score, rel=1e-4)
