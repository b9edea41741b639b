"""Worker processes of `bench --throughput`: each holds a model and makes passes over its share of the texts."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from graphs.errors import GraphError
from mbert_onnx.benchmark.throughput.passes import pass_of
from mbert_onnx.benchmark.throughput.subject_model import SubjectModel
from mbert_onnx.bundles.model_file import TextReader
from mbert_onnx.errors import MbertError
from perf.errors import PerfError, one_line
from perf.providers import resolve
from perf.sessions.opener import Opener
from perf.sessions.subject import Subject
from perf.timing.texts.throughput import WorkerPass

# Seconds after which a process that does not end is killed.
PATIENCE = 5.0


@dataclass(frozen=True)
class WorkerModel:
    """Model of a worker: its file, and how it is opened.

    Args:
        subject: The model.
        file: Its file.
        reader: Reader of texts for it.
        provider: The execution provider.
        threads: Threads of its session.
        folder: Its folder for answers.
    """

    subject: Subject
    file: Path
    reader: TextReader
    provider: str
    threads: int
    folder: Path


class Worker:
    """A process that holds one model. Its methods raise PerfError where it has died, and the model's errors."""

    def __init__(self, model: WorkerModel) -> None:
        # Spawned, because the threads of onnxruntime do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self._name = model.subject.name
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_serve, args=(other, model), daemon=True)
        self._process.start()
        other.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, _kind: type | None, _error: BaseException | None, _traceback: TracebackType | None) -> None:
        self._connection.close()
        self._process.join(PATIENCE)
        self._process.kill()

    def ask(self, request: str, *arguments: Any) -> None:
        """Sends a request, whose answer `answer` waits for."""
        with suppress(OSError):  # `answer` says that it has died
            self._connection.send((request, arguments))

    def answer(self) -> Any:
        """Returns the answer to the last request."""
        try:
            found = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(PATIENCE)
            raise PerfError(
                f"the process that runs {self._name} ended with exit {self._process.exitcode}; free some memory, or "
                "pass fewer --workers"
            ) from None
        if isinstance(found, Exception):
            raise found
        return found


class _Answers:
    """Answers to the requests of one worker; each request is a method."""

    def __init__(self, model: WorkerModel, opener: Opener) -> None:
        self._model = model
        self._session = opener.open(model.subject, model.file, resolve(model.provider), model.threads)
        self._passes: dict[tuple[int, Path], Callable[[], WorkerPass]] = {}

    def prepare(self, tokens_per_run: int, texts: Path) -> bool:
        """Prepares passes over a file of texts; returns whether answers depend on the batch."""
        model = SubjectModel(self._model.subject, self._model.reader, self._session, tokens_per_run)
        output = self._model.folder / f"{texts.stem}.csv"
        self._passes[tokens_per_run, texts] = pass_of(model, texts, output)
        return model.depends_on_batch

    def run(self, tokens_per_run: int, texts: Path) -> WorkerPass:
        """Makes one pass."""
        return self._passes[tokens_per_run, texts]()

    def memory(self) -> int:
        """Returns the memory of this process and its children in bytes; shared pages are divided."""
        this = psutil.Process()
        return sum(map(_memory_of, [this, *this.children(recursive=True)]))


def _memory_of(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (AttributeError, psutil.Error):
        return int(process.memory_info().rss)


def _serve(connection: Connection, model: WorkerModel) -> None:
    """Answers requests until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is meant for the parent
    with Opener() as opener:
        answers: _Answers | None = None
        while True:
            try:
                request, arguments = connection.recv()
            except (EOFError, OSError):
                return
            found: Any
            try:
                answers = answers or _Answers(model, opener)
                found = getattr(answers, request)(*arguments)
            except (MbertError, GraphError, PerfError) as error:
                found = error
            except Exception as error:  # any runtime's
                found = PerfError(f"{model.subject.name}: {one_line(error)}")
            connection.send(found)


def ask_all(workers: Sequence[Worker], request: str, *arguments: Sequence[Any]) -> list[Any]:
    """Sends a request to all workers at once, each with its own arguments, and returns their answers."""
    for worker, *own in zip(workers, *arguments, strict=True):
        worker.ask(request, *own)
    return [worker.answer() for worker in workers]
