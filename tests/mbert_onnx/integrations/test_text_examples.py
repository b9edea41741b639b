"""The example programs for text files, in several languages: each runs as it stands, and answers as the runtime."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from text_bundles import write_text_file
from text_in_web import lines, measure

from mbert_onnx import load

ROOT = Path(__file__).parents[3]
PROGRAMS = ROOT / "examples" / "text"
# The folders of the programs, and those that are not run here.
LANGUAGES = sorted(folder.name for folder in PROGRAMS.iterdir() if folder.is_dir())
NOT_RUN = ("csharp", "go", "java", "react-native", "rust", "swift")
MOST_LINES = 40
SOURCES = (".c", ".cpp", ".cs", ".go", ".html", ".java", ".mjs", ".py", ".rs", ".swift", ".tsx")

WEB = ROOT / "examples" / "web" / "node_modules"
HEADERS = ROOT / "build" / "onnxruntime-headers"
RUNTIME = WEB / "onnxruntime-node" / "bin" / "napi-v6" / "linux" / "x64"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

QUESTION = "Who wrote it?"
# Characters of 1 to 4 bytes; a string of JavaScript has two units for the last.
CONTEXT = "Die Äpfel: wrîtten by Ada in 北京, 1843 👩. Grace built a compiler in New York."
TEXT = "A warm, funny and deeply moving film."  # what the page has in its field

Bundles = Callable[[str], Path]
Answers = list[tuple[float, str]]

needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not WEB.is_dir(), reason="`make web` was not run, or node is not installed"
)
needs_library = pytest.mark.skipif(
    not RUNTIME.is_dir() or not (HEADERS / "onnxruntime_cxx_api.h").is_file(),
    reason="`make web onnxruntime-headers` fetches what programs in C need, on Linux",
)


@pytest.fixture(scope="module")
def bundle(runtime_bundle: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    """`bundle(task)`: a bundle with a text file, made once for each task."""

    @functools.cache
    def make(task: str) -> Path:
        folder = tmp_path_factory.mktemp("text") / task
        shutil.copytree(runtime_bundle(task).folder, folder)
        write_text_file(folder)
        return folder

    return make


def start(*command: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LD_LIBRARY_PATH": str(RUNTIME), "PYTHONUTF8": "1"}
    parts = [str(part) for part in command]
    return subprocess.run(parts, capture_output=True, encoding="utf-8", env=environment, timeout=600)


def run(*command: object) -> str:
    done = start(*command)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no warning of optional inputs
    return done.stdout


def read(printed: str) -> Answers:
    """Returns the score and the text of each line."""
    pairs = (line.split(" ", 1) for line in printed.splitlines())
    return [(float(score), text) for score, text in pairs]


def rounded(answers: Answers) -> Any:
    return [(pytest.approx(score, abs=1e-4), text) for score, text in answers]


def expected_answers(folder: Path) -> Any:
    return rounded([(one.score, one.answer) for one in load(folder).answer(QUESTION, CONTEXT, top_k=5)])


def expected_labels(folder: Path, text: str = TEXT) -> Any:
    return rounded([(one.score, one.label) for one in load(folder).classify(text).labels])


def built(program: str, compiler: str, *options: str, to: Path) -> Path:
    """Compiles a program. Links it with the library of onnxruntime-node: the package on PyPI has none for that."""
    # zig builds its C++ library first, which takes minutes, so the system's compiler is used if there is one.
    found = shutil.which(compiler)
    command = [found] if found else [sys.executable, "-m", "ziglang", compiler]
    run(*command, *options, "-I", HEADERS, PROGRAMS / program, RUNTIME / "libonnxruntime.so.1", "-o", to / "program")
    return to / "program"


def installed(language: str, to: Path) -> Path:
    """Copies a program's folder, with the packages that `npm install` would fetch there."""
    folder = to / language
    shutil.copytree(PROGRAMS / language, folder, ignore=shutil.ignore_patterns("node_modules"))
    (folder / "node_modules").symlink_to(WEB)
    return folder


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_program_is_short_and_says_whether_it_was_run(language: str) -> None:
    folder = PROGRAMS / language
    assert (folder / "README.md").is_file()
    [program, *_] = sorted(path for path in folder.iterdir() if path.suffix in SOURCES and path.stem != "Package")
    source = program.read_text(encoding="utf-8").splitlines()
    assert len(source) <= MOST_LINES
    assert source[0].startswith("// Not run ") is (language in NOT_RUN)
    assert f"`{language}/{program.name}`" in (PROGRAMS / "README.md").read_text(encoding="utf-8")


def test_python(bundle: Bundles) -> None:
    folder = bundle("token-classification")
    entities: list[Any] = load(folder).tag(CONTEXT)
    expected = [(one.score, f"{one.entity_group} {CONTEXT[one.start : one.end]}") for one in entities]
    assert read(run(sys.executable, PROGRAMS / "python" / "entities.py", folder, CONTEXT)) == rounded(expected)
    assert expected


@pytest.mark.full
@needs_library
def test_c(bundle: Bundles, tmp_path: Path) -> None:
    folder = bundle("text-classification")
    program = built("c/classify.c", "cc", "-Wall", "-Werror", to=tmp_path)
    files = (folder / "onnx" / "model_text.onnx", folder / "labels.txt")
    for text in (TEXT, CONTEXT):
        assert read(run(program, *files, text)) == expected_labels(folder, text)
    assert len(read(run(program, *files, ""))) == 2
    wrong = start(program, "none.onnx", "labels.txt", TEXT)
    assert (wrong.returncode, wrong.stderr.split()[0]) == (1, "classify:")


@pytest.mark.full
@needs_library
def test_cpp(bundle: Bundles, tmp_path: Path) -> None:
    folder = bundle("question-answering")
    program = built("cpp/answer.cpp", "c++", "-std=c++17", "-Wall", "-Werror", to=tmp_path)
    assert read(run(program, folder, QUESTION, CONTEXT)) == expected_answers(folder)
    assert run(program, folder, QUESTION, "") == ""  # an empty context has no answer


@pytest.mark.full
@needs_node
def test_node(bundle: Bundles, tmp_path: Path) -> None:
    folder, program = bundle("question-answering"), installed("node", tmp_path) / "answer.mjs"
    assert read(run("node", program, folder, QUESTION, CONTEXT)) == expected_answers(folder)
    assert run("node", program, folder, QUESTION, "") == ""


@pytest.fixture
def site(bundle: Bundles, tmp_path: Path) -> Iterator[str]:
    """Serves the page for browsers on this machine; its address."""
    folder, page = bundle("text-classification"), installed("browser", tmp_path)
    for file in ("onnx/model_text.onnx", "labels.txt"):
        shutil.copy(folder / file, page)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(page))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.full
@needs_node
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_browser(site: str, bundle: Bundles, tmp_path: Path) -> None:
    offline = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    # Virtual time ends when the page has nothing to do any more.
    options = ("--headless", "--no-sandbox", "--disable-gpu", *offline, profile, "--virtual-time-budget=60000")
    page = start(CHROMIUM, *options, "--dump-dom", site).stdout
    [answer] = re.findall(r'<pre id="answer"[^>]*>(.*?)</pre>', page, re.DOTALL)
    assert read(answer) == expected_labels(bundle("text-classification"))


@pytest.mark.full
@needs_node
def test_the_measurement_in_onnxruntime_web(bundle: Bundles) -> None:
    """The measured text file answers as the runtime does, in WebAssembly too."""
    folder = bundle("text-classification")
    measured = measure(folder, loads=1, rounds=2, processes=1)
    names = (folder / "labels.txt").read_text(encoding="utf-8").splitlines()
    for text, found in zip(measured["texts"], measured["answers"], strict=True):
        answers = list(zip(found["scores"], [names[label] for label in found["labels"]], strict=True))
        assert answers == expected_labels(folder, text)
    assert len(lines("small", folder, measured)) == 3 + len(measured["runs"])
