"""A given graph on sample inputs, and what makes it unfit to be compared with, such as NaN or random numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from graphs.errors import GraphError, NotRunnableError, one_line
from graphs.execution.inputs.feeds import feeds_that_run
from graphs.execution.nonfinite import nonfinite_cause, nonfinite_output, nonfinite_weight
from graphs.execution.repeatability import batch_statistics, described, differing_output, random_operators
from graphs.execution.runner import runner
from graphs.execution.types import Feed, Outputs, Runner

# A graph is run again so often on the same inputs; one that draws random numbers more often, since it may draw few.
REPEATS = 1
REPEATS_OF_RANDOM = 4

RE_EXPORT = "export it again"


def run_given(
    model: ir.Model, *, optimized: bool = False, refuse: bool = True
) -> tuple[list[dict[str, np.ndarray]], list[Outputs]]:
    """Runs a given graph on sample inputs, each more than once.

    Args:
        model: The graph; it is not modified.
        optimized: Whether onnxruntime applies its default optimizations.
        refuse: Whether a graph that nothing can be compared with raises: one with a number that is NaN or infinite, one
            that does not compute the same twice, or one whose answers depend on the other texts of a batch.

    Returns:
        Feeds that the graph takes, and its outputs.

    Raises GraphError if onnxruntime does not run the graph, or for the reasons of `refuse`.
    """
    if refuse:
        _check_nodes(model)
    try:
        run = runner(model, optimized=optimized)
        feeds, outputs = feeds_that_run(model, run)
    except Exception as error:  # onnxruntime's errors have no common class
        # An input without a shape was fed in the usual one.
        shapeless = any(one.shape is None and not one.is_initializer() for one in model.graph.inputs)
        advice = "export it again, with the shapes of its inputs, which it does not declare" if shapeless else RE_EXPORT
        raise NotRunnableError(f"onnxruntime does not run the graph as it is ({one_line(error)}); {advice}") from error
    if refuse:
        _check_finite(model, feeds, outputs)
        _check_repeatable(model, run, feeds, outputs)
    return feeds, outputs


def _check_nodes(model: ir.Model) -> None:
    normalized = batch_statistics(model)
    if normalized:
        raise GraphError(
            f"{normalized} BatchNormalization nodes are in training mode, so an answer depends on the other texts of "
            "its batch; expected inference: export it again after model.eval()"
        )
    weight = nonfinite_weight(model)
    if weight is not None:
        raise GraphError(f"the given graph's weight {weight}; repair the model, or export it again")


def _check_finite(model: ir.Model, feeds: Sequence[Feed], outputs: Sequence[Outputs]) -> None:
    for feed, found in zip(feeds, outputs, strict=True):
        bad = nonfinite_output(found, feed)
        if bad is not None:
            cause = nonfinite_cause(model, feed)
            where = f" ({cause})" if cause else ""
            raise GraphError(
                f"the given graph's {bad} on sample inputs{where}, so nothing can be verified; repair the model, or "
                "export it again"
            )


def _check_repeatable(model: ir.Model, run: Runner, feeds: Sequence[Feed], outputs: Sequence[Outputs]) -> None:
    random = random_operators(model)
    for _ in range(REPEATS_OF_RANDOM if random else REPEATS):
        differing = differing_output(run, feeds, outputs)
        if differing is not None:
            name, error = differing
            raise GraphError(
                f"the given graph does not compute the same twice: two runs on the same inputs differ in {name} "
                f"(centred error {error:.1e}){described(random)}; export it again after model.eval()"
            )
