"""The operators `mbert.Embeddings` of each precision: their bodies compute what their documentation says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as common_passes
import pytest
from graph_helpers import Arrays, computed, error
from onnx.inliner import inline_local_functions

from graphs.functions import DOMAIN, VERSION
from graphs.functions.embeddings import FLOAT16, INT8, NAME, NAMES, embeddings
from graphs.model.opsets import OLDEST_OPSET, newest_opset
from graphs.precision.int8 import quantized

OPSETS = (OLDEST_OPSET, newest_opset())
WORDS, EMBEDDING, HIDDEN = 40, 8, 12
TYPES = {NAME: np.float32, INT8: np.float32, FLOAT16: np.float16}


def example(name: str, batch: int, length: int) -> tuple[Arrays, np.ndarray]:
    """Inputs by name, and the output in float64."""
    rng = np.random.default_rng(0)
    words, weight = rng.normal(size=(WORDS, EMBEDDING)), rng.normal(size=(3 * EMBEDDING, HIDDEN))
    feed: Arrays = {
        "input_ids": rng.integers(0, WORDS, (batch, length)),
        "token_type_ids": rng.integers(0, 2, (batch, length)),
        "words": words,
        "positions": rng.normal(size=(7, HIDDEN)),
        "types": rng.normal(size=(2, HIDDEN)),
        "weight": weight,
    }
    if name == INT8:
        feed["words"], scales = quantized(words, axis=1)
        feed["words_scale"] = scales.reshape(-1, 1)
        feed["weight"], feed["scale"] = quantized(weight, axis=0)
        words, weight = feed["words"] * feed["words_scale"], feed["weight"] * feed["scale"]
    rows = np.zeros((batch, length, HIDDEN))
    for text in range(batch):
        found = np.zeros((length + 2, EMBEDDING))
        found[1:-1] = words[feed["input_ids"][text]]
        for place in range(length):
            trigram = np.concatenate([found[place + 2], found[place + 1], found[place]])
            rows[text, place] = trigram @ weight + feed["types"][feed["token_type_ids"][text, place]]
            rows[text, place] += feed["positions"][place]
    return feed, rows.reshape(-1, HIDDEN)


def calling(name: str, opset: int, feed: Arrays, dtype: type) -> ir.Model:
    """A model of one node, whose inputs are the function's."""
    function = embeddings(name, opset, EMBEDDING, HIDDEN)
    inputs = []
    for value in function.inputs:
        array = feed[value.name or ""]
        kind = array.dtype if array.dtype.kind == "i" else np.dtype(dtype)
        inputs.append(ir.val(value.name, ir.DataType.from_numpy(kind), array.shape))
    node = ir.node(name, inputs, domain=DOMAIN, version=VERSION)
    y = node.outputs[0]
    y.name, y.type, y.shape = "y", ir.TensorType(ir.DataType.from_numpy(np.dtype(dtype))), ir.Shape(["tokens", HIDDEN])
    graph = ir.Graph(inputs, [y], nodes=[node], opset_imports={"": opset, DOMAIN: VERSION}, name="g")
    version = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
    model = ir.Model(graph, ir_version=max(version, 10), functions=[function])
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    return model


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(("batch", "length"), [(1, 1), (2, 5), (3, 7)])
@pytest.mark.parametrize(("name", "bounds"), [(NAME, (0, 1e-6)), (INT8, (1e-4, 0.02)), (FLOAT16, (1e-5, 2e-3))])
def test_the_body_computes_what_the_documentation_says(
    name: str, bounds: tuple[float, float], batch: int, length: int, opset: int
) -> None:
    feed, expected = example(name, batch, length)
    model = calling(name, opset, feed, TYPES[name])
    found = computed(model, feed, TYPES[name])
    assert bounds[0] <= error(found.astype(np.float64), expected) < bounds[1]
    by_onnx = ir.from_proto(inline_local_functions(ir.to_proto(model)))
    common_passes.InlinePass()(model)
    for inlined in (model, by_onnx):
        assert not inlined.functions
        np.testing.assert_array_equal(computed(inlined, feed, TYPES[name]), found)


@pytest.mark.parametrize("name", NAMES)
def test_every_input_is_documented_in_order(name: str) -> None:
    function = embeddings(name, OLDEST_OPSET, EMBEDDING, HIDDEN)
    shapes = (function.doc_string or "").split("Inputs;")[1].split("Output:")[0]
    names = [value.name for value in function.inputs]
    assert re.findall(r"^    (\w+) +\[", shapes, re.MULTILINE) == names
    page = (Path(__file__).parents[3] / "docs" / "operators.md").read_text(encoding="utf-8")
    assert f"mbert.{name}" in page
    if name == NAME:
        section = page.split(f"## mbert.{name}\n")[1].split("\n## ")[0]
        listed = " ".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))
        assert re.findall(r"`(\w+)`", listed) == names
