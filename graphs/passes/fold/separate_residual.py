"""Residuals outside of Gemm, for providers that need a constant third input."""

from __future__ import annotations

import onnx_ir as ir

from graphs.ir.constants import constant
from graphs.ir.rewrite import Rewrite, replace


class SeparateResidual(Rewrite):
    """Replaces a Gemm whose third input is an activation by a Gemm and an Add.

    Before::

        y ── Gemm(W, u)

    After::

        y ── Gemm(W) ── Add(u)

    For phones: XNNPACK, CoreML, NNAPI and QNN take a Gemm only with a constant third input. It undoes
    accumulate-residual in graphs for other targets.
    """

    def rewrite(self, model: ir.Model) -> None:
        for node in list(model.graph):
            if node.op_type != "Gemm" or node.domain != "" or len(node.inputs) < 3:
                continue
            residual = node.inputs[2]
            if residual is None or constant(residual) is not None:
                continue
            if node.attributes.get_float("beta", 1.0) != 1.0:
                self.miss(node, "its third input is multiplied by beta; expected 1")
                continue
            output = node.outputs[0]
            attributes = {name: a for name, a in node.attributes.items() if name != "beta"}
            product, total = (ir.Value(shape=output.shape, type=output.type) for _ in range(2))
            gemm = ir.node("Gemm", list(node.inputs[:2]), attributes=attributes, outputs=[product])
            model.graph.insert_before(node, [gemm, ir.node("Add", [product, residual], outputs=[total])])
            replace(output, total)
            model.graph.remove(node, safe=True)
            self.matches += 1
