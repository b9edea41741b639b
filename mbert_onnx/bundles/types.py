"""Type aliases: a model's inputs and outputs, a function that runs it, a progress callback."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

# Arrays by the names of a model's inputs or outputs.
Feed = Mapping[str, np.ndarray]
Outputs = Mapping[str, np.ndarray]

# Runs a model: inputs to outputs.
Runner = Callable[[Feed], Outputs]

# Called with one line, such as at the start of each stage.
Progress = Callable[[str], None]
