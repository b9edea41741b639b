"""The interface of engines, and the engine that answers in this process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from mbert_onnx.prediction.predictor import Predictor
from mbert_onnx.prediction.reading.layout import Layout
from mbert_onnx.prediction.reading.reader import read
from mbert_onnx.prediction.reading.sources import Source
from mbert_onnx.prediction.types import Chunk, Position, Result, result_of


@dataclass(frozen=True)
class Input:
    """The rows that a job still has to read: those of the sources behind `start`."""

    sources: Sequence[Source]
    layout: Layout
    start: Position

    def chunks(self) -> Iterator[Chunk]:
        return read(self.sources, self.layout, self.start)


class Engine(AbstractContextManager["Engine"], ABC):
    """Turns chunks into results. Its workers live inside the context."""

    @abstractmethod
    def results(self, rows: Input) -> Iterator[Result]:
        """Yields the results of all rows, in the order of the input, with bounded memory."""


class InProcess(Engine):
    """Answers in this process, one chunk after the other."""

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor

    def __exit__(self, *_: object) -> None:
        return None

    def results(self, rows: Input) -> Iterator[Result]:
        for chunk in rows.chunks():
            yield result_of(chunk, self._predictor.answers(chunk.arguments))
