"""Which products of a graph with known steps can have activations of 8 bits, which need 16, and which stay float."""

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
from graphs.execution.runner import Feed, Outputs, runner
from graphs.ir.layer_names import LAYER, layer_of
from graphs.ir.linear import Linear
from graphs.passes.lower.quantize_static import QuantizeStatic
from graphs.precision.channel_groups import scaled_linear
from graphs.precision.int8 import Interval

# A change must take this share off the error, or it is taken back: 16 bits and float are slow.
LEAST_GAIN = 0.02

# Texts that the error is measured on.
TEXTS = 4

# What a layer or kind of product can become.
WIDE, FLOAT = "16 bits", "float"

# What stands between a layer's name and `weight` in the name of a weight.
KIND = re.compile(rf"{LAYER.pattern}\.([\w.]+?)\.weight\b")


@dataclass(frozen=True)
class Trial:
    """One line of the search.

    Args:
        what: A layer, such as `layer.3`, or the same product of all layers, such as `output.bottleneck.dense`.
        change: What its activations would become: WIDE or FLOAT.
        alone: The centred error that its 8 bits cost by themselves, where all others are float.
        error: That of the whole graph with the change.
        kept: Whether it was made.
    """

    what: str
    change: str
    alone: float
    error: float
    kept: bool


@dataclass
class Plan:
    """How many bits the activations of each product have.

    Args:
        wanted: Whether a product is to be quantized at all.
        wide: Layers, and kinds of products in all layers, whose activations have 16 bits.
        floats: Layers that stay float.
        first: The centred error of 8 bits everywhere, from the float graph.
        error: That of the plan.
        trials: The search.
    """

    wanted: Callable[[Linear], bool]
    wide: set[str] = field(default_factory=set)
    floats: set[str] = field(default_factory=set)
    first: float = 0.0
    error: float = 0.0
    trials: list[Trial] = field(default_factory=list)

    def bits(self, linear: Linear) -> int | None:
        """8, 16, or None for float."""
        layer = layer_of(linear.node)
        if layer in self.floats or not self.wanted(linear):
            return None
        return 16 if _groups(linear) & self.wide else 8

    def as_dict(self) -> dict[str, Any]:
        """For a file."""
        return {
            "16 bits": sorted(self.wide),
            "float": sorted(self.floats),
            "error of 8 bits": self.first,
            "error": self.error,
            "search": [asdict(trial) for trial in self.trials],
        }


def kind_of(linear: Linear) -> str:
    """Which product of its layer one is, as its weight is named: `output.bottleneck.dense`."""
    found = KIND.search(str(linear.weight.name))
    return found.group(2) if found else layer_of(linear.node)


def search(
    model: ir.Model,
    wanted: Callable[[Linear], bool],
    intervals: Mapping[int, Mapping[str, Interval]],
    feeds: Sequence[Feed],
    goal: float = BIT_SEARCH_GOAL,
) -> Plan:
    """Goes from 8 bits everywhere towards 16 bits and float, always where that is expected to help most.

    What each layer and each kind of product costs alone is measured first. Then, while the whole is farther from the
    float graph than `goal`, the one whose squared error is largest for the multiplications that would become slower
    gets 16 bits (or, if it is a layer that has them, becomes float), and the error is measured anew; a change that
    hardly helps is taken back.

    Args:
        model: A graph whose weights are rounded already; left as it was.
        wanted: Which of its products are to be quantized.
        intervals: Of the values that they read and write.
        feeds: Texts; some of those that it was calibrated on.
        goal: Centred error.
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
        if cost.after < changes:  # others have changed since, and what it costs may have gone with them
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
    """What a layer or kind of product costs alone, measured after so many changes."""

    alone: float
    after: int


def _groups(linear: Linear) -> set[str]:
    return {layer_of(linear.node), kind_of(linear)}


def _only(bits: Callable[[Linear], int | None], what: str) -> Callable[[Linear], int | None]:
    """One layer or kind of product alone."""
    return lambda linear: bits(linear) if what in _groups(linear) else None


class _Meter:
    """Measures how far a graph is from itself, with some products in fewer bits."""

    def __init__(self, model: ir.Model, intervals: Mapping[int, Mapping[str, Interval]], feeds: Sequence[Feed]) -> None:
        self._model, self._intervals, self._feeds = model, intervals, feeds
        self._reference: list[Outputs] = list(map(runner(model), feeds))

    def error(self, bits: Callable[[Linear], int | None]) -> float:
        """The mean over texts, the largest over outputs; infinite if something is not finite."""
        model = self._model.clone()
        QuantizeStatic(self._intervals, bits, weights=False)(model)
        worst = float(centred_errors(runner(model), self._feeds, self._reference).mean(axis=0).max())
        return worst if np.isfinite(worst) else float("inf")
