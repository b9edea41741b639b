"""Rules: the operators that a provider takes, with their conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from perf.providers.forecast.checks import NO_DYNAMIC_INT8, Check, Refusal, always

DYNAMIC_INT8 = ("DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "com.microsoft.DynamicQuantizeMatMul")
"""Operators of dynamic int8 quantization (scales computed at run time)."""


@dataclass(frozen=True)
class Rules:
    """Rules of a provider, opened with one set of options.

    Args:
        name: Display name.
        source: Where the rules are published, with the version.
        operators: Operators that it takes, with their conditions; operators of other domains are named with the domain.
        first: Condition on every node, checked before that of its operator.
        option: The option that it must be opened with; empty for its default options.
        notes: Notes for the user, a line each.
    """

    name: str
    source: str
    operators: Mapping[str, Check]
    first: Check = always
    option: str = ""
    notes: tuple[str, ...] = ()

    def refusal(self, node: ir.Node) -> Refusal | None:
        """Returns why a node would be left to the CPU, or None if it would be taken."""
        name = operator_of(node)
        conditions = self.operators.get(name)
        if conditions is None:
            return Refusal(f"not among the operators of {self.name}", NO_DYNAMIC_INT8 if name in DYNAMIC_INT8 else "")
        return self.first(node) or conditions(node)


def operator_of(node: ir.Node) -> str:
    """Returns the operator's name, with its domain unless that is ONNX's."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def plainly(*names: str) -> dict[str, Check]:
    """Returns entries for operators that are taken without conditions."""
    return dict.fromkeys(names, always)
