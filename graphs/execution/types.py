"""Type aliases: a model's inputs and outputs by name, and a function that runs a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

Feed = Mapping[str, np.ndarray]
"""Arrays by the names of a model's inputs."""

Outputs = Mapping[str, np.ndarray]
"""Arrays by the names of a model's outputs."""

Runner = Callable[[Feed], Outputs]
"""Runs a model: from inputs to outputs."""
