"""Judge of rewritten graphs: the given graph in float64, and the error of others from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir

from graphs.errors import GraphError, NotRunnableError, one_line
from graphs.execution.centred_error import centred_error
from graphs.execution.error_bounds import BETWEEN_INT8, FLOAT32_FACTOR, float32_bound
from graphs.execution.float64 import widen
from graphs.execution.given_graph import run_given
from graphs.execution.runner import run_file, runner
from graphs.execution.types import Feed, Outputs, Runner
from graphs.model.precision_of import quantized_operators


@dataclass
class Judge:
    """Comparison of graphs with the given one, computed in float64, on the same inputs.

    Args:
        feeds: Inputs by name.
        reference: The outputs of each feed: in float64 where onnxruntime can run that, else in the graph's own types.
        given: The centred error of the given graph; None where the graph itself is the reference.
        quantized: Whether the graph has products in 8 bits. onnxruntime computes these differently in its
            optimizations, so both sides run with them.
        worst: The output with the largest error in the last comparison.
    """

    feeds: list[dict[str, np.ndarray]]
    reference: list[Outputs] = field(default_factory=list)
    given: float | None = None
    quantized: bool = False
    worst: str = ""

    @classmethod
    def of(cls, model: ir.Model, *, refuse: bool = True) -> Judge:
        """Builds the judge of the graphs that a model is rewritten to; the model is not modified.

        Args:
            model: The given graph.
            refuse: Whether a graph that nothing can be compared with raises; False for callers that check that
                themselves, or compare nothing.

        Raises GraphError if onnxruntime does not run the model, and as `run_given` does.
        """
        quantized = bool(quantized_operators(model))
        feeds, own = run_given(model, optimized=quantized, refuse=refuse)
        judge = cls(feeds, own, quantized=quantized)
        if quantized:
            return judge
        try:
            wide = model.clone()
            widen(wide)
            run_wide = runner(wide)
            judge.reference = [run_wide(_wide(feed)) for feed in feeds]
            judge.given = judge.error_of(own)
        except Exception:  # an operator that onnxruntime has in float32 only
            judge.reference = own
        if judge.given is not None and not np.isfinite(judge.given):
            judge.reference, judge.given = own, None
        return judge

    @property
    def bound(self) -> float:
        """The largest error that passes."""
        return BETWEEN_INT8 if self.quantized else float32_bound(self.given)

    def error(self, model: ir.Model, feeds: int | None = None) -> float:
        """Returns the centred error of a model, the largest over outputs and feeds; NaN if a value is not finite.

        Args:
            model: The model under test.
            feeds: Use only this many of the feeds.

        Raises GraphError if onnxruntime does not run it, or its outputs differ in name or shape.
        """
        try:
            run = runner(model, optimized=self.quantized)
            found = [run(feed) for feed in self.feeds[:feeds]]
        except Exception as error:
            raise GraphError(
                f"the rewritten graph does not run in onnxruntime ({one_line(error)}); this is our mistake"
            ) from error
        return self.error_of(found)

    def error_of_file(self, path: Path, own_names: Mapping[str, str] | None = None) -> float:
        """Returns the centred error of a file, run with onnxruntime's default optimisations; see `error`.

        Args:
            path: The file.
            own_names: The file's own names of inputs, by those of the feeds, where they differ.

        Raises GraphError if onnxruntime does not load or run it.
        """
        try:
            found = [run_file(path, feed, own_names) for feed in self.feeds]
        except Exception as error:
            raise GraphError(
                f"the optimised file does not run in onnxruntime ({one_line(error)}); this is our mistake"
            ) from error
        return self.error_of(found)

    def refusal(self, subject: str, error: float) -> str:
        """Returns why a graph or file with this error in the last comparison is refused."""
        if np.isnan(error):
            return f"{subject} is not the same model: {self.worst} is NaN or infinite, but not in the given graph"
        found = f"centred error {error:.1e} in {self.worst}, bound {self.bound:.1e}"
        if self.given is not None and error <= FLOAT32_FACTOR * self.given:
            return (
                f"float32 does not hold the given graph, which is {self.given:.1e} from itself in float64, so that "
                f"{subject} cannot be verified: {found}"
            )
        return f"{subject} is not the same model: {found}"

    def error_of(self, found: Sequence[Outputs]) -> float:
        """Returns the centred error of outputs for the judge's feeds, or the first of them; see `error`."""
        worst = 0.0
        for outputs, reference, feed in zip(found, self.reference, self.feeds, strict=False):
            for name, judge in reference.items():
                if name not in outputs:
                    raise GraphError(f"the output {name} is missing; expected the outputs {', '.join(reference)}")
                if outputs[name].shape != judge.shape:
                    raise GraphError(f"{name} has the shape {outputs[name].shape}, not {judge.shape}")
                error = centred_error(outputs[name], judge, feed.get("attention_mask"))
                if not error <= worst and not np.isnan(worst):  # true for NaN
                    worst, self.worst = error, name
        return worst


def float64_runner(model: ir.Model, feed: Feed) -> tuple[Runner, bool]:
    """Returns a function that runs a model in float64, and True; or in its own types, and False, if it cannot.

    Args:
        model: The reference model; it is not modified.
        feed: Inputs to try it with.

    Raises GraphError if onnxruntime does not run the model with them.
    """
    try:
        own = runner(model)
        single = own(feed)
    except Exception as error:  # onnxruntime's errors have no common class
        raise NotRunnableError(
            f"onnxruntime does not run the graph as it is ({one_line(error)}); export it again"
        ) from error
    wide = model.clone()
    widen(wide)
    try:
        found = runner(wide)
        double = found(_wide(feed))
    except Exception:  # an operator that onnxruntime has in float32 only
        return own, False
    if any(np.isfinite(single[name]).all() and not np.isfinite(value).all() for name, value in double.items()):
        return own, False
    return lambda other: found(_wide(other)), True


def _wide(feed: Feed) -> dict[str, np.ndarray]:
    return {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in feed.items()}
