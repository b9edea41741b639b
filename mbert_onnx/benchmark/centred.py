"""The centred error of a model's outputs, as a bench asks for it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphs.execution.judge import centred_error


def largest_centred_error(
    found: Mapping[str, np.ndarray], judge: Mapping[str, np.ndarray], feed: Mapping[str, np.ndarray]
) -> float:
    """The largest over the outputs; NaN if something is, infinite where an output is missing or of another shape."""
    return max(
        (
            centred_error(found[name], value, feed.get("attention_mask"))
            if name in found and found[name].shape == value.shape
            else float("inf")
            for name, value in judge.items()
        ),
        default=0.0,
        key=lambda error: np.inf if np.isnan(error) else error,
    )
