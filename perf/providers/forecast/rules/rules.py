"""What a provider publishes of the operators that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from perf.providers.forecast.checks import NO_DYNAMIC_INT8, Check, Refusal, always

DYNAMIC_INT8 = ("DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "com.microsoft.DynamicQuantizeMatMul")
"""What int8 with steps that are found at run time is made of."""


@dataclass(frozen=True)
class Rules:
    """The rules of one provider, in one of the ways in which it can be opened.

    Args:
        name: What is ruled, for a person.
        source: Where that is published, and of which version.
        operators: Those that it takes, each with its conditions; ONNX's own by name, others with their domain.
        first: Conditions on every node, before its operator's own.
        option: What it must be opened with; empty for how it is opened anyway.
        notes: What a person should know, a line each.
    """

    name: str
    source: str
    operators: Mapping[str, Check]
    first: Check = always
    option: str = ""
    notes: tuple[str, ...] = ()

    def refusal(self, node: ir.Node) -> Refusal | None:
        """Why a node would be left; None where it would be taken."""
        name = operator_of(node)
        conditions = self.operators.get(name)
        if conditions is None:
            return Refusal(f"not among the operators of {self.name}", NO_DYNAMIC_INT8 if name in DYNAMIC_INT8 else "")
        return self.first(node) or conditions(node)


def operator_of(node: ir.Node) -> str:
    """The operator's name, with its domain where that is not ONNX's own."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def plainly(*names: str) -> dict[str, Check]:
    """Operators that are taken without further conditions."""
    return dict.fromkeys(names, always)
