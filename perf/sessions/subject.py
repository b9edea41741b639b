"""Subject: one model in a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from perf.errors import PerfUsageError
from perf.sessions.runtimes import ONNXRUNTIME


@dataclass(frozen=True)
class Sizes:
    """Sizes that a model takes although its inputs declare others, too, as its config or trial runs say.

    Args:
        batch: The only batch; None for any.
        shortest, longest: Lengths in tokens; the largest one is None where it is unknown.
        step: The difference of one length to the next, such as 8 for multiples of 8.
    """

    batch: int | None = None
    shortest: int = 1
    longest: int | None = None
    step: int = 1

    @property
    def length(self) -> int | None:
        """The only length; None where there are several."""
        return self.shortest if self.shortest == self.longest else None

    def takes(self, seq_len: int) -> bool:
        """Returns whether a length in tokens is one of those that the model takes."""
        fits = self.shortest <= seq_len and (self.longest is None or seq_len <= self.longest)
        return fits and (seq_len - self.shortest) % self.step == 0

    def __str__(self) -> str:
        if self.length is not None:
            return f"{self.length} tokens"
        step = "" if self.step == 1 else f" in steps of {self.step}"
        most = " tokens or more" if self.longest is None else f" to {self.longest} tokens"
        return f"{self.shortest}{most}{step}"


@dataclass(frozen=True)
class Subject:
    """One model in a benchmark.

    Args:
        name: Its name in the report.
        path: Its file; if it has one for each length, that of the longest.
        vocab_size: Exclusive upper bound of its ids; None where it is unknown.
        runtime: The runtime that runs it, one of `perf.sessions.runtimes`.
        by_length: Its file for each length in tokens, where shapes are fixed; empty where one file takes all lengths.
        reference: The `.onnx` of the float model that it was built from, if its error from that is to be measured.
        notes: How it was built, one line each.
        library: The library of custom operators that it runs with; for a runtime under Node.js, the folder of the
            runtime's npm package.
        python: The Python of the environment with the runtime's packages; None for this process's own.
        precision: The type of its products, `float32`, `fp16` or `int8`; empty where it is unknown.
        sizes: The batch and the lengths that it takes.
        inputs: The file with its inputs for each length, for a model that reads no token ids; empty: random ids.
        layers: Number of layers; None where it is unknown.
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
    sizes: Sizes = Sizes()
    inputs: Mapping[int, Path] = field(default_factory=dict)
    layers: int | None = None

    @property
    def files(self) -> list[Path]:
        return [*self.by_length.values()] or [self.path]

    def inputs_at(self, seq_len: int) -> Path | None:
        """Returns the file with its inputs at a length; None for random ids.

        Raises PerfUsageError where it has none.
        """
        if self.inputs and seq_len not in self.inputs:
            lengths = ",".join(map(str, self.inputs))
            raise PerfUsageError(f"{self.name} has texts of {lengths} tokens, not {seq_len}: pass --seq-len {lengths}")
        return self.inputs.get(seq_len)

    def file(self, seq_len: int) -> Path:
        """Returns the file for a length in tokens. Raises PerfUsageError where it has none."""
        if self.by_length and seq_len not in self.by_length:
            lengths = ",".join(map(str, self.by_length))
            raise PerfUsageError(f"{self.name} has files for {lengths} tokens, not {seq_len}: pass --seq-len {lengths}")
        return self.by_length.get(seq_len, self.path)
