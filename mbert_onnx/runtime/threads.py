"""Upper bound for threads, of all commands."""

from __future__ import annotations

from mbert_onnx.errors import UsageError

# onnxruntime and torch start the given number of threads at once: 25,000 hang a machine.
MAX_THREADS = 1024


def check_threads(*numbers: int) -> None:
    """Checks values of `--threads`. Raises UsageError for one outside of 1 to 1,024, and for no value."""
    for number in numbers:
        if not 1 <= number <= MAX_THREADS:
            raise UsageError(f"--threads is {number}; expected 1 to {MAX_THREADS:,}")
    if not numbers:
        raise UsageError("--threads has no value; expected whole numbers from 1 on")
