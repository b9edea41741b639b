"""Answers of the JavaScript package in Node: those of Python's runtime, for the text files of all tasks."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from text_bundles import write_text_file

from mbert_onnx import load
from mbert_onnx.runtime.answers import as_json
from mbert_onnx.runtime.web.package_files import LIBRARY, WASM

ASK = Path(__file__).parent / "ask.mjs"
SECONDS = 120

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(not WASM.is_dir(), reason="the .wasm files are not built here; `make setup` builds them"),
]

# Characters of 1 to 4 bytes in UTF-8, and of 1 or 2 units in UTF-16.
SHORT = "\ufeff👩 Ada wrote the 漢 first prögram in london ."
LONG = f"{SHORT} " + "grace built a compiler in new york and found a moth in the machine . " * 6
OTHER = "grace found a moth 👩‍🚀 in the machine !"
QUESTION = "who wrote it ?"
MASKED = "👩 ada wrote the [MASK] prögram in [MASK] . "
TEXTS = [SHORT, LONG, OTHER]
# Kernels of another instruction set sum in another order; int8 rounds such sums.
CLOSE = {"fp32": {"rel": 1e-4, "abs": 1e-5}, "int8": {"rel": 2e-2, "abs": 2e-2}}

# The calls of each task, with the arguments of Python's method, and those of JavaScript's.
CALLS: dict[str, list[tuple[str, list[Any], dict[str, Any]]]] = {
    "question-answering": [
        ("answer", [QUESTION, SHORT], {}),
        ("answer", [QUESTION, LONG], {"top_k": 4, "max_answer_len": 5, "max_seq_len": 40, "stride": 8}),
        ("answer", [OTHER, SHORT], {"top_k": 9, "handle_impossible_answer": True}),
    ],
    "text-classification": [("classify", [text], {}) for text in TEXTS] + [("classify", [SHORT], {"top_k": 1})],
    "token-classification": [
        *(("tag", [text], {}) for text in TEXTS),
        ("tag", [LONG], {"aggregation": "none", "stride": 7}),
    ],
    "fill-mask": [("fill", [MASKED], {}), ("fill", [MASKED * 5], {"top_k": 2})],
    "pretraining": [("fill", [MASKED], {"top_k": 3})],
    "feature-extraction": [("embed", [SHORT], {}), ("embed", [TEXTS], {}), ("embed", [LONG], {"normalize": True})],
    "next-sentence-prediction": [("next_sentence", [LONG, OTHER], {}), ("next_sentence", [SHORT, OTHER], {})],
    "multiple-choice": [("choose", [QUESTION, TEXTS], {}), ("choose", [SHORT, TEXTS[::-1]], {})],
}

Ask = Callable[..., Any]


def ask(model: Path, calls: list[Any], library: Path = LIBRARY, **options: Any) -> Any:
    """Returns what `ask.mjs` prints."""
    asked = {"package": str(library), "model": str(model), "options": options, "calls": calls}
    done = subprocess.run(
        ["node", ASK], input=json.dumps(asked), capture_output=True, encoding="utf-8", timeout=SECONDS
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def in_units(text: str, place: int) -> int:
    """Returns an offset in UTF-16 units of one in characters."""
    return len(text[:place].encode("utf-16-le")) // 2


def expected(method: str, given: list[Any], options: dict[str, Any], model: Any) -> Any:
    """Returns Python's result as JavaScript has it: offsets in units, the best label beside the list."""
    found: Any = as_json(getattr(model, method)(*given, **options))
    if method == "classify":
        return {**found["labels"][0], **found}
    if method == "choose":
        return {"choice": found["choices"][0]["choice"], **found}
    if method in ("answer", "tag", "fill"):
        text = given[-1]
        return [{**one, **{key: in_units(text, one[key]) for key in ("start", "end")}} for one in found]
    return found


def assert_equal(found: Any, wanted: Any, close: dict[str, float]) -> None:
    """Compares results: numbers within a bound, everything else exactly."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            assert_equal(found[key], value, close)
    elif isinstance(wanted, list | tuple) and wanted and isinstance(wanted[0], float):
        scale = np.abs(wanted).max()
        assert np.abs(np.subtract(found, wanted)).max() <= close["rel"] * scale
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_equal(one, other, close)
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=close["rel"], abs=close["abs"])
    else:
        assert found == wanted


@pytest.mark.parametrize(
    "task",
    [pytest.param(task, marks=[] if task == "question-answering" else [pytest.mark.full]) for task in CALLS],
)
def test_answers_are_those_of_python(task: str, text_bundle: Callable[..., Path]) -> None:
    bundle = text_bundle(task)
    file = write_text_file(bundle)
    model = load(file)
    names = {"next_sentence": "nextSentence"}
    calls = [[names.get(method, method), *given, options] for method, given, options in CALLS[task]]
    found = ask(file, calls)
    assert found["task"] == task
    assert found["memory"] == 0
    for (method, given, options), outcome in zip(CALLS[task], found["results"], strict=True):
        assert "error" not in outcome, (method, given, options, outcome)
        assert_equal(outcome["result"], expected(method, given, options, model), CLOSE["fp32"])
