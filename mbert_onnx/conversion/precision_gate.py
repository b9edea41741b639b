"""The accuracy gate of lower precisions: refuses a graph that differs too much from its float64 judge."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir

from graphs.errors import one_line
from graphs.execution.runner import run_file, runner
from graphs.ledger import Outcome
from graphs.model.precision_of import has_halves, precision_of, quantized_operators
from graphs.precision.float16 import rounded
from graphs.reports.layer_errors import damage_by_layer
from mbert_onnx.bundles.ports import Ports
from mbert_onnx.bundles.types import Feed, Runner
from mbert_onnx.conversion.comparison.accuracy import agreement_text
from mbert_onnx.conversion.damage import MIN_AGREEMENT, WORST_LAYERS, Damage, measure_damage
from mbert_onnx.conversion.file_runner import file_runner
from mbert_onnx.conversion.precision import Calibration, PrecisionOptions
from mbert_onnx.errors import PrecisionError
from mbert_onnx.text.tasks import Task

# The damage of each layer is measured on this many texts only, since there are two dozen layers.
LAYER_TEXTS = 4


def check_is_float32(graph: ir.Model, path: Path, why: str) -> None:
    """Raises PrecisionError for a graph that is in a lower precision already."""
    found = "int8" if quantized_operators(graph) else "fp16" if has_halves(graph) else None
    if found is not None:
        raise PrecisionError(f"{path} is {found} already, and {why}: give the float32 file that it was made from")


def check_is_lowered(graph: ir.Model, precision: str, name: str) -> None:
    """Raises PrecisionError for a graph in which the passes lowered nothing.

    Args:
        graph: The graph after the passes.
        precision: `fp16` or `int8`.
        name: The checkpoint or file, for the message.
    """
    if precision_of(graph) != precision:
        raise PrecisionError(
            f"{name}: nothing became {precision}, nothing is written; expected float32 products of 32 inputs and "
            "outputs or more, and that --only, --skip and --keep-float leave some"
        )


@dataclass(frozen=True)
class PrecisionGate:
    """Measures the accuracy loss of a lower-precision graph on held-out texts, and refuses one that loses too much.

    Args:
        name: The checkpoint or file, for messages.
        task: The model's task.
        target: `cpu`, `mobile` or `web`.
        options: The precision, and the smallest agreement that passes.
        texts: Calibration and held-out texts.
        float32: The graph before it was lowered; used up when the damage of each layer is measured.
        judge: Runs the same model in float64.
        binding: Whether a graph that loses too much is refused. Random weights: the argmax is unstable, so the gate
            reports and does not refuse.
        is_float64: Whether the judge is in float64; else it is the float32 file itself.
        ports: The file's own names, where they are not transformers'.
    """

    name: str
    task: Task
    target: str
    options: PrecisionOptions
    texts: Calibration
    float32: ir.Model
    judge: Runner
    binding: bool
    is_float64: bool = True
    ports: Ports = field(default_factory=Ports)

    def check(self, outcome: Outcome, file: Path, library: Path | None = None) -> tuple[Damage, list[str]]:
        """Returns the damage of a lowered graph, and notes for the user, a line each.

        Args:
            outcome: The lowered graph.
            file: The file to which it was written.
            library: Native kernels, with which the file is measured, too; None where none of them computes any of it.

        Raises PrecisionError where it loses too much, or the file does not run.
        """
        damage = self._measure(outcome.model, file, library)
        self._refuse(damage, outcome)
        check_runs(file, self.texts.held_out[0], self.ports)
        return damage, self._notes(damage)

    def _notes(self, damage: Damage) -> list[str]:
        notes = list(self.texts.notes)
        others = {name: known for name, known in self.ports.outputs.items() if name != known}
        if others:
            names = ", ".join(f"{name} as {known}" for name, known in others.items())
            notes.append(f"outputs taken by their names or shapes: {names}; --outputs chooses others")
        if not self.is_float64:
            notes.append("the judge is the file in its own float32: onnxruntime has no float64 of it")
        if not damage.passed:
            notes.append(f"random weights: the argmax is unstable, so {damage.precision} is not refused for them")
        return notes

    def _measure(self, model: ir.Model, file: Path, library: Path | None) -> Damage:
        lowered = precision_runner(model, self.options.precision)
        damage = self._damage_of(lambda feed: self.ports.named(lowered(feed)))
        if library is None:
            return damage
        native = self._damage_of(file_runner(file, self.task, library).run)
        if native.nonfinite and not damage.nonfinite:
            raise PrecisionError(
                f"{self.name}: {native.nonfinite[0]} is NaN or infinite with the native kernels, nothing is written; "
                "this is our mistake: pass --kernels portable to export without them"
            )
        return damage.with_kernels(native)

    def _damage_of(self, run: Runner) -> Damage:
        options = self.options
        return measure_damage(
            lambda feed: self.ports.named(self.judge(feed)),
            run,
            self.texts.held_out,
            self.task,
            precision=options.precision,
            calibration=self.texts.source,
            min_agreement=MIN_AGREEMENT if options.min_agreement is None else options.min_agreement,
            keep_float=options.keep_float,
            binding=self.binding,
            texts=self.texts.texts,
        )

    def _refuse(self, damage: Damage, outcome: Outcome) -> None:
        """Raises PrecisionError where the damage is too large; its message names the layers that cost most.

        Numbers that are not finite are refused for random weights, too.
        """
        if damage.passed or not (damage.binding or damage.nonfinite):
            return
        costs = damage_by_layer(
            self.float32,
            damage.precision,
            self.texts.fit,
            self.texts.held_out[:LAYER_TEXTS],
            target=self.target,
            plan=outcome.plan,
        )
        # NaN, of a layer that alone overflows, is the largest error.
        worst = sorted(costs, key=lambda layer: -np.nan_to_num(costs[layer], nan=np.inf))[:WORST_LAYERS]
        layers = ", ".join(f"{layer} ({costs[layer]:.1e})" for layer in worst)
        if damage.nonfinite:
            bad = f"{' and '.join(damage.nonfinite)} {'is' if len(damage.nonfinite) == 1 else 'are'}"
            raise PrecisionError(
                f"{self.name}: in {damage.precision}, {bad} NaN or infinite on the "
                f"held-out texts; nothing is written. The layers that cost most: {layers}. Pass --keep-float "
                f"{','.join(worst)}, or calibrate on texts like your own"
            )
        raise PrecisionError(
            f"{self.name}: {damage.precision} has "
            f"{agreement_text(damage.agreement, damage.decisions, damage.cosines)} to float64's "
            f"(centred error {damage.error:.1e}), expected at least {damage.wanted}; nothing is "
            f"written. The layers that cost most: {layers}. Pass --keep-float {','.join(worst)}, calibrate on texts "
            "like your own, or lower --min-agreement"
        )


def check_runs(path: Path, feed: Feed, ports: Ports | None = None) -> None:
    """Runs a lower-precision file with onnxruntime's default optimizations.

    Raises PrecisionError if it does not load or run, or an output is not finite float32.
    """
    try:
        outputs = run_file(path, feed, None if ports is None else ports.own_inputs)
    except Exception as error:  # onnxruntime's errors have no common class
        raise PrecisionError(
            f"the file does not run in onnxruntime ({one_line(error)}), nothing is written; this is our mistake"
        ) from error
    for name, value in outputs.items():
        if value.dtype.kind == "f" and (value.dtype != np.float32 or not np.isfinite(value).all()):
            raise PrecisionError(
                f"the file's {name} is {value.dtype}, or not finite, expected finite float32; nothing is written"
            )


def precision_runner(model: ir.Model, precision: str) -> Runner:
    """Returns a function that runs a lower-precision graph as hardware with that precision does.

    fp16 is rounded after every node: onnxruntime on a CPU would compute much of it in float32.
    """
    return runner(rounded(model)) if precision == "fp16" else runner(model, optimized=True)
