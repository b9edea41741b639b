"""Answers of the JavaScript package in Node: those of Python's runtime, for the text files of all tasks."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from built_kernels import needs_kernels
from text_bundles import write_text_file

from mbert_onnx import load
from mbert_onnx.runtime.answers import as_json
from mbert_onnx.runtime.text_files.record import TEXT, VOCABULARY_DIGEST
from mbert_onnx.runtime.text_files.vocabulary import read_vocabulary, vocabulary_digest, vocabulary_lines
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
# Kernels of another instruction set sum floats in another order; blocks of int8 have the same bits. The relative error
# of a probability is the absolute one of its logit.
OF_VECTORS, OF_SCORES = 1e-6, 1e-5

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
    "sentence-similarity": [("embed", [SHORT], {}), ("embed", [TEXTS], {}), ("embed", [LONG], {})],
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


def assert_equal(found: Any, wanted: Any) -> None:
    """Compares results: numbers within a bound, everything else exactly."""
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            assert_equal(found[key], value)
    elif isinstance(wanted, list | tuple) and wanted and isinstance(wanted[0], float):
        assert np.abs(np.subtract(found, wanted)).max() <= OF_VECTORS * np.abs(wanted).max()
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            assert_equal(one, other)
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=OF_SCORES)
    else:
        assert found == wanted


def compare(task: str, bundle: Path) -> None:
    """Asks the text file of a bundle in JavaScript and in Python."""
    file = write_text_file(bundle)
    model = load(file)
    names = {"next_sentence": "nextSentence"}
    calls = [[names.get(method, method), *given, options] for method, given, options in CALLS[task]]
    found = ask(file, calls)
    assert found["task"] == task
    assert found["memory"] == 0
    for (method, given, options), outcome in zip(CALLS[task], found["results"], strict=True):
        assert "error" not in outcome, (method, given, options, outcome)
        assert_equal(outcome["result"], expected(method, given, options, model))


@pytest.mark.parametrize(
    "task",
    [pytest.param(task, marks=[] if task == "question-answering" else [pytest.mark.full]) for task in CALLS],
)
def test_answers_are_those_of_python(task: str, text_bundle: Callable[..., Path]) -> None:
    compare(task, text_bundle(task))


@needs_kernels  # whose numerics Python then has, too
@pytest.mark.full
@pytest.mark.parametrize("task", ["question-answering", "token-classification", "feature-extraction"])
def test_answers_of_int8_are_those_of_python(task: str, text_bundle: Callable[..., Path], texts: Path) -> None:
    compare(task, text_bundle(task, precision="int8", calibrate=texts, min_agreement=0))


@pytest.mark.full
def test_a_list_of_texts_has_the_results_of_each(text_bundle: Callable[..., Path]) -> None:
    file = write_text_file(text_bundle("question-answering"))
    # As many tokens each: without training, padding changes the answers of this model.
    words = SHORT.split()
    contexts = [" ".join(words[place:] + words[:place]) for place in range(12)]
    alone = [["answer", QUESTION, context, {"top_k": 2}] for context in contexts]
    calls = [["answer", QUESTION, contexts, {"top_k": 2, "batch": size}] for size in (1, 5)]
    *wanted, one_by_one, batches = (outcome["result"] for outcome in ask(file, [*alone, *calls])["results"])
    assert one_by_one == wanted
    assert_equal(batches, wanted)


@pytest.mark.full
def test_mistakes_are_named(text_bundle: Callable[..., Path]) -> None:
    bundle = text_bundle("fill-mask")
    file = write_text_file(bundle)
    calls = {
        "RangeError: the text has no [MASK]; put one where a token is missing": ["fill", SHORT],
        "TypeError: text is number; expected a string": ["fill", 5],
        "RangeError: text is empty; give some text": ["fill", "  "],
        "RangeError: top_k is 0; expected a whole number from 1 on": ["fill", MASKED, {"top_k": 0}],
        "RangeError: stride is 1000; expected a whole number from 0 to 39": ["fill", MASKED, {"stride": 1000}],
        "RangeError: max_seq_len is 1.5; expected a whole number from 1 on": ["fill", MASKED, {"max_seq_len": 1.5}],
        "RangeError: batch is 0; expected a whole number from 1 on": ["fill", [MASKED], {"batch": 0}],
        "Error: `tag` is not for this model, which does fill-mask; call `fill`": ["tag", SHORT],
    }
    found = [outcome["error"] for outcome in ask(file, list(calls.values()))["results"]]
    assert found == list(calls)
    absent = bundle / "absent.txt"
    [outcome] = ask(file, [["fill", MASKED]], vocabulary=str(absent))["results"]
    assert outcome["error"].startswith(f"Error: {absent.as_uri()} cannot be loaded: ENOENT")
    ordinary = next((bundle / "onnx").glob("model.onnx"))
    ids = {"input_ids": [[2, 5, 6, 3]]}
    ragged = {"input_ids": [[2], [5, 6, 7], [3, 3]]}
    refused, wrong, logits = ask(ordinary, [["fill", MASKED], ["logits", ragged], ["logits", ids]])["results"]
    assert wrong["error"] == "TypeError: input_ids is no tensor; expected lists of one length or {dims, data}"
    assert refused["error"] == (
        "Error: `fill` is not for this model, which takes token ids (export it with --text); call `logits`"
    )
    assert logits["result"]["logits"]["dims"][:2] == [1, 4]


@pytest.mark.full
def test_the_words_of_masks_are_in_the_vocabulary_of_the_model(
    text_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    bundle = text_bundle("fill-mask")
    tokens = read_vocabulary(bundle / "onnx" / "model.onnx")
    file = write_text_file(bundle)
    model = onnx.load(file)
    [record] = [entry for entry in model.metadata_props if entry.key == TEXT]
    record.value = json.dumps(json.loads(record.value) | {VOCABULARY_DIGEST: vocabulary_digest(tokens)})
    onnx.save(model, file)

    def error(**options: Any) -> Any:
        return ask(file, [["fill", MASKED]], **options)["results"][0].get("error")

    other, own = tmp_path / "other.txt", bundle / "vocab.txt"
    other.write_text("[PAD]\n[MASK]\n")
    own.unlink(missing_ok=True)
    assert error() == "Error: the model's vocab.txt is not beside it; give it as `vocabulary`"
    assert error(vocabulary=str(other)) == "Error: `vocabulary` has other tokens than the model; give its own"
    own.write_text(vocabulary_lines(tokens), encoding="utf-8")
    assert error() is None
    assert error(vocabulary=str(own)) is None
    (own.parent / "onnx" / "vocab.txt").write_text("[PAD]\n")  # of another model: passed over
    assert error() is None


@pytest.mark.full
def test_a_question_without_room_for_a_context_is_refused(text_bundle: Callable[..., Path]) -> None:
    file = write_text_file(text_bundle("question-answering"))
    # With a window for each token of the context, it would take more memory than there is.
    calls = [["answer", "who wrote it " * 400, LONG * 500], ["answer", [QUESTION, "who " * 400], LONG]]
    for outcome in ask(file, calls)["results"]:
        assert re.fullmatch(r"RangeError: the question is \d+ tokens too long for a row; shorten it", outcome["error"])


@pytest.mark.full
@pytest.mark.parametrize("task", ["question-answering", "token-classification", "fill-mask"])
def test_a_file_of_fixed_length_warns_of_what_it_does_not_read(task: str, text_bundle: Callable[..., Path]) -> None:
    file = write_text_file(text_bundle(task, seq_len=16, batch=1))
    call = {
        "question-answering": ["answer", QUESTION],
        "token-classification": ["tag"],
        "fill-mask": ["fill"],
    }[task]
    found = ask(file, [[*call, f"{MASKED} {LONG}"], [*call, "[MASK] ran"]])
    assert [list(outcome) for outcome in found["results"]] == [["result"], ["result"]]
    [warning] = found["warnings"]
    assert re.fullmatch(r"\d+ tokens cut: a row has 16 at most", warning)


@pytest.mark.full
def test_more_choices_than_a_file_for_phones_takes_are_refused(text_bundle: Callable[..., Path]) -> None:
    file = write_text_file(text_bundle("multiple-choice", target="mobile", seq_len=16))
    few, many = ask(file, [["choose", QUESTION, ["one", "two"]], ["choose", QUESTION, ["one"] * 5]])["results"]
    assert len(few["result"]["choices"]) == 2
    assert many["error"] == "TypeError: pass a list of 2 to 4 choices"
