"""Search for the bits of activations with constant steps: 8 where possible, 16 where needed, else float."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from graphs.execution.centred_error import centred_errors
from graphs.execution.error_bounds import BIT_SEARCH_GOAL
from graphs.execution.runner import runner
from graphs.execution.types import Feed, Outputs
from graphs.ir.layer_names import LAYER, layer_of
from graphs.ir.linear import Linear
from graphs.passes.lower.quantize_static import QuantizeStatic
from graphs.precision.channel_groups import scaled_linear
from graphs.precision.int8 import Interval

# A change must reduce the error by this share, or it is undone: 16 bits and float are slow.
LEAST_GAIN = 0.02

# The number of texts on which the error is measured.
TEXTS = 4

# The changes of a layer or kind of product.
WIDE, FLOAT = "16 bits", "float"

# Captures the part of a weight's name between the layer's name and `weight`.
KIND = re.compile(rf"{LAYER.pattern}\.([\w.]+?)\.weight\b")


@dataclass(frozen=True)
class Trial:
    """One step of the search.

    Args:
        what: A layer, such as `layer.3`, or the same product of all layers, such as `output.bottleneck.dense`.
        change: The new form of its activations: WIDE or FLOAT.
        alone: The centred error with these products in 8 bits and all others in float.
        error: The centred error of the whole graph with the change.
        kept: Whether the change was kept.
    """

    what: str
    change: str
    alone: float
    error: float
    kept: bool


@dataclass
class Plan:
    """Number of bits of the activations of each product.

    Args:
        wanted: Returns whether a product is to be quantized at all.
        wide: Layers, and kinds of products in all layers, whose activations have 16 bits.
        floats: Layers that stay float.
        first: The centred error of 8 bits everywhere, from the float graph.
        error: The centred error of the plan.
        trials: The steps of the search, in order.
    """

    wanted: Callable[[Linear], bool]
    wide: set[str] = field(default_factory=set)
    floats: set[str] = field(default_factory=set)
    first: float = 0.0
    error: float = 0.0
    trials: list[Trial] = field(default_factory=list)

    def bits(self, linear: Linear) -> int | None:
        """Returns the bits of a product's activations: 8, 16, or None for float."""
        layer = layer_of(linear.node)
        if layer in self.floats or not self.wanted(linear):
            return None
        return 16 if _groups(linear) & self.wide else 8

    def as_dict(self) -> dict[str, Any]:
        """Returns the plan as it is written into a report."""
        return {
            "16 bits": sorted(self.wide),
            "float": sorted(self.floats),
            "error of 8 bits": self.first,
            "error": self.error,
            "search": [asdict(trial) for trial in self.trials],
        }


def kind_of(linear: Linear) -> str:
    """Returns the kind of a product within its layer, from its weight's name: `output.bottleneck.dense`."""
    found = KIND.search(str(linear.weight.name))
    return found.group(2) if found else layer_of(linear.node)


def search(
    model: ir.Model,
    wanted: Callable[[Linear], bool],
    intervals: Mapping[int, Mapping[str, Interval]],
    feeds: Sequence[Feed],
    goal: float = BIT_SEARCH_GOAL,
) -> Plan:
    """Searches greedily from 8 bits everywhere towards 16 bits and float.

    The error of each layer alone and of each kind of product alone is measured first. Then, while the centred error of
    the whole graph is above `goal`, the candidate with the largest squared error per multiplication that would become
    slower gets 16 bits (or, if it is a layer that has them, becomes float), and the error is measured again; a change
    that hardly helps is undone.

    Args:
        model: A graph whose weights are rounded already; it is not modified.
        wanted: Returns whether a product is to be quantized.
        intervals: The intervals of the products' inputs and outputs, by number of bits and name.
        feeds: Calibration texts; the first `TEXTS` are used.
        goal: The centred error at which the search ends.
    """
    plan = Plan(wanted)
    products = [linear for node in model.graph if (linear := scaled_linear(node)) and wanted(linear)]
    layers = {layer_of(linear.node) for linear in products}
    work = Counter[str]()  # multiplications for each token, of each layer and kind
    for linear in products:
        work.update(dict.fromkeys(_groups(linear), linear.depth * linear.width))
    meter = _Meter(model, intervals, feeds[:TEXTS])
    plan.first = plan.error = meter.error(plan.bits)
    if plan.error <= goal:
        return plan
    waiting = {(what, WIDE): _Cost(meter.error(_only(plan.bits, what)), 0) for what in work}
    changes = 0
    while waiting and plan.error > goal:
        what, change = max(waiting, key=lambda key: waiting[key].alone ** 2 / work[key[0]])
        cost = waiting[what, change]
        if cost.after < changes:  # others have changed since, and may have reduced its error
            waiting[what, change] = _Cost(meter.error(_only(plan.bits, what)), changes)
            continue
        del waiting[what, change]
        chosen = plan.wide if change == WIDE else plan.floats
        chosen.add(what)
        error = meter.error(plan.bits)
        kept = error < (1 - LEAST_GAIN) * plan.error
        plan.trials.append(Trial(what, change, cost.alone, error, kept))
        if kept:
            plan.error, changes = error, changes + 1
        else:
            chosen.remove(what)
        if change == WIDE and what in layers:
            waiting[what, FLOAT] = _Cost(meter.error(_only(plan.bits, what)), changes)
    return plan


@dataclass(frozen=True)
class _Cost:
    """Error of a layer or kind of product alone, measured after `after` changes were kept."""

    alone: float
    after: int


def _groups(linear: Linear) -> set[str]:
    return {layer_of(linear.node), kind_of(linear)}


def _only(bits: Callable[[Linear], int | None], what: str) -> Callable[[Linear], int | None]:
    """Restricts `bits` to one layer or kind of product; all other products stay float."""
    return lambda linear: bits(linear) if what in _groups(linear) else None


class _Meter:
    """Meter of the centred error of a graph with some products in fewer bits, from the float graph."""

    def __init__(self, model: ir.Model, intervals: Mapping[int, Mapping[str, Interval]], feeds: Sequence[Feed]) -> None:
        self._model, self._intervals, self._feeds = model, intervals, feeds
        self._reference: list[Outputs] = list(map(runner(model), feeds))

    def error(self, bits: Callable[[Linear], int | None]) -> float:
        """Returns the mean error over texts, the largest over outputs; infinity if it is not finite."""
        model = self._model.clone()
        QuantizeStatic(self._intervals, bits, weights=False)(model)
        worst = float(centred_errors(runner(model), self._feeds, self._reference).mean(axis=0).max())
        return worst if np.isfinite(worst) else float("inf")
