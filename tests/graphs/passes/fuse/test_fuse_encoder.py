"""Consecutive layers, as one operator."""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np
import onnx_ir as ir
import onnx_ir.passes.common as common_passes
import pytest
from graph_helpers import error, leaves_alone, run, valid
from text_models import bert, text_feed

from graphs.functions import DOMAIN
from graphs.functions.encoder import NAMES
from graphs.ir.constants import add_initializer
from graphs.passes.fuse.fuse_encoder import FuseEncoder
from graphs.passes.lower.quantize_dynamic import QuantizeDynamic
from graphs.passes.naming.name_nodes import NameNodes
from graphs.pipeline import optimize

FLOAT_INPUTS, INT8_INPUTS = 5 + 3 + 1, 8 + 5 + 2  # weights of a layer with one network


def fused_halves(layers: int = 3, *changes: tuple[str, str]) -> ir.Model:
    """A model whose layers are two operators each, named by layer."""
    model = optimize(bert(*changes, layers=layers), skip=["fuse-encoder"], compare=False).model
    number = -1
    for node in model.graph:
        if node.domain == DOMAIN:
            number += node.op_type == "BottleneckAttention"
            node.name = f"layer.{number}/{node.op_type}_0"
    return model


def halves(model: ir.Model, op_type: str) -> list[ir.Node]:
    return [node for node in model.graph if node.op_type == op_type]


def with_factor(model: ir.Model, layer: int) -> ir.Model:
    """The model, with a vector that the input of a layer's attention is multiplied by."""
    node = halves(model, "BottleneckAttention")[layer]
    factor = add_initializer(model.graph, "unit", np.linspace(0.5, 2, 8).astype(np.float32))
    mul = ir.node("Mul", [node.inputs[0], factor])
    mul.outputs[0].name = f"scaled_{layer}"
    model.graph.insert_before(node, mul)
    node.replace_input_with(0, mul.outputs[0])
    return model


def in_8_bits(model: ir.Model, keep: Collection[str] = ()) -> ir.Model:
    QuantizeDynamic(lambda _: False, keep)(model)
    return model


def encoders(before: ir.Model) -> list[ir.Node]:
    """Fuses layers; asserts that the outputs stay the same, to the bit, and that a second run changes nothing."""
    after = before.clone()
    step = FuseEncoder()
    assert step(after).modified
    found = [node for node in after.graph if node.domain == DOMAIN and node.op_type in NAMES]
    assert step.matches == len(found)
    valid(before, after)
    inlined = after.clone()
    common_passes.InlinePass()(inlined)
    assert {node.domain for node in inlined.graph} == {""}
    expected = run(before, text_feed())
    for model in (after, inlined):
        for name, array in run(model, text_feed()).items():
            np.testing.assert_array_equal(array, expected[name])
    leaves_alone(FuseEncoder(), after)
    NameNodes()(after)
    assert all(str(node.name).startswith("encoder/") for node in found)
    return found


def numbers(node: ir.Node) -> tuple[int, int, list[int]]:
    factors = node.attributes["factors"].as_ints()
    return node.attributes["layers"].as_int(), node.attributes["networks"].as_int(), list(factors)


def test_layers_become_one_node() -> None:
    before = fused_halves()
    (node,) = encoders(before)
    assert (node.op_type, numbers(node)) == ("Encoder", (3, 1, [0, 0, 0]))
    assert len(node.inputs) == 3 + 3 * FLOAT_INPUTS
    first, last = halves(before, "BottleneckAttention")[0], halves(before, "StackedFFN")[-1]
    read = (*first.inputs[1:], *halves(before, "StackedFFN")[0].inputs[2:])
    names = [value and value.name for value in read]
    assert [value and value.name for value in node.inputs[1 : 3 + FLOAT_INPUTS]] == names
    assert node.inputs[-1] is not None
    assert last.inputs[-1] is not None
    assert node.inputs[-1].name == last.inputs[-1].name


def test_a_vector_before_an_attention_is_an_input() -> None:
    (node,) = encoders(with_factor(fused_halves(), 1))
    assert numbers(node) == (3, 1, [0, 1, 0])
    names = [value.name for value in node.inputs if value is not None]
    assert names.index("unit") == 3 + FLOAT_INPUTS


def test_layers_of_8_bits_become_one_node() -> None:
    (node,) = encoders(in_8_bits(with_factor(fused_halves(), 0)))
    assert (node.op_type, numbers(node)) == ("EncoderInt8", (3, 1, [1, 0, 0]))
    assert len(node.inputs) == 4 + 3 * INT8_INPUTS


def test_layers_in_half_precision_become_one_node() -> None:
    texts = [text_feed(seed, batch=1) for seed in range(4)]
    model = optimize(bert(), precision="fp16", calibration=texts, skip=["fuse-encoder"], compare=False).model
    (node,) = encoders(model)
    assert (node.op_type, numbers(node)) == ("EncoderFloat16", (2, 1, [0, 0]))


def test_a_layer_of_another_precision_ends_a_run() -> None:
    found = encoders(in_8_bits(fused_halves(4), ["layer.1"]))
    assert [(node.op_type, numbers(node)[0]) for node in found] == [
        ("EncoderInt8", 1),
        ("Encoder", 1),
        ("EncoderInt8", 2),
    ]
    assert [node.overload for node in found] == ["", "", "2"]


def test_an_output_ends_a_run_and_equal_runs_share_a_function() -> None:
    outputs = ("(float[b, s, 8] hidden)", "(float[b, s, 8] hidden, float[b, s, 8] h_2)")
    before = fused_halves(4, outputs)
    old = before.ir_version
    found = encoders(before)
    assert [numbers(node)[0] for node in found] == [2, 2]
    assert [node.overload for node in found] == ["", ""]
    after = before.clone()
    FuseEncoder()(after)
    assert after.ir_version == old


def test_runs_of_other_lengths_are_overloads() -> None:
    outputs = ("(float[b, s, 8] hidden)", "(float[b, s, 8] hidden, float[b, s, 8] h_1)")
    before = fused_halves(3, outputs)
    before.ir_version = 8
    found = encoders(before)
    assert [(numbers(node)[0], node.overload) for node in found] == [(1, ""), (2, "2")]
    after = before.clone()
    FuseEncoder()(after)
    assert after.ir_version == 10
    assert {key for key in after.functions if key[1] == "Encoder"} == {
        (DOMAIN, "Encoder", ""),
        (DOMAIN, "Encoder", "2"),
    }


def test_another_mask_ends_a_run() -> None:
    before = fused_halves()
    node = halves(before, "BottleneckAttention")[2]
    other = ir.node("Identity", [node.inputs[1]])
    other.outputs[0].name = "other_mask"
    before.graph.insert_before(node, other)
    node.replace_input_with(1, other.outputs[0])
    assert [numbers(node)[0] for node in encoders(before)] == [2, 1]


def _another_residual(model: ir.Model) -> None:
    first, second = halves(model, "StackedFFN")[:2]
    second.replace_input_with(1, first.inputs[1])


def _another_reader(model: ir.Model) -> None:
    inner = halves(model, "BottleneckAttention")[1].outputs[0]
    copy = ir.node("Identity", [inner])
    copy.outputs[0].name = "copy"
    copy.outputs[0].type, copy.outputs[0].shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(["tokens", 4])
    model.graph.append(copy)
    model.graph.outputs.append(copy.outputs[0])
    halves(model, "StackedFFN")[1].replace_input_with(0, copy.outputs[0])
    model.graph.sort()


def _a_factor_that_is_computed(model: ir.Model) -> None:
    mul = next(node for node in with_factor(model, 1).graph if node.outputs[0].name == "scaled_1")
    factor = ir.node("Relu", [mul.inputs[1]])
    factor.outputs[0].name = "computed"
    model.graph.insert_before(mul, factor)
    mul.replace_input_with(1, factor.outputs[0])


MISSES = {
    "another residual": (_another_residual, "its input is not the stream that the networks after it add to"),
    "another reader": (_another_reader, "it reads BottleneckAttention .*; expected mbert.StackedFFN"),
    "a computed factor": (_a_factor_that_is_computed, "it does not multiply by a constant vector"),
}


@pytest.mark.parametrize("case", MISSES)
def test_a_layer_of_another_kind_stays_two_operators(case: str) -> None:
    change, reason = MISSES[case]
    before = fused_halves()
    change(before)
    found = encoders(before)
    assert [numbers(node)[0] for node in found] == [1, 1]
    step = FuseEncoder()
    step(before)
    (miss,) = step.misses
    assert re.search(reason, miss.reason)


def test_outputs_are_close_to_those_of_the_given_model() -> None:
    before = bert(layers=3)
    after = optimize(before.clone(), compare=False).model
    assert error(run(after, text_feed())["hidden"], run(before, text_feed())["hidden"]) < 1e-5
