"""A model to bench."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from perf.errors import PerfUsageError
from perf.sessions.runtimes import ONNXRUNTIME


@dataclass(frozen=True)
class Subject:
    """A model to bench.

    Args:
        name: What to call it.
        path: Its file; if it has one for each length, that of the longest.
        vocab_size: Below which number its ids must stay, if that is known.
        runtime: What runs it, one of `perf.sessions.runtimes`.
        by_length: Its file for each length in tokens, where shapes are fixed; empty where one file takes all.
        reference: The `.onnx` of the float model that it was made from, where its outputs are to be compared with that.
        notes: How it was made, a line each.
        library: Of custom operators that it is run with.
        python: Of the environment that has the runtime's packages; None where this one has them.
        precision: What its products are computed in, `float32` or `int8`; empty where that is not known.
    """

    name: str
    path: Path
    vocab_size: int | None = None
    runtime: str = ONNXRUNTIME
    by_length: Mapping[int, Path] = field(default_factory=dict)
    reference: Path | None = None
    notes: tuple[str, ...] = ()
    library: Path | None = None
    python: Path | None = None
    precision: str = ""

    @property
    def files(self) -> list[Path]:
        return [*self.by_length.values()] or [self.path]

    def file(self, seq_len: int) -> Path:
        """The file that takes so many tokens. Raises PerfUsageError where there is none."""
        if self.by_length and seq_len not in self.by_length:
            lengths = ",".join(map(str, self.by_length))
            raise PerfUsageError(f"{self.name} was made for {lengths} tokens, not {seq_len}: pass --seq-len {lengths}")
        return self.by_length.get(seq_len, self.path)
