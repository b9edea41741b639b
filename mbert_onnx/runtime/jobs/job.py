"""Job: a method of a model with its options, for many inputs at once.

All texts of a window are tokenized, then the rows of all texts run in batches, whose outputs are reduced at once to
what the results need; results are made at the end. Methods with one text, with lists, and streams have this one path.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np

from mbert_onnx.errors import MbertError
from mbert_onnx.runtime.jobs.batching import RowBatch, RowRunner
from mbert_onnx.runtime.jobs.statistics import BatchStatistics
from mbert_onnx.text.encoder import Row, TextEncoder, Window
from mbert_onnx.text.sentence_embedding import EmbeddingSettings
from mbert_onnx.text.tasks import Task


class Job(Protocol):
    """A method of a model with its options."""

    def outcomes(self, inputs: Sequence[tuple[Any, ...]], statistics: BatchStatistics) -> list[Any]:
        """Returns for each input, a tuple of the method's arguments, the result or the MbertError; adds statistics.

        Raises BundleError if the session fails.
        """
        ...


@dataclass(frozen=True)
class RowModel:
    """Parts of a model whose texts are tokenized in Python.

    Args:
        encoder: Its tokenizer.
        runner: Runs its rows.
        task: Its task.
        config: The config of its bundle, which names labels.
        embedding: The settings of sentence embeddings; None without any.
    """

    encoder: TextEncoder
    runner: RowRunner
    task: Task
    config: Mapping[str, Any]
    embedding: EmbeddingSettings | None


class Work(ABC):
    """Work on a window of inputs: the rows to run, and the results that are made of their outputs."""

    def __init__(self, rows: Sequence[Row], output_names: Sequence[str]) -> None:
        self.rows = rows
        self.output_names = output_names

    @abstractmethod
    def take(self, batch: RowBatch) -> None:
        """Keeps what the results need of the outputs of a run, copied: the session may reuse their memory."""

    @abstractmethod
    def finish(self) -> list[Any]:
        """Returns the result of each input, or its error."""


class RowJob(ABC):
    """A job that tokenizes in Python and runs rows."""

    def __init__(self, model: RowModel) -> None:
        self.model = model

    @abstractmethod
    def prepare(self, inputs: Sequence[tuple[Any, ...]]) -> Work:
        """Tokenizes all inputs."""

    def outcomes(self, inputs: Sequence[tuple[Any, ...]], statistics: BatchStatistics) -> list[Any]:
        start = perf_counter()
        work = self.prepare(inputs)
        statistics.texts += len(inputs)
        statistics.tokenizing += perf_counter() - start
        for batch in self.model.runner.batches(work.rows, work.output_names, statistics):
            start = perf_counter()
            work.take(batch)
            statistics.finishing += perf_counter() - start
        start = perf_counter()
        results = work.finish()
        statistics.finishing += perf_counter() - start
        return results


class TextWindows(ABC):
    """A text as windows, and what is kept of their outputs."""

    windows: Sequence[Window]

    @abstractmethod
    def take(self, place: int, parts: list[np.ndarray]) -> None:
        """Keeps what the result needs of the outputs of the window at a place."""

    @abstractmethod
    def finish(self) -> Any:
        """Returns the result of the text."""


class WindowWork(Work):
    """Work on texts that are read in windows.

    Args:
        texts: The windows of each input, or its error.
        output_names: The outputs of each window.
    """

    def __init__(self, texts: Sequence[TextWindows | MbertError], output_names: Sequence[str]) -> None:
        self.texts = texts
        rows = list[Row]()
        self._owners = list[tuple[TextWindows, int]]()
        for text in texts:
            if not isinstance(text, MbertError):
                rows += text.windows
                self._owners += ((text, place) for place in range(len(text.windows)))
        super().__init__(rows, output_names)

    def take(self, batch: RowBatch) -> None:
        for number, parts in batch.rows():
            text, place = self._owners[number]
            text.take(place, parts)

    def finish(self) -> list[Any]:
        return [text if isinstance(text, MbertError) else text.finish() for text in self.texts]


def merged(prepared: Iterable[Any], results: Iterable[Any]) -> list[Any]:
    """Returns the errors among prepared inputs in their places, and the results in the places of the others."""
    following = iter(results)
    return [one if isinstance(one, MbertError) else next(following) for one in prepared]
