"""Layer normalisation that was written out, as the operator that opset 17 has for it."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
from onnxscript.rewriter import MatchResult, pattern

from graphs.constants import float_constant
from graphs.rewrite import Rewrite


class FuseLayerNorm(Rewrite):
    """What exporters wrote before opset 17 becomes LayerNormalization; the LM head ends in one.

    Before::

        x ─┬─ ReduceMean ─┐
           └──────────────┴─ Sub ─┬─ Pow(2) ── ReduceMean ── Add(eps) ── Sqrt ─┐
                                  └────────────────────────────────────────────┴─ Div ── Mul(γ) ── Add(β)

    After::

        x ── LayerNormalization(γ, β)
    """

    def rewrite(self, model: ir.Model) -> None:
        self.matches = RULES.apply_to_model(model)


class _Written(pattern.RewriteRuleClassBase):
    """The rule, in onnxscript's rewriter."""

    def pattern(self, op: Any, x: Any, eps: Any, scale: Any, bias: Any, two: Any) -> Any:
        deviation = op.Sub(x, op.ReduceMean(x, [-1], _outputs=["mean"]))
        variance = op.ReduceMean(op.Pow(deviation, two), [-1], _outputs=["variance"])
        return op.Add(op.Mul(op.Div(deviation, op.Sqrt(op.Add(variance, eps))), scale), bias)

    def check(self, op: Any, *_: Any, **values: Any) -> MatchResult:
        result = MatchResult()
        return result if self._is_layer_norm(**values) else result.fail("no layer norm along the last dimension")

    @staticmethod
    def _is_layer_norm(x: ir.Value, mean: ir.Value, variance: ir.Value, **constants: ir.Value) -> bool:
        # What is not kept would be added along another axis. The attribute's default is not written.
        means = [value.producer() for value in (mean, variance)]
        if any(node is None or node.attributes.get_int("keepdims", 1) != 1 for node in means):
            return False
        found = {name: float_constant(value) for name, value in constants.items()}
        eps, two, scale, bias = (found[name] for name in ("eps", "two", "scale", "bias"))
        if eps is None or two is None or scale is None or bias is None or x.shape is None:
            return False
        width = (x.shape[-1],)
        return eps.size == 1 and two.size == 1 and two.item() == 2 and scale.shape == width and bias.shape == width

    def rewrite(self, op: Any, x: ir.Value, eps: ir.Value, scale: ir.Value, bias: ir.Value, **_: Any) -> Any:
        epsilon = float_constant(eps)
        assert epsilon is not None
        return op.LayerNormalization(x, scale, bias, axis=-1, epsilon=float(epsilon.item()))


RULES = pattern.RewriteRuleSet([_Written().rule()], commute=True)
