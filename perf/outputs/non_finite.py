"""Outputs that are NaN or infinite: a model that gives them does not compute what it was made for."""

from __future__ import annotations

import numpy as np

from perf.sessions.types import Feed, Outputs


def non_finite(outputs: Outputs, feed: Feed) -> list[str]:
    """Returns the names of the floating-point outputs with a value that is NaN or infinite, in their order.

    Args:
        outputs: Outputs by name.
        feed: The inputs; an `attention_mask` among them marks padding, whose values do not count in outputs of tokens.
    """
    mask = feed.get("attention_mask")
    return [
        name
        for name, values in outputs.items()
        if values.dtype.kind == "f" and not np.isfinite(_of_tokens(values, mask)).all()
    ]


def _of_tokens(values: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    if mask is None or values.shape[: mask.ndim] != mask.shape:
        return values
    return values[mask.astype(bool)]
