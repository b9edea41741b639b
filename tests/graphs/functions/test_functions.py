"""The operators of the domain `mbert`: their bodies compute what their documentation says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as common_passes
import onnxruntime
import pytest
from graph_helpers import Arrays, computed, error
from kernel_models import real, with_8_bit_weights
from onnx.inliner import inline_local_functions

from graphs.functions import DOMAIN, VERSION
from graphs.functions.bottleneck_attention import bottleneck_attention
from graphs.functions.bottleneck_attention_int8 import bottleneck_attention_int8
from graphs.functions.stacked_ffn import stacked_ffn
from graphs.functions.stacked_ffn_int8 import stacked_ffn_int8
from graphs.model.opsets import OLDEST_OPSET, newest_opset

OPSETS = (OLDEST_OPSET, newest_opset())
BATCH, SEQ, HEADS, HEAD, HIDDEN, WIDE = 2, 5, 2, 3, 8, 7
INTRA = HEADS * HEAD
TOKENS = BATCH * SEQ


def attention_feed() -> Arrays:
    rng = np.random.default_rng(0)
    mask = np.zeros((BATCH, 1, 1, SEQ))
    mask[1, ..., 3:] = np.finfo(np.float32).min / 2
    shapes = {"x": (TOKENS, HIDDEN), "weight_in": (HIDDEN, 3 * INTRA), "bias_in": (3 * INTRA,)}
    shapes |= {"weight_qk": (INTRA, 2 * INTRA), "bias_qk": (2 * INTRA,), "weight_out": (INTRA, INTRA)}
    feed = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    return {**feed, "mask": mask, "heads": np.array([BATCH, SEQ, HEADS, HEAD])}


def attention_by_hand(feed: Arrays) -> np.ndarray:
    """Figure 1 c of the paper."""
    inner, shared, value = np.split(feed["x"] @ feed["weight_in"] + feed["bias_in"], 3, axis=1)
    query, key = np.split(shared @ feed["weight_qk"] + feed["bias_qk"], 2, axis=1)
    return inner + attended_by_hand(query, key, value, feed["mask"]) @ feed["weight_out"]


def attended_by_hand(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The heads, joined: one text and one head after the other."""
    joined = np.zeros((TOKENS, INTRA))
    for text in range(BATCH):
        rows = slice(text * SEQ, (text + 1) * SEQ)
        for head in range(HEADS):
            columns = slice(head * HEAD, (head + 1) * HEAD)
            scores = query[rows, columns] @ key[rows, columns].T + mask[text, 0, 0]
            exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
            joined[rows, columns] = exponentials / exponentials.sum(axis=1, keepdims=True) @ value[rows, columns]
    return joined


def ffn_feed(networks: int) -> Arrays:
    rng = np.random.default_rng(1)
    shapes: dict[str, tuple[int, ...]] = {"x": (TOKENS, INTRA), "residual": (TOKENS, HIDDEN)}
    for i in range(networks):
        shapes |= {f"weight1_{i}": (INTRA, WIDE), f"bias1_{i}": (WIDE,), f"weight2_{i}": (WIDE, INTRA)}
    shapes["weight_out"] = (INTRA, HIDDEN)
    return {name: rng.normal(size=shape) / np.sqrt(INTRA) for name, shape in shapes.items()}


def ffn_by_hand(feed: Arrays, networks: int) -> np.ndarray:
    u = feed["x"]
    for i in range(networks):
        u = u + np.maximum(u @ feed[f"weight1_{i}"] + feed[f"bias1_{i}"], 0) @ feed[f"weight2_{i}"]
    return feed["residual"] + u @ feed["weight_out"]


def cases(opset: int) -> list[tuple[ir.Function, Arrays, np.ndarray]]:
    """Functions, inputs, and what comes out."""
    feed = attention_feed()
    found = [(bottleneck_attention(opset, INTRA), feed, attention_by_hand(feed))]
    for networks in (1, 2, 4):
        feed = ffn_feed(networks)
        found.append((stacked_ffn(networks, opset), feed, ffn_by_hand(feed, networks)))
    return found


CASES = [pytest.param(opset, i, id=f"{opset}-{i}") for opset in OPSETS for i in range(4)]


def calling(function: ir.Function, feed: Arrays, opset: int, dtype: np.dtype) -> ir.Model:
    """A model of one node, whose inputs are the function's."""
    inputs, names = [], [value.name or "" for value in function.inputs]
    for name in names:
        kind = feed[name].dtype if feed[name].dtype.kind == "i" else dtype
        inputs.append(ir.val(name, ir.DataType.from_numpy(kind), feed[name].shape))
    node = ir.node(function.name, inputs, domain=DOMAIN, version=VERSION)
    y = node.outputs[0]
    y.name, y.type, y.shape = "y", ir.TensorType(ir.DataType.from_numpy(dtype)), ir.Shape(["tokens", "width"])
    graph = ir.Graph(inputs, node.outputs, nodes=[node], opset_imports={"": opset, DOMAIN: VERSION}, name="g")
    version = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
    model = ir.Model(graph, ir_version=max(version, 10), functions=[function])
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    return model


FLOAT, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


@pytest.mark.parametrize(("opset", "index"), CASES)
def test_the_body_computes_what_the_documentation_says(opset: int, index: int) -> None:
    function, feed, expected = cases(opset)[index]
    assert error(computed(calling(function, feed, opset, DOUBLE), feed, DOUBLE), expected) < 1e-12
    assert error(computed(calling(function, feed, opset, FLOAT), feed, FLOAT), expected) < 1e-5


@pytest.mark.parametrize(("opset", "index"), CASES)
def test_inlined_by_either_library_it_is_the_same(opset: int, index: int) -> None:
    function, feed, _ = cases(opset)[index]
    model = calling(function, feed, opset, FLOAT)
    called = computed(model, feed, FLOAT)
    by_onnx = ir.from_proto(inline_local_functions(ir.to_proto(model)))
    common_passes.InlinePass()(model)
    for inlined in (model, by_onnx):
        assert not inlined.functions
        assert {node.domain for node in inlined.graph} == {""}
        np.testing.assert_array_equal(computed(inlined, feed, FLOAT), called)


@pytest.mark.parametrize("opset", range(OLDEST_OPSET, newest_opset() + 1))
def test_a_function_is_valid_at_every_opset(opset: int) -> None:
    for function, feed, _ in cases(opset):
        assert (function.domain, function.opset_imports) == (DOMAIN, {"": opset})
        calling(function, feed, opset, FLOAT)


@pytest.mark.parametrize("index", range(4))
def test_every_input_and_output_is_documented(index: int) -> None:
    function, *_ = cases(OLDEST_OPSET)[index]
    text = function.doc_string or ""
    shapes = text[text.index("Inputs") :]
    for value in (*function.inputs, *function.outputs):
        name = re.sub(r"_\d+$", "_i", value.name or "")
        assert re.search(rf"\b{name}\b +\[", shapes), name


def test_the_number_of_inputs_is_the_one_that_is_documented() -> None:
    for networks in (1, 2, 4):
        assert len(stacked_ffn(networks, OLDEST_OPSET).inputs) == 3 * networks + 3


def test_one_size_of_the_shape_of_heads_may_be_left_open() -> None:
    feed = attention_feed()
    function = bottleneck_attention(OLDEST_OPSET, INTRA)
    for place in range(4):
        heads = feed["heads"].copy()
        heads[place] = -1
        model = calling(function.clone(), feed, OLDEST_OPSET, DOUBLE)
        assert error(computed(model, {**feed, "heads": heads}, DOUBLE), attention_by_hand(feed)) < 1e-12


def test_padding_changes_nothing() -> None:
    feed = attention_feed()
    model = calling(bottleneck_attention(OLDEST_OPSET, INTRA), feed, OLDEST_OPSET, FLOAT)
    x = feed["x"].copy()
    x[-2:] = 100
    other = computed(model, {**feed, "x": x}, FLOAT)
    np.testing.assert_array_equal(other[:-2], computed(model, feed, FLOAT)[:-2])


# In 8 bits


def product_by_hand(x: np.ndarray, weight: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """As ONNX describes DynamicQuantizeLinear, and MatMulInteger."""
    x = x.astype(np.float32)
    low, high = np.minimum(x.min(), np.float32(0)), np.maximum(x.max(), np.float32(0))
    step = (high - low) / np.float32(255)
    zero = np.clip(np.rint(-low / step), 0, 255).astype(np.int32)
    numbers = np.clip(np.rint(x / step).astype(np.int32) + zero, 0, 255)
    return ((numbers - zero) @ weight.astype(np.int32)).astype(np.float32) * (step * scale)


def attention_int8_by_hand(feed: Arrays) -> np.ndarray:
    projected = product_by_hand(feed["x"], feed["weight_in"], feed["scale_in"]) + feed["bias_in"]
    inner, shared, value = np.split(projected, 3, axis=1)
    query, key = np.split(product_by_hand(shared, feed["weight_qk"], feed["scale_qk"]) + feed["bias_qk"], 2, axis=1)
    attended = attended_by_hand(query, key, value, feed["mask"])
    return inner + product_by_hand(attended, feed["weight_out"], feed["scale_out"])


def ffn_int8_by_hand(feed: Arrays, networks: int) -> np.ndarray:
    u = feed["x"].astype(np.float32)
    for i in range(networks):
        wide = product_by_hand(u, feed[f"weight1_{i}"], feed[f"scale1_{i}"]) + feed[f"bias1_{i}"].astype(np.float32)
        u = u + product_by_hand(np.maximum(wide, 0), feed[f"weight2_{i}"], feed[f"scale2_{i}"])
    return feed["residual"] + product_by_hand(u, feed["weight_out"], feed["scale_out"])


def cases_of_8_bits(opset: int) -> list[tuple[ir.Function, Arrays, np.ndarray, np.ndarray]]:
    """Functions, inputs, what comes out, and what would with weights and activations of float64."""
    feed = with_8_bit_weights(attention_feed())
    found = [
        (bottleneck_attention_int8(opset, INTRA), feed, attention_int8_by_hand(feed), attention_by_hand(real(feed)))
    ]
    for networks in (1, 2, 4):
        feed = with_8_bit_weights(ffn_feed(networks))
        expected, exact = ffn_int8_by_hand(feed, networks), ffn_by_hand(real(feed), networks)
        found.append((stacked_ffn_int8(networks, opset), feed, expected, exact))
    return found


@pytest.mark.parametrize(("opset", "index"), CASES)
def test_the_body_of_8_bits_computes_what_the_documentation_says(opset: int, index: int) -> None:
    function, feed, expected, exact = cases_of_8_bits(opset)[index]
    found = computed(calling(function, feed, opset, FLOAT), feed, FLOAT)
    assert error(found, expected) < 2e-3  # a number that is rounded to the other side makes as much
    assert 1e-4 < error(found, exact) < 0.05


@pytest.mark.parametrize(("opset", "index"), CASES)
def test_of_8_bits_inlined_by_either_library_it_is_the_same(opset: int, index: int) -> None:
    function, feed, *_ = cases_of_8_bits(opset)[index]
    model = calling(function, feed, opset, FLOAT)
    called = computed(model, feed, FLOAT)
    by_onnx = ir.from_proto(inline_local_functions(ir.to_proto(model)))
    common_passes.InlinePass()(model)
    for inlined in (model, by_onnx):
        assert not inlined.functions
        assert {node.domain for node in inlined.graph} == {""}
        np.testing.assert_array_equal(computed(inlined, feed, FLOAT), called)


@pytest.mark.parametrize("opset", range(OLDEST_OPSET, newest_opset() + 1))
def test_a_function_of_8_bits_is_valid_at_every_opset(opset: int) -> None:
    for function, feed, *_ in cases_of_8_bits(opset):
        assert (function.domain, function.opset_imports) == (DOMAIN, {"": opset})
        calling(function, feed, opset, FLOAT)


@pytest.mark.parametrize("index", range(4))
def test_every_input_and_output_of_8_bits_is_documented_with_its_shape(index: int) -> None:
    function, feed, *_ = cases_of_8_bits(OLDEST_OPSET)[index]
    text = function.doc_string or ""
    shapes = text[text.index("Inputs") :]
    for value in (*function.inputs, *function.outputs):
        name = re.sub(r"_\d+$", "_i", value.name or "")
        found = re.search(rf"\b{name}\b +\[([^\]]*)\](, int8)?", shapes)
        assert found, name
        if value.name in feed and name != "heads":
            assert found.group(1).count(",") + 1 == feed[value.name or ""].ndim, name
        assert bool(found.group(2)) == name.startswith("weight"), name


@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("make", [cases, cases_of_8_bits], ids=["float", "8 bits"])
def test_the_operators_page_names_every_input_in_order(make: Callable[..., Any], index: int) -> None:
    function, *_ = make(OLDEST_OPSET)[index]
    page = (Path(__file__).parents[3] / "docs" / "operators.md").read_text()
    if function.name.endswith("Int8"):
        (listed,) = (line for line in page.splitlines() if line.startswith(f"| `{function.name}`"))
    else:
        section = page.split(f"## {DOMAIN}.{function.name}\n")[1].split("\n## ")[0]
        listed = " ".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))
    names = list(dict.fromkeys(re.sub(r"_\d+$", "_i", value.name or "") for value in function.inputs))
    assert [name for name in re.findall(r"`(\w+)`", listed) if name != function.name] == names


def test_the_number_of_inputs_of_8_bits() -> None:
    for networks in (1, 2, 4):
        assert len(stacked_ffn_int8(networks, OLDEST_OPSET).inputs) == 5 * networks + 4


@pytest.mark.parametrize("index", range(4))
def test_an_operator_of_8_bits_takes_the_float_one_s_inputs_and_scales(index: int) -> None:
    function, *_ = cases_of_8_bits(OLDEST_OPSET)[index]
    known, *_ = cases(OLDEST_OPSET)[index]
    expected: list[str] = []
    for value in known.inputs:
        name = value.name or ""
        expected += [name, name.replace("weight", "scale")] if name.startswith("weight") else [name]
    assert [value.name for value in function.inputs] == expected
    assert function.name == f"{known.name}Int8"


@pytest.mark.parametrize("index", range(4))
def test_onnxruntime_computes_each_product_as_one_node(index: int, tmp_path: Path) -> None:
    function, feed, expected, _ = cases_of_8_bits(OLDEST_OPSET)[index]
    model = calling(function, feed, OLDEST_OPSET, FLOAT)
    # Weights are constants, as they are in files.
    inputs = [value for value in model.graph.inputs if (value.name or "").startswith(("weight", "scale", "bias"))]
    for value in inputs:
        array = feed[value.name or ""]
        value.const_value = ir.tensor(array if array.dtype == np.int8 else array.astype(np.float32), name=value.name)
        model.graph.inputs.remove(value)
        model.graph.register_initializer(value)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    data = ir.to_proto(model).SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    rest = {value.name: feed[value.name or ""] for value in model.graph.inputs}
    (found,) = session.run(None, {k: v if v.dtype.kind == "i" else v.astype(np.float32) for k, v in rest.items()})
    assert error(found, expected) < 1e-2  # what is rounded to the other side in one product goes on to the next

    types = [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]
    products = sum(name.startswith("weight") for name in feed)
    assert types.count("DynamicQuantizeMatMul") == products
    assert not {"DynamicQuantizeLinear", "MatMulInteger", "MatMulIntegerToFloat", "Gemm"} & set(types)
