"""Ledger of the pipeline: the effect of each pass on nodes, costs and accuracy, and the result of all passes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import onnx_ir as ir

from graphs.execution.judge import Judge
from graphs.ir.rewrite import Miss
from graphs.lowering.bit_search import Plan
from graphs.model.costs import PRODUCTS, macs, sized, weight_bytes

# The length in tokens at which multiply-accumulates are counted.
COUNTED_LENGTH = 128


@dataclass(frozen=True)
class Entry:
    """Effect of one pass: one row of the ledger.

    Args:
        name: The name of the pass.
        matches: The number of times that it rewrote something.
        nodes_before, nodes_after: The numbers of nodes of the main graph.
        macs_saved: Multiply-accumulates saved at batch 1 and `COUNTED_LENGTH` tokens; None if they are not known.
        bytes_saved: Bytes of weights saved; negative where the pass added weights and the old ones are still read.
        error: The centred error of the graph after the pass; None where nothing was compared.
        seconds: The pass's time, without the comparison.
        misses: The places that almost matched.
    """

    name: str
    matches: int
    nodes_before: int
    nodes_after: int
    macs_saved: int | None
    bytes_saved: int
    error: float | None
    seconds: float
    misses: list[Miss] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """Result of the pipeline: the optimised model and its ledger.

    Args:
        model: The optimised model.
        ledger: An entry for each pass, in order.
        changed: Whether the graph differs from the given one.
        restarts: The number of streams whose affine form was written out or rescaled explicitly.
        error: The centred error of the result; None where nothing was compared.
        judge: The reference that it was compared with; None where nothing was compared.
        plan: The number of bits of each activation, of int8 for phones; None for all others.
        notes: Lines for the user about what the passes mean for the file.
    """

    model: ir.Model
    ledger: list[Entry]
    changed: bool
    restarts: int = 0
    error: float | None = None
    judge: Judge | None = None
    plan: Plan | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def given_error(self) -> float | None:
        """The centred error of the given graph in float32; None where the given graph is itself the reference."""
        return None if self.judge is None else self.judge.given

    @property
    def bound(self) -> float | None:
        """The largest error that passes."""
        return None if self.judge is None else self.judge.bound


class Costs:
    """Multiply-accumulates and weight bytes of a model, counted again after each pass."""

    def __init__(self, model: ir.Model) -> None:
        self._products, self._macs, self._bytes = _products(model), _macs(model), weight_bytes(model)

    def saved(self, model: ir.Model) -> tuple[int | None, int]:
        """Returns the multiply-accumulates and the bytes of weights saved since the last call."""
        old_macs, old_bytes, products = self._macs, self._bytes, _products(model)
        if products != self._products:  # counting takes longer than most passes
            self._products, self._macs = products, _macs(model)
        self._bytes = weight_bytes(model)
        saved = None if old_macs is None or self._macs is None else old_macs - self._macs
        return saved, old_bytes - self._bytes


def _products(model: ir.Model) -> Counter[str]:
    """Counts the matrix products by the shapes of their weights, and the operators of other domains by their types."""
    found: Counter[str] = Counter()
    for node in model.graph:
        if node.domain != "":
            found[node.op_type] += 1
        elif node.op_type in PRODUCTS:
            weight = node.inputs[1]
            constant = weight is not None and weight.const_value is not None and weight.shape is not None
            found[str(sorted(map(str, weight.shape))) if constant and weight and weight.shape else "activations"] += 1
    return found


def _macs(model: ir.Model) -> int | None:
    try:
        return macs(sized(model, COUNTED_LENGTH))
    except Exception:  # onnx's shape inference stops at operators that it does not know
        return None
