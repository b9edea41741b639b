"""Trial of `--workers auto`: one process with all threads against one process for each core, on texts of the input."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from itertools import cycle

from mbert_onnx.prediction.engines.worker import DIED, Event, Worker
from mbert_onnx.prediction.engines.worker_process import ANSWERS, FAILED
from mbert_onnx.prediction.settings import Settings
from mbert_onnx.prediction.types import Chunk

# Seconds for each of the two.
SECONDS = 1.0
# Texts that are sent at once: few, since the trial of a large model has time for few.
TEXTS = 8


def choose_workers(settings: Settings, cores: int, chunk: Chunk, notes: Callable[[str], None]) -> tuple[int, int]:
    """Returns the numbers of workers and of threads of each, whichever answers more texts a second.

    Args:
        settings: The model and how it answers.
        cores: How many cores are used; both candidates use all.
        chunk: Texts to answer.
        notes: Called with a line that says what was measured and chosen.
    """
    if cores == 1 or not chunk.lines:
        return cores, 1
    candidates = [(cores, 1), (1, cores)]
    speeds = [_texts_per_second(replace(settings, threads=threads), count, chunk) for count, threads in candidates]
    best = max(range(len(candidates)), key=lambda index: speeds[index])
    measured = [
        f"{_count(count, 'worker')} with {_count(threads, 'thread')}: {speed:,.0f} texts/s"
        for (count, threads), speed in zip(candidates, speeds, strict=True)
    ]
    count, threads = candidates[best]
    notes(f"{measured[best]}; {measured[1 - best]}; taken: --workers {count} --threads {threads}")
    return count, threads


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _texts_per_second(settings: Settings, count: int, chunk: Chunk) -> float:
    """Returns how many texts workers answer a second; 0 where one of them ends, such as for memory."""
    parts = cycle(range(0, len(chunk.lines), TEXTS))
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    with ExitStack() as closing:
        workers = []
        for _ in range(count):
            workers.append(Worker(settings, events))
            closing.callback(workers[-1].kill)

        def send(worker: Worker) -> None:
            start = next(parts)
            part = tuple(texts[start : start + TEXTS] for texts in chunk.arguments)
            worker.sent.append(len(part[0]))
            worker.send(start, part)

        for worker in workers:
            send(worker)  # the warm-up
        waiting, answered, since = count, 0, 0.0
        while True:
            worker, kind, value = events.get()
            if kind == FAILED:
                raise value
            if kind == DIED:
                return 0.0
            if kind != ANSWERS:
                continue
            texts = worker.sent.popleft()
            if waiting:
                waiting -= 1
                if waiting == 0:
                    since = time.perf_counter()
                    for one in workers:
                        send(one)
                        send(one)
                continue
            answered += texts
            seconds = time.perf_counter() - since
            if seconds >= SECONDS:
                return answered / seconds
            send(worker)
