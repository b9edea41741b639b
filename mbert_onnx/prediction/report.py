"""Progress and report of a prediction."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Progress:
    """The state of a job that runs.

    Args:
        rows: Rows that are done, those of earlier runs of the command included; also those that are bad.
        done_before: How many of them earlier runs did.
        bad: Rows that cannot be processed.
        tokens: Tokens that the model has read in this run; 0 where they are not known.
        share: The share of the input's bytes that was read, 0 to 1.
        share_before: That of earlier runs.
        seconds: Time since this run began to answer.
    """

    rows: int
    done_before: int
    bad: int
    tokens: int
    share: float
    share_before: float
    seconds: float

    @property
    def remaining(self) -> float | None:
        """Seconds until the end at the speed of this run; None before its first result."""
        done = self.share - self.share_before
        return self.seconds * (1 - self.share) / done if done > 0 else None


@dataclass(frozen=True)
class PredictionReport:
    """Report of `predict`.

    Args:
        output: The file that was written.
        rows: How many rows it has.
        bad: How many rows could not be processed.
        errors: The file with their lines and reasons; None without any.
        truncated: How many texts were longer than the model reads.
        done_before: How many rows, good or bad, earlier runs of the command had done.
        tokens: How many tokens the model read in all runs; 0 where they are not known.
        seconds: How long this run took, in seconds.
    """

    output: str
    rows: int
    bad: int
    errors: str | None
    truncated: int
    done_before: int
    tokens: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
