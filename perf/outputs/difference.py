"""Distance between the outputs of two models that read the same inputs."""

from __future__ import annotations

import math

from perf.outputs.measure import Measure
from perf.sessions.types import Feed, Outputs

TEXT = "text"
"""The input of a model that reads texts, and not token ids."""


def difference(found: Outputs, first: Outputs, feed: Feed, measure: Measure | None) -> float | None:
    """Returns how far outputs are from those of the first model, over the floating-point outputs that both have.

    Args:
        found, first: Outputs by name.
        feed: The inputs; an `attention_mask` among them marks padding, which is not compared.
        measure: Computes the centred error; None if it is not wanted.

    Returns:
        Infinity where the error is not finite; None where no floating-point output has a name in common, where the
        models answer texts, or where nothing measures it.
    """
    if TEXT in feed:  # an answer's scores are in the order of its own ranks
        return None
    shared = [name for name in first if name in found and first[name].dtype.kind == "f"]
    if measure is None or not shared:
        return None
    error = measure({name: found[name] for name in shared}, {name: first[name] for name in shared}, feed)
    return error if math.isfinite(error) else math.inf
