"""Upper bounds of threads, batches and lengths, of all commands."""

from __future__ import annotations

from mbert_onnx.errors import UsageError

# onnxruntime and torch start the given number of threads at once: 25,000 hang a machine.
MAX_THREADS = 1024

# They catch mistyped numbers, before inputs of these sizes fill the memory.
MAX_BATCH, MAX_SEQ_LEN = 1024, 2**20

# Upper bound of `bench --first`: every text is timed several times with every model.
MAX_TEXTS = 1_000_000


def check_threads(*numbers: int) -> None:
    """Checks values of `--threads`. Raises UsageError for one outside of 1 to 1,024, and for no value."""
    for number in numbers:
        if not 1 <= number <= MAX_THREADS:
            raise UsageError(f"--threads is {number}; expected 1 to {MAX_THREADS:,}")
    if not numbers:
        raise UsageError("--threads has no value; expected whole numbers from 1 on")
