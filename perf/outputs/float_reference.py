"""Error of a model of lower precision: its distance from the float model that it was built from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from perf.outputs.measure import Measure
from perf.providers import CPU
from perf.sessions.inputs import as_declared, declared_inputs
from perf.sessions.runtimes import ONNXRUNTIME, runtime_named
from perf.sessions.session import first_run
from perf.sessions.types import Feed, Outputs

ERROR_SEQ_LEN = 128
"""Tokens: long enough for a mean over tokens, and a usual length of a benchmark."""


def error_seq_len(seq_lens: Sequence[int]) -> int:
    """Returns the length at which errors are measured: 128 tokens if it is benchmarked, else the longest one."""
    return ERROR_SEQ_LEN if ERROR_SEQ_LEN in seq_lens else max(seq_lens)


def reference_error(reference: Path, outputs: Outputs, feed: Feed, measure: Measure, threads: int = 1) -> float:
    """Returns the error of a model's outputs from those of its float model; infinity where it is not finite.

    Args:
        reference: The float model's `.onnx`, which runs in onnxruntime on the CPU.
        outputs: The model's outputs by name.
        feed: The model's inputs; the float model gets the same, in the types that it takes.
        measure: Computes the centred error.
        threads: The number of onnxruntime's threads within an operator.

    Raises PerfError if the float model does not run on these inputs.
    """
    session = runtime_named(ONNXRUNTIME).open_session(reference, CPU, threads)
    same = as_declared(reference.name, feed, declared_inputs(session))
    error = measure(outputs, first_run(reference.name, session, same), feed)
    return error if math.isfinite(error) else math.inf
