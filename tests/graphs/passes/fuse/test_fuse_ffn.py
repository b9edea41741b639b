"""A block's feed-forward networks, as one operator."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import becomes, constant, graph, leaves_alone, same_numbers, valid
from graph_texts import BLOCK

from graphs.functions.stacked_ffn import NAME
from graphs.ir.rewrite import Miss
from graphs.passes.fuse.fuse_ffn import FuseFFN

FUSED = "y = mbert.StackedFFN(u, outer, V1, a1, W1, V2, a2, W2, Wo)"


def block(*changes: tuple[str, str], text: str = BLOCK) -> ir.Model:
    """The block, with pieces of its text replaced by others."""
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    model = graph(text)
    for node in model.graph:
        node.name = f"the {node.outputs[0].name}"
    return model


def misses(model: ir.Model) -> list[Miss]:
    """Returns the near misses of a model that the pass does not change."""
    step = FuseFFN()
    leaves_alone(step, model)
    assert step.matches == 0
    return step.misses


def test_the_networks_of_a_block_become_one_operator() -> None:
    step = FuseFFN()
    after = becomes(step, block(), FUSED)
    assert (step.matches, step.misses) == (1, [])
    assert [identifier[:2] for identifier in after.functions] == [("mbert", NAME)]
    assert after.opset_imports["mbert"] == 1


def test_one_network_is_enough() -> None:
    before = graph("""(float[n, 4] u, float[n, 8] outer) => (float[n, 8] y)
        <float[4, 6] V, float[6] a, float[6, 4] W, float[4, 8] Wo>
        { wide = Gemm(u, V, a) active = Relu(wide) u1 = Gemm(active, W, u) y = Gemm(u1, Wo, outer) }""")
    becomes(FuseFFN(), before, "y = mbert.StackedFFN(u, outer, V, a, W, Wo)")


def test_transposed_weights_come_out_as_they_act() -> None:
    before = block(
        ("Gemm(u, V1, a1)", "Gemm <transB = 1> (u, V1, a1)"),
        ("float[4, 6] V1", "float[6, 4] V1"),
        ("Gemm(active2, W2, u1)", "Gemm <transB = 1> (active2, W2, u1)"),
        ("float[6, 4] W2", "float[4, 6] W2"),
        ("Gemm(u2, Wo, outer)", "Gemm <transB = 1> (u2, Wo, outer)"),
        ("float[4, 8] Wo", "float[8, 4] Wo"),
    )
    fused = "y = mbert.StackedFFN(u, outer, V1_transposed, a1, W1, V2, a2, W2_transposed, Wo_transposed)"
    after = becomes(FuseFFN(), before, fused)
    for name in ("V1", "W2", "Wo"):
        np.testing.assert_array_equal(constant(after, f"{name}.transposed"), constant(before, name).T)


@pytest.mark.parametrize("without", ["MatMul(u, V1)", "Gemm(u, V1)"])
def test_a_layer_without_a_bias_gets_one_of_zeros(without: str) -> None:
    after = becomes(FuseFFN(), block(("Gemm(u, V1, a1)", without)), FUSED.replace("a1", "V1_bias"))
    np.testing.assert_array_equal(constant(after, "V1.bias"), np.zeros(6))


def test_a_bias_of_one_number_is_written_out() -> None:
    before = block(("float[6] a2", "float[1] a2"))
    after = becomes(FuseFFN(), before, FUSED.replace("a2", "V2_bias"))
    np.testing.assert_array_equal(constant(after, "V2.bias"), np.repeat(constant(before, "a2"), 6))


def test_the_inner_stream_may_be_read_before_the_networks() -> None:
    before = block(("float[n, 8] y)", "float[n, 8] y, float[n, 4] z)"), ("y = Gemm", "z = Relu(u) y = Gemm"))
    becomes(FuseFFN(), before, f"{FUSED} z = Relu(u)")


def test_networks_of_different_widths_are_one_stack() -> None:
    before = block(
        ("float[4, 6] V2, float[6] a2, float[6, 4] W2", "float[4, 3] V2, float[3] a2, float[3, 4] W2"),
    )
    becomes(FuseFFN(), before, FUSED)


# What is changed in the text, the nodes that are named, and part of the reason.
REFUSED = {
    "another activation": (
        [("Relu(wide1)", "Elu(wide1)"), ("Relu(wide2)", "Sigmoid(wide2)")],
        ["the active1 (Elu)", "the active2 (Sigmoid)"],
        "expected Relu",
    ),
    "a stream read between two networks": (
        [("float[n, 8] y)", "float[n, 8] y, float[n, 4] z)"), ("y = Gemm", "z = Neg(u1) y = Gemm")],
        ["the z (Neg)"],
        "it reads the stream between two networks",
    ),
    "a stream read after the networks": (
        [("float[n, 8] y)", "float[n, 8] y, float[n, 4] z)"), ("y = Gemm", "z = Neg(u2) y = Gemm")],
        ["the z (Neg)"],
        "it reads the stream between two networks",
    ),
    "a stream that is an output": (
        [("float[n, 8] y)", "float[n, 8] y, float[n, 4] u2)")],
        ["the active1 (Relu)", "the active2 (Relu)"],
        "no Gemm with the outer stream as its third input follows",
    ),
    "no outer stream": (
        [("Gemm(u2, Wo, outer)", "MatMul(u2, Wo)")],
        ["the active1 (Relu)", "the active2 (Relu)"],
        "no Gemm with the outer stream as its third input follows",
    ),
    "a bias where the outer stream would be": (
        [("Gemm(u2, Wo, outer)", "Gemm(u2, Wo, bo)"), ("float[4, 8] Wo", "float[4, 8] Wo, float[8] bo")],
        ["the y (Gemm)"],
        "its third input is not a residual",
    ),
    "an outer stream that is the inner one": (
        [("Gemm(u2, Wo, outer)", "Gemm(u2, Wo, u2)"), ("float[4, 8] Wo", "float[4, 4] Wo"),
         ("=> (float[n, 8] y)", "=> (float[n, 4] y)")],
        ["the y (Gemm)"],
        "it adds to the inner stream; expected the outer one",
    ),
    "a residual on the other side": (
        [("u2 = Gemm(active2, W2, u1)", "p = MatMul(active2, W2) u2 = Add(u1, p)")],
        ["the active1 (Relu)", "the active2 (Relu)"],
        "",
    ),
    "a residual that the network does not read": (
        [("u2 = Gemm(active2, W2, u1)", "u2 = Gemm(active2, W2, u)")],
        ["the active1 (Relu)", "the active2 (Relu)"],
        "",
    ),
    "a scaled residual": (
        [("u2 = Gemm(active2, W2, u1)", "u2 = Gemm <beta = 0.5> (active2, W2, u1)")],
        ["the active1 (Relu)", "the active2 (Relu)"],
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_an_almost_block_is_not_modified_and_is_reported(case: str) -> None:
    changes, nodes, reason = REFUSED[case]
    found = misses(block(*changes))
    assert [miss.node for miss in found] == nodes
    assert all(reason in miss.reason for miss in found)


def test_a_residual_that_the_network_does_not_read_is_named() -> None:
    found = misses(block(("Gemm(active2, W2, u1)", "Gemm(active2, W2, u)")))
    assert found[1].reason == "the u2 adds to another stream than the wide2 reads"


@pytest.mark.parametrize("inside", ["active2", "wide2"])
def test_what_is_an_output_inside_of_a_network_stays(inside: str) -> None:
    found = misses(block(("float[n, 8] y)", f"float[n, 8] y, float[n, 6] {inside})")))
    assert [miss.node for miss in found] == ["the active1 (Relu)", "the active2 (Relu)"]


def test_a_classifier_is_not_even_missed() -> None:
    model = graph("""(float[n, 4] x) => (float[n, 3] y) <float[4, 6] V, float[6, 3] W>
        { a = MatMul(x, V) b = Tanh(a) y = MatMul(b, W) }""")
    assert misses(model) == []


# Behind the block comes another one, of as many networks as are asked for.
SECOND = """
    t = MatMul(y, Wt)
    {networks}
    z = Gemm({stream}, Wz, y)
"""


def two_blocks(networks: int, activation: str = "Relu") -> ir.Model:
    constants, lines, stream = ["float[8, 4] Wt, float[4, 8] Wz"], [], "t"
    for i in range(networks):
        constants.append(f"float[4, 6] R{i}, float[6] r{i}, float[6, 4] S{i}")
        lines.append(f"w{i} = Gemm({stream}, R{i}, r{i}) q{i} = {activation}(w{i}) t{i} = Gemm(q{i}, S{i}, {stream})")
        stream = f"t{i}"
    second = SECOND.format(networks="\n".join(lines), stream=stream)
    text = BLOCK.replace("=> (float[n, 8] y)", "=> (float[n, 8] z)").replace("Wo>", f"Wo, {', '.join(constants)}>")
    return block(text=text[: text.rindex("}")] + second + "}")


def test_blocks_of_equally_many_networks_share_a_function() -> None:
    step = FuseFFN()
    fused = f"{FUSED} t = MatMul(y, Wt) z = mbert.StackedFFN(t, y, R0, r0, S0, R1, r1, S1, Wz)"
    assert len(becomes(step, two_blocks(2), fused).functions) == 1
    assert (step.matches, step.misses) == (2, [])


@pytest.mark.parametrize(
    ("networks", "activation", "miss"),
    [
        (1, "Relu", Miss("the z (Gemm)", "1 feed-forward networks, unlike other blocks of this model")),
        (3, "Relu", Miss("the z (Gemm)", "3 feed-forward networks, unlike other blocks of this model")),
        (1, "Elu", Miss("the q0 (Elu)", "the activation is Elu; expected Relu")),
    ],
)
def test_one_of_two_blocks_is_fused_and_the_other_reported(networks: int, activation: str, miss: Miss) -> None:
    step, before = FuseFFN(), two_blocks(networks, activation)
    after = before.clone()
    step(after)
    assert (step.matches, step.misses) == (1, [miss])
    assert [node.op_type for node in after.graph].count(NAME) == 1
    valid(before, after)
    same_numbers(before, after)
    again = FuseFFN()
    leaves_alone(again, after)
