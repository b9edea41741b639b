"""Builds the models that `bench` is given by name; collects the failures."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from graphs.errors import GraphError
from graphs.model.loading import in_one_file
from mbert_onnx.benchmark.models.kernels import with_kernels
from mbert_onnx.benchmark.models.prefixes import CHECKPOINT, WITH_KERNELS, build_function, parse
from mbert_onnx.bundles.model_file import FindReader, check_ordinary
from mbert_onnx.errors import MbertError
from perf.errors import PerfError
from perf.harness import SEQ_LENS
from perf.results.report import Failure
from perf.sessions.subject import Sizes, Subject
from perf.sessions.types import Progress

if TYPE_CHECKING:
    from mbert_onnx.benchmark.models.from_checkpoint import SavedCheckpoint

T = TypeVar("T")


@dataclass(frozen=True)
class BuiltModel:
    """A model whose files exist.

    Args:
        subject: Its files, its runtime, and how it was built.
        find_reader: Returns the tokenizer that reads texts for it, None where it has none. A function, because most
            models are timed on random ids and never need it.
        kernels: `native` or `portable` where the name asks for that, as in `native:MODEL`; None: `--kernels` decides.
    """

    subject: Subject
    find_reader: FindReader
    kernels: str | None = None


class ModelBuilder:
    """Builds models by name, each once, even if several names contain it.

    Builder functions (`prefixes.BuildFunction`) are called with it: they read its options, build the models inside by
    `build`, and write into folders from `new_folder`.

    Args:
        stack: Removes the folders at its exit.
        task, seed: For checkpoints, as `bench` takes them.
        seq_lens: The lengths for which files of fixed shapes are built; None: the default lengths of `bench`.
        batch: The batch size of files of fixed shapes.
        kernels: Whether models run with the native kernels: `auto`, `native` or `portable`.
        progress: Called with a line at the start of each stage.
    """

    def __init__(
        self,
        stack: ExitStack,
        *,
        task: str | None,
        seed: int,
        seq_lens: Sequence[int] | None,
        batch: int,
        kernels: str,
        progress: Progress | None,
    ) -> None:
        self.task, self.seed, self.batch = task, seed, batch
        self.has_default_lengths = seq_lens is None
        self.seq_lens = sorted(set(seq_lens or SEQ_LENS))
        self.saved_checkpoints: dict[str, SavedCheckpoint] = {}
        """Checkpoints written in transformers' format, by name: several prefixes start from the same one."""
        self._stack, self._kernels, self._progress = stack, kernels, progress
        self._built: dict[str, BuiltModel] = {}

    def subject(self, name: str) -> Subject:
        """Returns the subject of `model(name)`."""
        return self.model(name).subject

    def model(self, name: str) -> BuiltModel:
        """Returns the model of that name, with the native kernels if `kernels` or its name asks for them.

        Raises what `build` raises, and UsageError where `native` is asked for and the kernels compute no block of it.
        """
        built = self.build(name)
        return replace(built, subject=with_kernels(built.subject, built.kernels or self._kernels))

    def build(self, name: str) -> BuiltModel:
        """Returns the model of that name without native kernels, building it if this is the first time.

        Raises UsageError for an unknown prefix, and whatever the builder function raises.
        """
        if name not in self._built:
            request = parse(name)
            if request.prefix and request.row.build != WITH_KERNELS:
                converts = request.row.takes == CHECKPOINT
                check_ordinary(Path(request.inner), f"{request.prefix}:", converts_checkpoints=converts)
            build = build_function(request.row)
            self._built[name] = build(request, self, **request.row.options)
        return self._built[name]

    def lengths_for(self, sizes: Sizes) -> list[int]:
        """Returns the lengths for which a model's files of fixed shapes are built.

        Of the default lengths those that it takes, or its largest one where it takes none of them.
        """
        if not self.has_default_lengths:
            return self.seq_lens
        return [length for length in self.seq_lens if sizes.takes(length)] or [sizes.longest or sizes.shortest]

    def new_folder(self) -> Path:
        """Creates a temporary folder, which is removed at the end."""
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="mbert-onnx-")))

    def one_file(self, file: Path) -> Path:
        """Returns a model file; a copy of it in one file if its weights are in others, for tools that refuse links.

        Raises GraphError where the weights cannot be read.
        """
        return in_one_file(file, self.new_folder())

    def progress(self, name: str) -> Progress:
        """Returns the progress callback for the stages of one model: each line begins with `name`."""

        def report(line: str) -> None:
            if self._progress is not None:
                self._progress(f"{name}: {line}")

        return report


def build_all(names: Sequence[str], build: Callable[[str], T]) -> tuple[list[T], list[Failure]]:
    """Calls `build` with each name; returns the results, and a failure for each name that raised an error of ours.

    Raises the first error where every name fails.
    """
    results, failures = [], []
    first: Exception | None = None
    for name in names:
        try:
            results.append(build(name))
        except (MbertError, GraphError, PerfError) as error:
            failures.append(Failure(name, str(error)))
            first = first or error
    if first is not None and not results:
        raise first
    return results, failures


def distinct(subjects: Sequence[Subject]) -> list[Subject]:
    """Numbers subjects of equal names (`random #2`), so that each row of a report has a name of its own."""
    seen: dict[str, int] = {}
    named = []
    for subject in subjects:
        seen[subject.name] = seen.get(subject.name, 0) + 1
        suffix = f" #{seen[subject.name]}" if seen[subject.name] > 1 else ""
        named.append(replace(subject, name=subject.name + suffix))
    return named
