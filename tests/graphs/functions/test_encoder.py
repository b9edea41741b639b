"""The operators `mbert.Encoder` of each precision: their bodies compute what their documentation says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as common_passes
import pytest
from graph_helpers import Arrays, computed, error
from kernel_models import Widths, attention_by_hand, attention_feed, ffn_by_hand, ffn_feed, real, with_8_bit_weights
from onnx.inliner import inline_local_functions

from graphs.functions import DOMAIN, VERSION
from graphs.functions.bottleneck_attention import bottleneck_attention
from graphs.functions.bottleneck_attention_int8 import bottleneck_attention_int8
from graphs.functions.encoder import FLOAT16, INT8, NAME, NAMES, encoder, networks_of
from graphs.functions.stacked_ffn import stacked_ffn
from graphs.functions.stacked_ffn_int8 import stacked_ffn_int8
from graphs.model.opsets import OLDEST_OPSET, newest_opset

OPSETS = (OLDEST_OPSET, newest_opset())
WIDTHS = Widths(hidden=16, intra=8, wide=12, heads=2, networks=2)
FACTORS = (1, 0, 1)
LENGTHS = [4, 2]
TYPES = {NAME: np.float32, INT8: np.float32, FLOAT16: np.float16}


def function_of(name: str, opset: int) -> tuple[ir.Function, list[ir.Function]]:
    """The function, and those that its body calls."""
    if name == INT8:
        halves = [bottleneck_attention_int8(opset, WIDTHS.intra), stacked_ffn_int8(WIDTHS.networks, opset)]
    else:
        halves = [bottleneck_attention(opset, WIDTHS.intra), stacked_ffn(WIDTHS.networks, opset)]
    attention, ffn = halves
    return encoder(name, attention, ffn, FACTORS), halves


def example(name: str) -> tuple[Arrays, np.ndarray]:
    """Inputs by name, and the output with exact activations, in float64."""
    tokens = len(LENGTHS) * max(LENGTHS)
    feed, x = Arrays(), attention_feed(WIDTHS, LENGTHS)["x"] / 4
    feed["x"] = x
    for layer, factor in enumerate(FACTORS):
        attention, ffn = attention_feed(WIDTHS, LENGTHS, layer), ffn_feed(WIDTHS, tokens, layer)
        if name == INT8:
            attention, ffn = with_8_bit_weights(attention), with_8_bit_weights(ffn)
        elif name == FLOAT16:
            attention["mask"] = np.maximum(attention["mask"], np.finfo(np.float16).min / 2)
        vector = np.random.default_rng(layer).uniform(0.5, 2, WIDTHS.hidden)
        feed |= {"mask": attention["mask"], "heads": attention["heads"]}
        if factor:
            feed[f"factor_{layer}"] = vector
        for key, array in attention.items():
            if key not in ("x", "mask", "heads"):
                feed[f"{key}_{layer}"] = array
        for key, array in ffn.items():
            kind, _, network = key.partition("_")
            if key not in ("x", "residual"):
                feed[f"{kind}_up_{layer}" if network == "out" else f"{kind}_{layer}_{network}"] = array
        inner = attention_by_hand({**real(attention), "x": x * vector if factor else x})
        x = ffn_by_hand({**real(ffn), "x": inner, "residual": x}, WIDTHS.networks)
    return feed, x


def calling(name: str, opset: int, feed: Arrays, dtype: type) -> ir.Model:
    """A model of one node, whose inputs are the function's."""
    function, halves = function_of(name, opset)
    inputs = []
    for value in function.inputs:
        array = feed[value.name or ""]
        kind = array.dtype if array.dtype.kind == "i" else np.dtype(dtype)
        inputs.append(ir.val(value.name, ir.DataType.from_numpy(kind), array.shape))
    attributes: dict[str, int | Sequence[int]] = {
        "layers": len(FACTORS),
        "networks": WIDTHS.networks,
        "factors": FACTORS,
    }
    node = ir.node(name, inputs, attributes=attributes, domain=DOMAIN, version=VERSION)
    y = node.outputs[0]
    y.name, y.type, y.shape = "y", ir.TensorType(ir.DataType.from_numpy(np.dtype(dtype))), ir.Shape(["tokens", "width"])
    graph = ir.Graph(inputs, [y], nodes=[node], opset_imports={"": opset, DOMAIN: VERSION}, name="g")
    version = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
    model = ir.Model(graph, ir_version=max(version, 10), functions=[function, *halves])
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    return model


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(("name", "bounds"), [(NAME, (0, 1e-5)), (INT8, (1e-4, 0.1)), (FLOAT16, (1e-5, 0.02))])
def test_the_body_computes_what_the_documentation_says(name: str, bounds: tuple[float, float], opset: int) -> None:
    feed, expected = example(name)
    model = calling(name, opset, feed, TYPES[name])
    found = computed(model, feed, TYPES[name])
    assert bounds[0] <= error(found.astype(np.float64), expected) < bounds[1]
    if name == NAME:
        assert error(computed(calling(name, opset, feed, np.float64), feed, np.float64), expected) < 1e-12
    by_onnx = ir.from_proto(inline_local_functions(ir.to_proto(model)))
    common_passes.InlinePass()(model)
    for inlined in (model, by_onnx):
        assert not inlined.functions
        assert {node.domain for node in inlined.graph} == {""}
        np.testing.assert_array_equal(computed(inlined, feed, TYPES[name]), found)


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_those_of_the_layers_in_order(name: str) -> None:
    function, (attention, ffn) = function_of(name, OLDEST_OPSET)
    weights = [str(value.name) for value in (*attention.inputs[3:], *ffn.inputs[2:])]
    assert len(function.inputs) == 3 + sum(FACTORS) + len(FACTORS) * len(weights)
    names = [str(value.name) for value in function.inputs]
    assert names[:4] == ["x", "mask", "heads", "factor_0"]
    assert [name.split("_")[0] for name in names[4 : 4 + len(weights)]] == [name.split("_")[0] for name in weights]
    assert networks_of(ffn) == WIDTHS.networks
    assert list(function.attributes) == ["layers", "networks", "factors"]


@pytest.mark.parametrize("name", NAMES)
def test_every_input_is_documented_in_order(name: str) -> None:
    function, _ = function_of(name, OLDEST_OPSET)
    shapes = (function.doc_string or "").split("Inputs;")[1].split("Output:")[0]
    listed = re.findall(r"^    (\w+) +\[", shapes, re.MULTILINE)
    names = [str(value.name) for value in function.inputs]
    first = [name for name in names if re.fullmatch(r"[a-z]+|[a-z]+\d?(_[a-z]+)?_0(_0)?", name)]
    assert listed == [re.sub(r"_0_0$", "_i_j", re.sub(r"(?<!\d)_0$", "_i", name)) for name in first]
    assert ("int8" in shapes) == (name == INT8)
    page = (Path(__file__).parents[3] / "docs" / "operators.md").read_text(encoding="utf-8")
    assert f"mbert.{name}" in page or f"| `{name}`" in page
    (row,) = (line for line in page.splitlines() if line.startswith(f"| `{name}`")) if name != FLOAT16 else ("",)
    assert name == FLOAT16 or re.findall(r"`(\w+)`", row)[1:] == listed
