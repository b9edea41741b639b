"""Types that the whole package shares: arrays by name, and the progress callback."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

Feed = Mapping[str, np.ndarray]
"""A model's inputs by name, [batch, seq] or [batch, choices, seq]."""

Outputs = Mapping[str, np.ndarray]
"""A model's outputs by name."""

Feeds = Mapping[str, Mapping[int, dict[str, np.ndarray]]]
"""The inputs of all models, by the model's name and by length in tokens."""

Progress = Callable[[str], None]
"""Called with one line at the start of each stage."""


def no_progress(_: str) -> None:
    """No-op progress callback."""
