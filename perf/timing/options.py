"""Options of a benchmark, and their checks."""

from __future__ import annotations

from dataclasses import dataclass

from perf.errors import PerfUsageError
from perf.providers import named

# Upper bounds that catch mistyped numbers, before inputs of these sizes fill the memory. The length of a model's own
# positions is checked later; the budget is a day.
MAX_BATCH, MAX_THREADS, MAX_SEQ_LEN, MAX_BUDGET_S = 1024, 1024, 2**20, 86_400

SEQ_LENS = (8, 32, 128, 384)
"""Default lengths in tokens: a query, a sentence, a paragraph, and SQuAD's usual window."""


@dataclass(frozen=True)
class BenchOptions:
    """Options of a benchmark; checked when it is created, without opening a model.

    Args:
        provider: The execution provider's short name or onnxruntime's own.
        seq_lens: Lengths in tokens; None: 8, 32, 128 and 384, or the length of models with fixed shapes. Those
            that a model does not take are left out, with a note.
        batch: Sequences per run, 1 to 1,024.
        ragged: Lengths in tokens of the texts of a batch that is timed, too, padded to the longest, 2 to 1,024 texts.
            Without `seq_lens`, the longest of them is then the only other length.
        threads: Numbers of onnxruntime's threads within an operator, 1 to 1,024.
        precision: Target for the 95 % interval of every median, as a share of it: timing of a cell ends when all are
            within ± this share,
        budget_s: or when its timed rounds took this many seconds, at most a day, over all subjects and repetitions. At
            least 12 rounds are run; loading, warm-up (up to a quarter of this) and repeats of disturbed repetitions
            come on top. Four lengths and two numbers of threads are eight cells.
        seed: Seed of the ids and of the order within a round.
        profile: Whether to measure the machine's peak speed and the time that each model spends in its blocks.

    Raises PerfUsageError for a value out of range or an unknown provider.
    """

    provider: str = "cpu"
    seq_lens: tuple[int, ...] | None = None
    batch: int = 1
    threads: tuple[int, ...] = (1, 2)
    precision: float = 0.02
    budget_s: float = 10.0
    seed: int = 0
    profile: bool = False
    ragged: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.seq_lens is not None:
            check_sizes("seq-len", MAX_SEQ_LEN, *self.seq_lens)
        if self.ragged:
            check_sizes("ragged", MAX_SEQ_LEN, *self.ragged)
            if not 2 <= len(self.ragged) <= MAX_BATCH:
                raise PerfUsageError(
                    f"--ragged has {len(self.ragged)} length{'s' if len(self.ragged) > 1 else ''}; expected those of 2 "
                    f"to {MAX_BATCH:,} texts, such as 16,64,128"
                )
        check_sizes("threads", MAX_THREADS, *self.threads)
        check_sizes("batch", MAX_BATCH, self.batch)
        if not 0 < self.precision < 1:
            raise PerfUsageError(f"--precision is {self.precision}; expected a share of the median such as 0.02")
        if not 0 < self.budget_s <= MAX_BUDGET_S:
            raise PerfUsageError(
                f"--budget is {self.budget_s}; expected seconds per cell such as 10, at most {MAX_BUDGET_S:,}"
            )
        named(self.provider)

    @property
    def chosen_lengths(self) -> tuple[int, ...] | None:
        """The lengths that were chosen, in tokens; None for the default ones."""
        return (max(self.ragged),) if self.seq_lens is None and self.ragged else self.seq_lens


def check_sizes(option: str, most: int, *values: int) -> None:
    """Raises PerfUsageError where an option has no value, or one outside of 1 to `most`."""
    if not values:
        raise PerfUsageError(f"--{option} has no value; expected whole numbers from 1 on")
    for value in values:
        if not 1 <= value <= most:
            raise PerfUsageError(f"--{option} is {value}; expected 1 to {most:,}")
