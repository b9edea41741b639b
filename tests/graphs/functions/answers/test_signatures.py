"""All answer functions: valid at every opset, equal when inlined, and documented."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as common_passes
import pytest
from answer_functions import calling, random_text, rows_of, small_encoder
from graph_helpers import Arrays, run
from onnx.inliner import inline_local_functions

from graphs.functions import DOMAIN
from graphs.functions.answers.answer_spans import answer_spans
from graphs.functions.answers.choice_scores import choice_scores
from graphs.functions.answers.entities import EntityNames, entities
from graphs.functions.answers.label_scores import label_scores
from graphs.functions.answers.mask_tokens import mask_tokens
from graphs.functions.answers.probabilities import MULTI_LABEL
from graphs.functions.answers.sentence_embedding import sentence_embedding
from graphs.functions.answers.word_labels import word_labels
from graphs.model.opsets import OLDEST_OPSET, newest_opset

LABELS = ("O", "B-PER", "I-PER")


FUNCTIONS: dict[str, Callable[[int], ir.Function]] = {
    "LabelScores": partial(label_scores, MULTI_LABEL),
    "ChoiceScores": choice_scores,
    "WordLabels of tokens": partial(word_labels, "token"),
    "WordLabels": partial(word_labels, "max"),
    "Entities": partial(entities, EntityNames.of(LABELS)),
    "AnswerSpans": answer_spans,
    "MaskTokens": partial(mask_tokens, 4),
    "SentenceEmbedding": partial(sentence_embedding, normalize=True),
}


def feed_of(function: ir.Function, folder: Path) -> Arrays:
    rng = np.random.default_rng(6)
    rows = rows_of(small_encoder(folder), [random_text(rng, 20) + " [MASK]"], ["x"], max_seq_len=24, stride=4)
    classes = () if function.name in ("LabelScores", "ChoiceScores") else (len(LABELS),)
    feed: Arrays = {
        **rows.arrays,
        **rows.splits(),
        "logits": rng.normal(size=(*rows.shape, *classes)).astype(np.float32),
        "last_hidden_state": rng.normal(size=(*rows.shape, 8)).astype(np.float32),
        "start_logits": rng.normal(size=rows.shape).astype(np.float32),
        "end_logits": rng.normal(size=rows.shape).astype(np.float32),
        "top_k": np.array(3),
        "longest_answer": np.array(5),
        "allow_no_answer": np.array(True),
    }
    if function.name == "Entities":
        feed |= {"labels": rng.integers(0, 3, 9), "scores": rng.random(9).astype(np.float32)}
        feed |= {"spans": rng.integers(0, 9, (9, 2)), "texts": np.sort(rng.integers(0, 2, 9))}
    return {value.name or "": feed[value.name or ""] for value in function.inputs}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_body_is_valid_at_every_opset_and_computes_the_same(name: str, tmp_path: Path) -> None:
    oldest = FUNCTIONS[name](OLDEST_OPSET)
    feed = feed_of(oldest, tmp_path)
    expected = run(calling(oldest, feed), feed)
    for opset in range(OLDEST_OPSET, newest_opset() + 1):
        function = FUNCTIONS[name](opset)
        assert (function.domain, function.opset_imports) == (DOMAIN, {"": opset})
        assert {node.domain for node in function} == {""}
        assert not {node.op_type for node in function} & {"Loop", "Scan", "If"}
        model = calling(function, feed)
        for value in model.graph.outputs:
            value.shape = ir.Shape([None] * expected[value.name or ""].ndim)
        onnx.checker.check_model(ir.to_proto(model), full_check=True)
        for output, array in run(model, feed).items():
            np.testing.assert_array_equal(array, expected[output])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_inlined_by_either_library_it_is_the_same(name: str, tmp_path: Path) -> None:
    function = FUNCTIONS[name](OLDEST_OPSET)
    feed = feed_of(function, tmp_path)
    model = calling(function, feed)
    called = run(model, feed)
    by_onnx = ir.from_proto(inline_local_functions(ir.to_proto(model)))
    common_passes.InlinePass()(model)
    for inlined in (model, by_onnx):
        assert not inlined.functions
        for output, array in run(inlined, feed).items():
            np.testing.assert_array_equal(array, called[output])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_input_and_output_is_documented_with_its_shape(name: str, tmp_path: Path) -> None:
    function = FUNCTIONS[name](OLDEST_OPSET)
    feed = feed_of(function, tmp_path)
    results = run(calling(function, feed), feed)
    text = function.doc_string or ""
    for value in (*function.inputs, *function.outputs):
        found = re.search(rf"^    {value.name} +\[([^\]]*)\]", text, re.MULTILINE)
        assert found, value.name
        assert len(found[1].split(", ")) * bool(found[1]) == (feed | results)[value.name or ""].ndim, value.name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_operators_page_names_every_input_and_output(name: str) -> None:
    function = FUNCTIONS[name](OLDEST_OPSET)
    page = (Path(__file__).parents[4] / "docs" / "operators.md").read_text()
    (line,) = (line for line in page.splitlines() if line.startswith(f"| `{function.name}`"))
    _, _, inputs, outputs, _ = line.split("|")
    names = [value.name for value in function.inputs]
    listed = re.findall(r"`(\w+)`", inputs)
    assert [each for each in listed if each in names] == names
    assert set(listed) - set(names) <= {"word_offsets"}  # only where words have labels
    assert re.findall(r"`(\w+)`", outputs) == [value.name for value in function.outputs]
