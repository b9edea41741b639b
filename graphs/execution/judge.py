"""Judge of rewritten graphs: the given graph in float64, and the error of others from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx_ir as ir

from graphs.errors import GraphError, one_line
from graphs.execution.centred_error import centred_error
from graphs.execution.error_bounds import float32_bound
from graphs.execution.float64 import widen
from graphs.execution.inputs.feeds import feeds_that_run
from graphs.execution.runner import run, run_file, runner
from graphs.execution.types import Feed, Outputs, Runner


@dataclass
class Judge:
    """Comparison of graphs with the given one, computed in float64, on the same inputs.

    Args:
        feeds: Inputs by name.
        reference: The outputs of each feed: in float64 where onnxruntime can run that, else in the graph's own types.
        given: The centred error of the given graph; None where the graph itself is the reference.
    """

    feeds: list[dict[str, np.ndarray]]
    reference: list[Outputs] = field(default_factory=list)
    given: float | None = None

    @classmethod
    def of(cls, model: ir.Model) -> Judge:
        """Builds the judge of the graphs that a model is rewritten to; the model is not modified.

        Raises GraphError if onnxruntime does not run the model.
        """
        feeds, own = _first_that_runs(model)
        judge = cls(feeds, own)
        try:
            wide = model.clone()
            widen(wide)
            judge.reference = [run(wide, _wide(feed)) for feed in feeds]
            judge.given = judge._error_of(own)
        except Exception:  # an operator that onnxruntime has in float32 only
            judge.reference = own
        if judge.given is not None and not np.isfinite(judge.given):
            judge.reference, judge.given = own, None
        return judge

    @property
    def bound(self) -> float:
        """The largest error that passes."""
        return float32_bound(self.given)

    def error(self, model: ir.Model, feeds: int | None = None) -> float:
        """Returns the centred error of a model, the largest over outputs and feeds; NaN if one is NaN.

        Args:
            model: The model under test.
            feeds: Use only this many of the feeds.

        Raises GraphError if onnxruntime does not run it, or its outputs differ in name or shape.
        """
        try:
            found = [run(model, feed) for feed in self.feeds[:feeds]]
        except Exception as error:
            raise GraphError(
                f"the rewritten graph does not run in onnxruntime ({one_line(error)}); this is our mistake"
            ) from error
        return self._error_of(found)

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
        return self._error_of(found)

    def _error_of(self, found: Sequence[Outputs]) -> float:
        worst = 0.0
        for outputs, reference, feed in zip(found, self.reference, self.feeds, strict=False):
            for name, judge in reference.items():
                if name not in outputs:
                    raise GraphError(f"the output {name} is missing; expected the outputs {', '.join(reference)}")
                if outputs[name].shape != judge.shape:
                    raise GraphError(f"{name} has the shape {outputs[name].shape}, not {judge.shape}")
                error = centred_error(outputs[name], judge, feed.get("attention_mask"))
                worst = float(np.maximum(worst, error))  # which keeps NaN
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
        raise GraphError(f"onnxruntime does not run the graph as it is ({one_line(error)}); export it again") from error
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


def _first_that_runs(model: ir.Model) -> tuple[list[dict[str, np.ndarray]], list[Outputs]]:
    """Returns feeds that the model takes, and its outputs."""
    try:
        return feeds_that_run(model, runner(model))
    except Exception as error:  # onnxruntime's errors have no common class
        raise GraphError(f"onnxruntime does not run the graph as it is ({one_line(error)}); export it again") from error


def _wide(feed: Feed) -> dict[str, np.ndarray]:
    return {k: v.astype(np.float64) if v.dtype == np.float32 else v for k, v in feed.items()}
