"""Statistics of batches: texts, tokens and runs, and the seconds of each stage."""

from __future__ import annotations

from dataclasses import astuple, dataclass


@dataclass
class BatchStatistics:
    """Statistics of batches, which jobs and `RowRunner` add to.

    Args:
        texts: Inputs, refused ones included.
        rows: Rows that were run: windows, choices.
        tokens: Their tokens, special tokens included and padding excluded.
        padded_tokens: The same with padding, and with the rows that fill a fixed batch.
        runs: Runs of the session.
        tokenizing: Seconds in which texts became rows.
        batching: Seconds in which rows became arrays.
        model: Seconds in which the session ran.
        finishing: Seconds in which outputs became results.
    """

    texts: int = 0
    rows: int = 0
    tokens: int = 0
    padded_tokens: int = 0
    runs: int = 0
    tokenizing: float = 0.0
    batching: float = 0.0
    model: float = 0.0
    finishing: float = 0.0

    def __add__(self, other: BatchStatistics) -> BatchStatistics:
        return BatchStatistics(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))
