"""Web apps in Chromium: each task answers as the runtime, by keyboard, without faults of accessibility, and offline.

`make web` installs the client of the browser, and onnxruntime-web. mbert-onnx-web is built with the package.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from text_bundles import write_text_file

from mbert_onnx import optimize
from mbert_onnx.runtime.answers import normalized
from mbert_onnx.runtime.loading import load
from mbert_onnx.runtime.model import Model
from mbert_onnx.runtime.web.app.page_runtime import MBERT_ONNX, ONNXRUNTIME
from mbert_onnx.runtime.web.app.writing import write_app

ROOT = Path(__file__).parents[3]
MODULES = ROOT / "examples" / "web" / "node_modules"
VISIT = ROOT / "tests" / "helpers" / "browser" / "visit.mjs"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS = 300

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(not (MODULES / "puppeteer-core").is_dir(), reason="`make web` was not run"),
]

# Characters of 1 to 4 bytes in UTF-8, and of 1 or 2 units in UTF-16; labels that a page could take for HTML.
QUESTION = "who wrote it ?"
TEXT = "\ufeff👩 Ada wrote the 漢 first prögram in london ."
OTHER = "grace found a moth in the machine !"
THIRD = "it ran ."
HTML = "<b onclick=alert(1)>"
LABELS = {0: "O", 1: f"B-{HTML}", 2: f"I-{HTML}", 3: "B-LOC", 4: "I-LOC"}

Shown = list[tuple[str, str]]


def percent(score: float) -> str:
    return f"{score:.1%}"


def labels(model: Model) -> Shown:
    return [(one.label, percent(one.score)) for one in model.classify(TEXT).labels]


def answers(model: Model) -> Shown:
    return [(one.answer, percent(one.score)) for one in model.answer(QUESTION, TEXT, top_k=5)]


def words(model: Model) -> Shown:
    masks = model.fill(f"{TEXT} [MASK] and [MASK]")
    vocabulary = model.tokenizer.tokenizer
    return [(str(vocabulary.id_to_token(one.token)), percent(one.score)) for mask in masks for one in mask.tokens]


def similarities(model: Model) -> Shown:
    first, *others = normalized(model.embed([QUESTION, TEXT, OTHER, THIRD]))
    return [(text, f"{other @ first:.2f}") for text, other in zip((TEXT, OTHER, THIRD), others, strict=True)]


def follows(model: Model) -> Shown:
    found = model.next_sentence(TEXT, OTHER)
    names = ("The second text follows the first", "The second text does not follow the first")
    return [(name, percent(score)) for name, score in zip(names, (found.is_next, found.not_next), strict=True)]


def choices(model: Model) -> Shown:
    return [(one.choice, percent(one.score)) for one in model.choose(QUESTION, [TEXT, OTHER, THIRD]).choices]


@dataclass(frozen=True)
class Visit:
    """What a user writes into the fields, and what the runtime answers to it."""

    values: list[str | None]
    expected: Callable[[Model], Shown]
    config: dict[str, Any] = field(default_factory=dict)


VISITS = {
    "text-classification": Visit([TEXT], labels, {"id2label": {0: HTML, 1: "good", 2: "bad"}}),
    "question-answering": Visit([QUESTION, TEXT], answers),
    "fill-mask": Visit([f"{TEXT} [MASK] and [MASK]"], words),
    "feature-extraction": Visit([QUESTION, TEXT, OTHER, THIRD], similarities),
    "next-sentence-prediction": Visit([TEXT, OTHER], follows),
    "multiple-choice": Visit([QUESTION, TEXT, OTHER, THIRD], choices),
}


def visit(app: Path, values: list[str | None]) -> dict[str, Any]:
    """Returns what `visit.mjs` prints, after it checks what no page may do."""
    done = subprocess.run(
        ["node", VISIT, MODULES, str(CHROMIUM), app],
        input=json.dumps({"values": values}),
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["messages"] == []
    assert found["faults"] == []
    assert found["online"]["error"] == found["offline"]["error"] == ""
    # Without the server, the same; and no large file was asked for twice.
    assert {**found["offline"], "status": ""} == {**found["online"], "status": ""}
    large = [name for name in found["requests"] if name.endswith((".onnx", ".txt", "-threaded.wasm"))]
    assert len(large) == len(set(large))
    return found


@pytest.fixture
def make_app(runtime_bundle: Callable[..., Any], tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """`make_app(task, runtime, **config)`: the folder of a bundle with a text file, and of its app."""

    def make(task: str, runtime: str = MBERT_ONNX, **config: Any) -> tuple[Path, Path]:
        traced = runtime_bundle(task, **config).folder
        shutil.copytree(traced, tmp_path / "bundle")
        if runtime == MBERT_ONNX:  # which runs no file as torch.onnx writes it
            model = Path("onnx", "model.onnx")
            optimize(traced / model, tmp_path / "bundle" / model, target="web", overwrite=True)
        write_text_file(tmp_path / "bundle")
        package = MODULES / "onnxruntime-web" if runtime == ONNXRUNTIME else None
        write_app(tmp_path / "bundle", tmp_path / "app", title="<Try it>", runtime=runtime, onnxruntime_web=package)
        return tmp_path / "bundle", tmp_path / "app"

    return make


@pytest.mark.parametrize(
    ("task", "runtime"),
    [*((task, MBERT_ONNX) for task in VISITS), *((task, ONNXRUNTIME) for task in ("fill-mask", "question-answering"))],
)
def test_an_app_answers_as_the_runtime(task: str, runtime: str, make_app: Callable[..., tuple[Path, Path]]) -> None:
    case = VISITS[task]
    bundle, app = make_app(task, runtime, **case.config)
    found = visit(app, case.values)
    assert found["title"] == "<Try it>"
    shown = list(zip(found["online"]["names"], found["online"]["values"], strict=True))
    # Sorted, because scores of a random model may differ by rounding only.
    assert sorted(shown) == sorted(case.expected(load(bundle)))


def test_entities_are_highlighted(make_app: Callable[..., tuple[Path, Path]]) -> None:
    bundle, app = make_app("token-classification", id2label=LABELS)
    found = visit(app, [TEXT])["online"]
    expected: list[Any] = load(bundle).tag(TEXT)
    assert expected
    rows = [(TEXT[one.start : one.end], one.entity_group, percent(one.score)) for one in expected]
    assert found["cells"] == [cell for row in rows for cell in row]
    assert found["marks"] == [f"{text} {label}" for text, label, _ in rows]


def test_a_text_without_a_mask_is_no_error(make_app: Callable[..., tuple[Path, Path]]) -> None:
    _, app = make_app("fill-mask")
    assert visit(app, [TEXT])["online"]["status"].startswith("The text has no [MASK]. Took")
