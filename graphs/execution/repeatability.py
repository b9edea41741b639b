"""Repeatability of a graph: whether two runs on the same inputs give the same outputs, and what makes them differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from graphs.execution.centred_error import centred_error
from graphs.execution.error_bounds import BETWEEN_RUNS
from graphs.execution.types import Feed, Outputs, Runner

# Operators whose outputs are random numbers. (onnxruntime has its own, such as BiasDropout.)
RANDOM = (
    *("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"),
    *("Dropout", "BiasDropout", "BitmaskDropout", "BitmaskBiasDropout"),
)


def random_operators(model: ir.Model) -> Counter[str]:
    """Counts the nodes that draw random numbers, in subgraphs and functions, too, by operator.

    A Dropout whose mode is constantly off is none.
    """
    nodes = [node for graph in model.graphs() for node in graph]
    nodes += [node for function in model.functions.values() for node in function]
    return Counter(node.op_type for node in nodes if node.op_type in RANDOM and not _is_off(node))


def batch_statistics(model: ir.Model) -> int:
    """Counts the BatchNormalization nodes in training mode, which normalize a text by the others of its batch."""
    nodes = [node for graph in model.graphs() for node in graph]
    nodes += [node for function in model.functions.values() for node in function]
    return sum(n.op_type == "BatchNormalization" and n.attributes.get_int("training_mode", 0) == 1 for n in nodes)


def described(random: Mapping[str, int]) -> str:
    """Returns a clause that names the operators that draw random numbers; an empty string if there are none."""
    if not random:
        return ""
    return ", since it draws random numbers in " + ", ".join(f"{n} {name}" for name, n in sorted(random.items()))


def differing_output(run: Runner, feeds: Sequence[Feed], first: Sequence[Outputs]) -> tuple[str, float] | None:
    """Runs a model again, in the same session; returns the output that differs most, and by which centred error.

    A generator with a constant seed repeats itself in each new session, but not within one.

    Args:
        run: Runs the model.
        feeds: The inputs of the first run.
        first: Its outputs, which are finite.

    Returns:
        None if no output differs by more than the order of sums explains.
    """
    worst, name = 0.0, ""
    for feed, before in zip(feeds, first, strict=True):
        again = run(feed)
        for output, values in before.items():
            same_shape = again[output].shape == values.shape  # not if a random number is a size
            error = centred_error(again[output], values, feed.get("attention_mask")) if same_shape else np.inf
            if not error <= worst:  # true for NaN
                worst, name = float(error), output
    return (name, worst) if not worst <= BETWEEN_RUNS else None


def _is_off(node: ir.Node) -> bool:
    """Returns whether a Dropout is off: without an input that says so it is."""
    if node.op_type != "Dropout":
        return False
    mode = node.inputs[2] if len(node.inputs) > 2 else None
    tensor = None if mode is None else ir.convenience.get_const_tensor(mode)
    return mode is None or (tensor is not None and not tensor.numpy().any())
