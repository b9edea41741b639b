"""How far a model of a lower precision is from the float model that it was made from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from perf.providers import CPU
from perf.sessions.inputs import as_declared, declared_inputs
from perf.sessions.runtimes import ONNXRUNTIME, runtime_named
from perf.sessions.session import first_run

ERROR_SEQ_LEN = 128
"""In tokens: long enough for a mean over tokens, and a length that most people bench."""

Arrays = Mapping[str, np.ndarray]

Measure = Callable[[Arrays, Arrays, Arrays], float]
"""From a model's outputs, those of the float model, and the inputs, to how far they are apart."""


def error_seq_len(seq_lens: Sequence[int]) -> int:
    """The length at which errors are measured: 128 tokens if that is among those benched, else the longest."""
    return ERROR_SEQ_LEN if ERROR_SEQ_LEN in seq_lens else max(seq_lens)


def reference_error(reference: Path, outputs: Arrays, feed: Arrays, measure: Measure, threads: int = 1) -> float:
    """How far a model's outputs are from those of its float model; infinite where that is no number.

    Args:
        reference: The float model's `.onnx`, which runs in onnxruntime on the CPU.
        outputs: The model's.
        feed: What it was fed; the float model gets the same, in the types that it takes.
        measure: How far outputs are apart.
        threads: Of onnxruntime.

    Raises PerfError for a float model that does not run on that.
    """
    session = runtime_named(ONNXRUNTIME).open_session(reference, CPU, threads)
    same = as_declared(reference.name, feed, declared_inputs(session))
    error = measure(outputs, first_run(reference.name, session, same), feed)
    return error if math.isfinite(error) else math.inf
