"""Fusion of layer normalisation into the operator of opset 17."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
from onnxscript.rewriter import MatchResult, pattern

from graphs.ir.constants import float_constant, integers
from graphs.ir.rewrite import Rewrite


class FuseLayerNorm(Rewrite):
    """Fuses the nodes of a layer norm, as written before opset 17, into LayerNormalization.

    Before::

        x ─┬─ ReduceMean ─┐
           └──────────────┴─ Sub ─┬─ Pow(2) ── ReduceMean ── Add(eps) ── Sqrt ─┐
                                  └────────────────────────────────────────────┴─ Div ── Mul(γ) ── Add(β)

    After::

        x ── LayerNormalization(γ, β)

    The LM head contains one. TensorFlow writes it as x∘i + (β − mean∘i), with i = γ / sqrt(variance + eps).
    """

    def rewrite(self, model: ir.Model) -> None:
        refused: dict[ir.Node, str] = {}
        self.matches = pattern.RewriteRuleSet([_Written.rule(refused)], commute=True).apply_to_model(model)
        self.matches += pattern.RewriteRuleSet([_TensorFlow.rule(refused)]).apply_to_model(model)
        for node, reason in refused.items():
            self.miss(node, reason)


class _Written(pattern.RewriteRuleClassBase):
    """Rule of onnxscript's rewriter; it records why it refused at a node."""

    def __init__(self, refused: dict[ir.Node, str]) -> None:
        super().__init__()
        self.refused = refused

    def pattern(self, op: Any, x: Any, eps: Any, scale: Any, bias: Any, two: Any) -> Any:
        deviation = op.Sub(x, op.ReduceMean(x, [-1], _outputs=["mean"]))
        variance = op.ReduceMean(op.Pow(deviation, two), [-1], _outputs=["variance"])
        return op.Add(op.Mul(op.Div(deviation, op.Sqrt(op.Add(variance, eps))), scale), bias)

    def check(self, op: Any, *_: Any, mean: ir.Value, variance: ir.Value, **values: ir.Value) -> MatchResult:
        result = MatchResult()
        for node in (mean.producer(), variance.producer()):
            assert node is not None
            # Without keepdims the mean would be subtracted along another axis. The attribute's default is not written.
            if node.attributes.get_int("keepdims", 1) != 1:
                self.refused[node] = "it does not keep the dimension that it reduces"
                return result.fail(self.refused[node])
        reason = _why_not_layer_norm(**values)
        if reason is None:
            return result
        node = mean.producer()
        assert node is not None
        self.refused[node] = reason
        return result.fail(reason)

    def rewrite(self, op: Any, x: ir.Value, eps: ir.Value, scale: ir.Value, bias: ir.Value, **_: Any) -> Any:
        epsilon = float_constant(eps)
        assert epsilon is not None
        return op.LayerNormalization(x, scale, bias, axis=-1, epsilon=float(epsilon.item()))


class _TensorFlow(_Written):
    """The same for TensorFlow's batch_normalization over the channels, in the order in which tf2onnx writes it."""

    def pattern(self, op: Any, x: Any, eps: Any, scale: Any, bias: Any, axes: Any) -> Any:
        mean = op.ReduceMean(x, axes, _outputs=["mean"])
        deviation = op.Sub(x, mean)
        variance = op.ReduceMean(op.Mul(deviation, deviation), axes, _outputs=["variance"])
        inverse = op.Mul(op.Reciprocal(op.Sqrt(op.Add(variance, eps))), scale)
        return op.Add(op.Mul(x, inverse), op.Sub(bias, op.Mul(mean, inverse)))

    def check(self, op: Any, *_: Any, mean: ir.Value, variance: ir.Value, **values: ir.Value) -> MatchResult:
        axes, shape = integers(values.pop("axes")), values["x"].shape
        if shape is None or axes not in ([-1], [len(shape) - 1]):
            return MatchResult().fail("it is not taken over the last axis")
        two = ir.Value(const_value=ir.tensor(2.0))  # the square is a product
        return super().check(op, mean=mean, variance=variance, two=two, **values)


def _why_not_layer_norm(x: ir.Value, eps: ir.Value, two: ir.Value, scale: ir.Value, bias: ir.Value) -> str | None:
    """Returns why nodes that are connected like a layer norm are not one; None if they are."""
    power, epsilon = float_constant(two), float_constant(eps)
    if power is None or power.size != 1 or power.item() != 2:
        return "deviations are not squared"
    if epsilon is None or epsilon.size != 1:
        return "the number added to the variance is not one constant"
    if x.shape is None or not isinstance(x.shape[-1], int):
        return "the width of its input is not known"
    for name, value in (("γ", scale), ("β", bias)):
        array = float_constant(value)
        if array is None or array.shape != (x.shape[-1],):
            return f"{name} is not constant, with one number for each of {x.shape[-1]} channels"
    return None
