"""Restarts of a stream: a γ of 0, scales near the ends of float32, shifts that would cancel."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from graph_helpers import Arrays, becomes, constant, error, graph, run, run_in_float64

from graphs.execution.magnitudes import measure
from graphs.ir.affine_forms import LARGEST_SCALE, LARGEST_SHIFT, SMALLEST_SCALE
from graphs.passes.fold.fold_affine import FoldAffine

# A linear layer writes to the stream γ∘x₀ + β.
WRITTEN_TO = """(float[n, 4] x0) => (float[n, 3] y)
<float[4] g, float[4] beta, float[4, 4] W, float[4] b, float[4, 3] V>
{
    active = Sigmoid(x0)
    scaled = Mul(x0, g)
    x = Add(scaled, beta)
    written = Gemm(active, W, b)
    sum = Add(x, written)
    y = MatMul(sum, V)
}"""
CARRIED = """active = Sigmoid(x0)
written = MatMul(active, W_folded)
sum = Add(x0, written)
y = Gemm(sum, V_folded, V_folded_bias)"""
RESTARTED = """active = Sigmoid(x0)
base = Mul(x0, x_restart)
written = MatMul(active, {weight})
sum = Add(base, written)
y = Gemm(sum, {reader}, V_folded_bias)"""


def test_a_gamma_of_zero_costs_one_mul_that_masks_its_channel() -> None:
    gamma = np.array([2, 0, -0.5, 1])
    step, before = FoldAffine(), graph(WRITTEN_TO, g=gamma)
    after = becomes(step, before, RESTARTED.format(weight="W_folded", reader="V_folded"))
    assert step.restarts == 1
    np.testing.assert_array_equal(constant(after, "x.restart").reshape(-1), [1, 0, 1, 1])
    carried = np.array([2, 1, -0.5, 1])
    np.testing.assert_allclose(constant(after, "V.folded"), carried[:, None] * constant(before, "V"), rtol=1e-6)


def test_a_gamma_of_zeros_only_leaves_what_is_written_from_there_on() -> None:
    step, before = FoldAffine(), graph(WRITTEN_TO, g=np.zeros(4))
    becomes(step, before, RESTARTED.format(weight="W_folded", reader="V_folded"))
    assert step.restarts == 1


def test_a_gamma_of_zero_that_nothing_is_written_to_costs_nothing() -> None:
    step = FoldAffine()
    before = graph(
        "(float[n, 4] x) => (float[n, 3] y) <float[4] g, float[4] beta, float[4, 3] W>"
        "{ m = Mul(x, g) a = Add(m, beta) y = MatMul(a, W) }",
        g=np.array([0, 1, 0, -1]),
    )
    becomes(step, before, "y = Gemm(x, W_folded, W_folded_bias)")
    assert step.restarts == 0


def test_a_gamma_of_zero_of_a_linear_layers_own_output_costs_nothing() -> None:
    step = FoldAffine()
    before = graph(
        """(float[n, 4] x) => (float[n, 3] y)
        <float[4, 4] W, float[4] b, float[4] g, float[4] beta, float[4, 4] W2, float[4, 3] V>
        {
            a = Gemm(x, W, b)
            m = Mul(a, g)
            stream = Add(m, beta)
            active = Sigmoid(x)
            written = MatMul(active, W2)
            sum = Add(stream, written)
            y = MatMul(sum, V)
        }""",
        g=np.array([0, 1, 2, 0]),
    )
    body = """stream = MatMul(x, W_folded)
        active = Sigmoid(x)
        written = MatMul(active, W2)
        sum = Add(stream, written)
        y = Gemm(sum, V, V_folded_bias)"""
    becomes(step, before, body)
    assert step.restarts == 0


def test_a_negative_gamma_is_carried() -> None:
    step = FoldAffine()
    becomes(step, graph(WRITTEN_TO, g=np.array([-1, -2, 0.1, -1e-3])), CARRIED)
    assert step.restarts == 0


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("bound", "beyond"), [(LARGEST_SCALE, np.inf), (SMALLEST_SCALE, 0)], ids=["largest", "smallest"]
)
def test_a_scale_at_the_bound_is_carried_and_one_beyond_it_is_not(bound: float, beyond: float, sign: int) -> None:
    outside = float(np.nextafter(np.float32(bound), np.float32(beyond)))
    step = FoldAffine()
    becomes(step, graph(WRITTEN_TO, g=np.array([1, sign * bound, 1, 1])), CARRIED)
    assert step.restarts == 0
    after = becomes(
        step,
        graph(WRITTEN_TO, g=np.array([1, sign * outside, 2, 1])),
        RESTARTED.format(weight="W_folded", reader="V_folded"),
    )
    assert step.restarts == 1
    np.testing.assert_array_equal(constant(after, "x.restart").reshape(-1), [1, sign * outside, 1, 1])


def blocks(gamma: float, count: int) -> ir.Model:
    """Residual blocks, each followed by a scale."""
    constants = [f"float[4, 4] W{i}, float[4] b{i}, float[4] g{i}" for i in range(count)]
    body = [f"z{i} = Gemm(active, W{i}, b{i}) s{i} = Add(z{i}, x{i}) x{i + 1} = Mul(s{i}, g{i})" for i in range(count)]
    scale = {f"g{i}": np.array([1, gamma, -1, 2]) for i in range(count)}
    return graph(
        f"""(float[n, 4] x0) => (float[n, 3] y) <{", ".join(constants)}, float[4, 3] V>
        {{ active = Sigmoid(x0) {" ".join(body)} y = MatMul(x{count}, V) }}""",
        **scale,
    )


@pytest.mark.parametrize("gamma", [1e6, 1e-6])
def test_scales_that_multiply_beyond_the_bound_restart_once_they_are_there(gamma: float) -> None:
    step = FoldAffine()
    # γ² is within 2^±40; γ³, which the fourth block writes to, is not.
    step(blocks(gamma, 3))
    assert step.restarts == 0
    after = becomes(
        step,
        blocks(gamma, 4),
        """active = Sigmoid(x0)
        z0 = MatMul(active, W0)
        s0 = Add(z0, x0)
        z1 = MatMul(active, W1_folded)
        s1 = Add(z1, s0)
        z2 = MatMul(active, W2_folded)
        s2 = Add(z2, s1)
        restarted = Mul(s2, x3_restart)
        z3 = MatMul(active, W3_folded)
        s3 = Add(z3, restarted)
        y = Gemm(s3, V_folded, V_folded_bias)""",
    )
    assert step.restarts == 1
    np.testing.assert_allclose(constant(after, "x3.restart").reshape(-1), [1, gamma**3, 1, 1], rtol=1e-6)


@pytest.mark.parametrize(("size", "restarts"), [(1e17, 0), (1e19, 1)])
def test_a_stream_whose_base_would_overflow_restarts(size: float, restarts: int) -> None:
    # γ² is 1e-12, within the bound; a stream of 1e19 has a base of 1e31 there, near the end of float32.
    step = FoldAffine(magnitudes={"s2": size})
    step(blocks(1e-6, 3))
    assert step.restarts == restarts


def test_restarts_are_counted_anew_for_each_graph() -> None:
    step = FoldAffine()
    step(graph(WRITTEN_TO, g=np.array([1, 0, 1, 1])))
    step(graph(WRITTEN_TO))
    assert step.restarts == 0


# γ∘x + β is small, and either of its parts is not.
CANCELLING = """(float[n, 4] x) => (float[n, 3] y) <float[4] g, float[4] beta, float[4, 3] W>
{ m = Mul(x, g) a = Add(m, beta) y = MatMul(a, W) }"""


def cancelling() -> tuple[ir.Model, Arrays]:
    gamma = np.array([1, 2, -1, 0.5])
    near = 1000 + np.random.default_rng(0).normal(size=(7, 4))
    return graph(CANCELLING, g=gamma, beta=-1000 * gamma), {"x": near.astype(np.float32)}


def test_a_shift_that_would_cancel_is_written_out() -> None:
    before, feed = cancelling()
    guarded = FoldAffine(magnitudes=measure(before, feed))
    after = before.clone()
    assert not guarded(after).modified
    assert guarded.restarts == 1


def test_without_the_guard_float32_loses_to_the_cancellation() -> None:
    before, feed = cancelling()
    unguarded = before.clone()
    FoldAffine()(unguarded)
    assert [node.op_type for node in unguarded.graph] == ["Gemm"]
    judge = run_in_float64(before, feed)["y"]
    assert error(run(before, feed)["y"], judge) < 1e-6
    assert error(run(unguarded, feed)["y"], judge) > 1e-5


@pytest.mark.parametrize(("times", "carried"), [(0.999, True), (1.001, False)])
def test_the_largest_shift_is_so_many_times_its_value(times: float, carried: bool) -> None:
    before = graph(CANCELLING)
    shift = np.sqrt(np.mean(constant(before, "beta") ** 2))
    step = FoldAffine(magnitudes={"a": float(shift / (LARGEST_SHIFT * times))})
    after = before.clone()
    assert step(after).modified == carried
    assert step.restarts == (0 if carried else 1)


@pytest.mark.parametrize("size", [0.0, np.nan, np.inf])
def test_a_magnitude_that_says_nothing_guards_nothing(size: float) -> None:
    after = graph(CANCELLING)
    FoldAffine(magnitudes={"a": size})(after)
    assert [node.op_type for node in after.graph] == ["Gemm"]


def test_a_bias_that_would_cancel_stays_in_its_gemm() -> None:
    text = """(float[n, 4] x) => (float[n, 3] y) <float[4, 4] W, float[4] b, float[4, 3] V>
        { a = Gemm(x, W, b) y = MatMul(a, V) }"""
    small = FoldAffine(magnitudes={"a": 1e-3})
    assert not small(graph(text)).modified
    becomes(FoldAffine(magnitudes={"a": 1.0}), graph(text), "a = MatMul(x, W) y = Gemm(a, V, V_folded_bias)")
