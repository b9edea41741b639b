"""The JavaScript package in Chromium and Firefox: in a page, a Worker and a service worker, with threads and without.

`make web` installs the client of the browsers. Service workers are modules, and in Firefox, which has none such before
version 147, a bundled script.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from text_bundles import write_text_file

from mbert_onnx import load
from mbert_onnx.runtime.web.package_files import LIBRARY, PACKAGE, WASM

ROOT = Path(__file__).parents[5]
MODULES = ROOT / "examples" / "web" / "node_modules"
VISIT = ROOT / "tests" / "helpers" / "browser" / "package.mjs"
BROWSERS = {
    "chrome": next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None),
    "firefox": next(filter(None, map(shutil.which, ("firefox-esr", "firefox"))), None),
}
# What `make web-package` packs with.
BUNDLER = ROOT / "build" / "mbert-onnx-web" / "node_modules" / ".bin" / "esbuild"
PLACES = ("inPage", "inWorker", "inServiceWorker")
SECONDS = 300
QUESTION, CONTEXT = "who wrote it ?", "\ufeff👩 Ada wrote the 漢 first prögram in london ."

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(not (MODULES / "puppeteer-core").is_dir(), reason="`make web` was not run"),
    pytest.mark.skipif(not WASM.is_dir(), reason="the .wasm files are not built here; `make web-package` builds them"),
]


def visit(browser: str, model: Path, *, isolated: bool, options: dict[str, Any]) -> Any:
    """Returns what `package.mjs` prints."""
    executable = BROWSERS[browser]
    if executable is None:
        pytest.skip(f"{browser} is not installed")
    if browser == "firefox" and not BUNDLER.is_file():
        pytest.skip("`make web-package` was not run")
    bundler = str(BUNDLER) if browser == "firefox" else None
    entry = str(LIBRARY.relative_to(PACKAGE))
    asked = {"package": str(PACKAGE), "entry": entry, "model": str(model), "bundler": bundler}
    calls = [["answer", QUESTION, CONTEXT, {"top_k": 3}]]
    done = subprocess.run(
        ["node", VISIT, MODULES, browser, executable],
        input=json.dumps({**asked, "calls": calls, "isolated": isolated, "options": options}),
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def model(text_bundle: Callable[..., Path]) -> Path:
    return write_text_file(text_bundle("question-answering"))


def check(found: Any, model: Path) -> None:
    """Compares the answers of all places with those of Python."""
    expected = load(model).answer(QUESTION, CONTEXT, top_k=3)
    for place in PLACES:
        assert "error" not in found[place], (place, found[place])
        [answers] = found[place]["results"]
        assert [one["answer"] for one in answers] == [one.answer for one in expected]
        assert [one["score"] for one in answers] == pytest.approx([one.score for one in expected], rel=1e-3)
        # 👩 is one character of Python, and two units of JavaScript.
        assert [one["end"] for one in answers] == [len(CONTEXT[: one.end].encode("utf-16-le")) // 2 for one in expected]
        assert found[place]["memory"] == 0
        assert found[place]["last"] == {"loaded": model.stat().st_size, "total": model.stat().st_size}
    assert found["messages"] == []


@pytest.mark.parametrize("browser", BROWSERS)
def test_answers_and_the_cache(browser: str, model: Path) -> None:
    found = visit(browser, model, isolated=False, options={"cache": True, "threads": 2})
    check(found, model)
    assert [found[place]["info"]["cached"] for place in PLACES] == [False, True, True]
    assert [one for one in found["requests"] if "/model/" in one and one.startswith("GET")] == [
        "GET /model/model_text.onnx"
    ]
    for place in PLACES:
        info = found[place]["info"]
        assert (info["threads"], info["wasm"].endswith("threads.wasm")) == (1, False)
        assert info["note"].startswith("one thread: no shared memory")


@pytest.mark.parametrize("browser", BROWSERS)
def test_threads_on_isolated_pages(browser: str, model: Path) -> None:
    found = visit(browser, model, isolated=True, options={"threads": 2})
    check(found, model)
    assert [found[place]["info"]["threads"] for place in PLACES] == [2, 2, 1]  # service workers start no workers
    assert [found[place]["info"]["note"] is None for place in PLACES] == [True, True, False]


@pytest.mark.parametrize("browser", BROWSERS)
def test_without_relaxed_instructions(browser: str, model: Path) -> None:
    found = visit(browser, model, isolated=False, options={"relaxed": False})
    check(found, model)
    assert {found[place]["info"]["wasm"] for place in PLACES} == {"mbert.wasm"}
