"""The search for products that need more than 8 bits."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import Text, constant, graph

from graphs.ir.linear import Linear
from graphs.lowering.bit_search import FLOAT, WIDE, Plan, kind_of, search
from graphs.precision.calibration import calibrate
from graphs.precision.channel_groups import ChannelGroups, scaled_linear
from graphs.precision.clipping import whole_intervals

# Two layers of two products each; `enter` of layer 1 is the one that will have outliers.
NETWORK = Text("""(float[n, 40] x) => (float[n, 40] y)
    <float[40, 48] A, float[48, 40] B, float[40, 48] C, float[48, 40] D>
    { a = Identity(x) h = MatMul(a, A) b = MatMul(h, B) k = MatMul(b, C) d = MatMul(k, D) y = Identity(d) }""")
NAMES = {"A": "m.layer.0.enter.weight", "B": "m.layer.0.leave.weight", "C": "m.layer.1.enter.weight.folded"}
NAMES["D"] = "m.layer.1.leave.weight"


def network(outlier: float) -> tuple[ir.Model, list[Linear]]:
    """The network, with weights and nodes named by their layers, and one channel of k that is so much larger."""
    wide = constant(graph(NETWORK), "C").copy()
    wide[:, 7] *= outlier
    narrow = constant(graph(NETWORK), "D").copy()
    narrow[7] /= outlier
    model = graph(NETWORK, C=wide.astype(np.float32), D=narrow.astype(np.float32))
    for old, new in NAMES.items():
        model.graph.initializers[old].name = new
    linears = [linear for node in model.graph if (linear := scaled_linear(node))]
    for number, linear in enumerate(linears):
        linear.node.name = f"layer.{number // 2}/MatMul_{number % 2}"
    return model, linears


def found(outlier: float, goal: float) -> Plan:
    model, _ = network(outlier)
    feeds = [{"x": np.random.default_rng(seed).normal(size=(30, 40)).astype(np.float32)} for seed in range(3)]
    ranges = calibrate(model, feeds, ChannelGroups(model.graph))
    intervals = {8: whole_intervals(ranges), 16: whole_intervals(ranges)}
    before = ir.to_proto(model)
    plan = search(model, lambda _: True, intervals, feeds, goal)
    assert ir.to_proto(model) == before
    return plan


def test_the_kind_of_a_product() -> None:
    assert [kind_of(linear) for linear in network(1.0)[1]] == ["enter", "leave", "enter", "leave"]


def test_where_8_bits_suffice_nothing_is_changed() -> None:
    plan = found(1.0, goal=0.05)
    assert plan.trials == []
    assert 0 < plan.first == plan.error <= 0.05
    assert {plan.bits(linear) for linear in network(1.0)[1]} == {8}


def test_the_largest_error_gets_16_bits() -> None:
    plan = found(300.0, goal=0.05)
    assert plan.first > 0.2
    assert plan.error <= 0.05
    # Both products of layer 1 have the outlier: 16 bits for one of them do not help.
    kept = [trial for trial in plan.trials if trial.kept]
    assert [(trial.what, trial.change) for trial in kept] == [("layer.1", WIDE)]
    assert kept[0].error < kept[0].alone
    assert plan.wide == {"layer.1"}
    linears = network(1.0)[1]
    assert 16 in {plan.bits(linear) for linear in linears[2:]}
    assert plan.error == [trial.error for trial in plan.trials if trial.kept][-1]


def test_layers_that_16_bits_do_not_help_become_float() -> None:
    plan = found(1e9, goal=1e-3)
    assert "layer.1" in plan.floats
    assert any(trial.what == "layer.1" and trial.change == FLOAT and trial.kept for trial in plan.trials)
    linears = network(1.0)[1]
    assert {plan.bits(linear) for linear in linears[2:]} == {None}


def test_changes_that_hardly_help_are_undone() -> None:
    plan = found(1.0, goal=0.0)
    for trial in plan.trials:
        if not trial.kept:
            assert trial.what not in (plan.wide if trial.change == WIDE else plan.floats) or any(
                other.kept for other in plan.trials if (other.what, other.change) == (trial.what, trial.change)
            )
    assert plan.error < plan.first


@pytest.mark.parametrize("layer", ["layer.0", "layer.1"])
def test_products_that_are_not_wanted_stay_float(layer: str) -> None:
    plan = Plan(lambda linear: not str(linear.node.name).startswith(layer))
    bits = {linear.node.name: plan.bits(linear) for linear in network(1.0)[1]}
    assert {name for name, number in bits.items() if number is None} == {f"{layer}/MatMul_0", f"{layer}/MatMul_1"}


def test_a_plan_as_a_dictionary() -> None:
    saved = found(300.0, goal=0.05).as_dict()
    assert set(saved) == {"16 bits", "float", "error of 8 bits", "error", "search"}
    assert saved["search"][-1]["kept"] is True
    assert saved["16 bits"] == ["layer.1"]
