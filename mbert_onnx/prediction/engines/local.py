"""The engine of one machine: worker processes, which answer chunks in parallel."""

from __future__ import annotations

import queue
from collections import Counter, deque
from collections.abc import Callable, Iterator

from mbert_onnx.errors import MbertError
from mbert_onnx.prediction.engines.engine import Engine, Input
from mbert_onnx.prediction.engines.worker import DIED, Event, Worker
from mbert_onnx.prediction.engines.worker_process import ANSWERS, FAILED
from mbert_onnx.prediction.settings import Settings
from mbert_onnx.prediction.types import Chunk, Result, result_of

# Chunks that a worker has at a time, so that it does not wait for its next one.
IN_FLIGHT = 2
# Chunks that are read and not yet written, for each worker: results are written in order, and may wait for a slow one.
AHEAD = 4
# How many workers a chunk may end before it is taken for the cause.
MOST_DEATHS = 3


class LocalWorkers(Engine):
    """Answers in several processes of this machine.

    Processes are started as there are chunks for them. One that the system ends, such as for memory, is not replaced:
    its chunks are sent to the others.

    Args:
        settings: The model and how it answers.
        count: How many processes there are at most.
        notes: Called with a line when a process was ended.
    """

    def __init__(self, settings: Settings, count: int, notes: Callable[[str], None]) -> None:
        self._settings = settings
        self._count = count
        self._notes = notes
        self._workers: list[Worker] = []
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.kill()
        self._workers = []

    def results(self, rows: Input) -> Iterator[Result]:
        """Yields the results of all rows, in order.

        Raises what a worker's model raises, and WorkerError where no worker is left.
        """
        chunks = rows.chunks()
        again: deque[Chunk] = deque()
        done: dict[int, Result] = {}
        deaths: Counter[int] = Counter()
        following = unanswered = 0
        is_read = False
        while True:
            while self._has_room() and (again or (not is_read and unanswered + len(done) < AHEAD * self._count)):
                if again:
                    chunk = again.popleft()
                elif (read := next(chunks, None)) is not None:
                    chunk = read
                    unanswered += 1
                else:
                    is_read = True
                    break
                worker = self._free()
                worker.sent.append(chunk)
                worker.send(chunk.number, chunk.arguments)
            while following in done:
                yield done.pop(following)
                following += 1
            if is_read and not unanswered:
                return
            if not self._receive(done, again, deaths):
                continue
            unanswered -= 1

    def _has_room(self) -> bool:
        """Returns whether a worker can take a chunk."""
        return len(self._workers) < self._count or any(len(worker.sent) < IN_FLIGHT for worker in self._workers)

    def _free(self) -> Worker:
        """Returns a worker without chunks, or a new one, or the one with the fewest chunks."""
        fewest = min(self._workers, key=lambda worker: len(worker.sent), default=None)
        if fewest is None or (fewest.sent and len(self._workers) < self._count):
            fewest = Worker(self._settings, self._events)
            self._workers.append(fewest)
        return fewest

    def _receive(self, done: dict[int, Result], again: deque[Chunk], deaths: Counter[int]) -> bool:
        """Waits for the next event of a worker; returns whether it was an answer."""
        worker, kind, value = self._events.get()
        if kind == ANSWERS:
            number, answers = value
            chunk = worker.sent.popleft()
            assert chunk.number == number
            done[number] = result_of(chunk, answers)
            return True
        if kind == FAILED:
            raise value
        if kind == DIED:
            self._take_from(worker, again, deaths)
        return False

    def _take_from(self, worker: Worker, again: deque[Chunk], deaths: Counter[int]) -> None:
        """Takes the chunks back from a worker that has died."""
        death = worker.death()
        self._workers.remove(worker)
        worker.kill()
        self._count -= 1
        if not worker.is_ready and not worker.was_killed:
            raise WorkerError(f"a worker ended with {death} before it had loaded the model; pass --workers 1")
        if worker.sent:
            first = worker.sent[0]
            deaths[first.number] += 1
            if deaths[first.number] == MOST_DEATHS:
                raise WorkerError(
                    f"{first.file}, lines {first.lines[0]} to {first.lines[-1]}: {MOST_DEATHS} workers ended with "
                    f"{death} on these rows; free some memory, or shorten their texts"
                )
        again.extendleft(reversed(worker.sent))
        if self._count == 0:
            raise WorkerError(
                f"the last worker ended with {death}; free some memory, and give the same command again, with fewer "
                "--workers: it continues"
            )
        noun = "worker" if self._count == 1 else "workers"
        self._notes(f"a worker ended with {death}; continuing with {self._count} {noun}")


class WorkerError(MbertError):
    """Worker processes that ended, such as those that the system has killed for memory."""
