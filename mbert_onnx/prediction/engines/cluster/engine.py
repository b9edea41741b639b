"""The engine of a Ray cluster: chunks are handed to workers, and again to others where a worker is lost."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

import mbert_onnx
from mbert_onnx.errors import MbertError
from mbert_onnx.prediction.engines.cluster.connection import connected
from mbert_onnx.prediction.engines.cluster.model_copy import pack
from mbert_onnx.prediction.engines.cluster.worker import packed_work, worker_class
from mbert_onnx.prediction.engines.engine import Engine, Input
from mbert_onnx.prediction.settings import Settings
from mbert_onnx.prediction.types import Chunk, Result, result_of
from mbert_onnx.text.text_files import count_of

# Chunks that a worker has at once: one that it answers, and the next.
IN_FLIGHT = 2
# Chunks that are read and not yet written, for each worker: results wait for those before them.
WINDOW = 4
# How many workers may be lost while they answer a chunk, until its rows are taken for the cause.
TRIES = 3
# Seconds without a worker after which a line says so, and after which the job ends.
NOTICE_SECONDS, LONGEST_WAIT = 10.0, 600.0


@dataclass
class _Worker:
    """An actor: its node's address, once its model is loaded, and its chunks."""

    handle: Any
    node: str = ""
    chunks: list[Chunk] = field(default_factory=list)


@dataclass
class _OpenChunks:
    """Chunks that are read and not yet written.

    Args:
        running: Those that workers have, by the reference to their answers.
        again: Those of lost workers, as a heap by number, since the first one holds back all others.
        done: Results by number.
        losses: How many workers were lost while they answered a chunk.
    """

    running: dict[Any, tuple[_Worker, Chunk]] = field(default_factory=dict)
    again: list[tuple[int, Chunk]] = field(default_factory=list)
    done: dict[int, Result] = field(default_factory=dict)
    losses: Counter[int] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        return len(self.running) + len(self.again) + len(self.done)

    def next_again(self) -> Chunk | None:
        """Takes the first chunk of lost workers, if there is one."""
        return heapq.heappop(self.again)[1] if self.again else None

    def take_back(self, worker: _Worker, error: RayError) -> None:
        """Takes the chunks of a lost worker back. Raises MbertError for one that has lost too many workers."""
        self.running = {reference: one for reference, one in self.running.items() if one[0] is not worker}
        for chunk in worker.chunks:
            heapq.heappush(self.again, (chunk.number, chunk))
        first = worker.chunks[0]  # the others were waiting for it
        self.losses[first.number] += 1
        if self.losses[first.number] == TRIES:
            lines = f", lines {first.lines[0]} to {first.lines[-1]}" if first.lines else ""
            raise MbertError(
                f"{first.file}{lines}: {TRIES} workers of the cluster were lost on these rows; give fewer --workers in "
                "case its nodes lack memory, or shorten these texts, and give the same command again: it continues"
            ) from error


class Cluster(Engine):
    """Answers on the nodes of a Ray cluster. Rows are read, and results written, in this process.

    Args:
        settings: The model and how it answers; a worker takes as many cores as the settings have threads.
        address: HOST:PORT of the cluster's head node; default: see `connected`.
        workers: How many actors there are; default: as many as the cluster has cores for.
        notes: Called with a line about the cluster, and about workers that are lost.

    Entering the context raises what `connected` and `pack` raise.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        address: str | None = None,
        workers: int | None = None,
        notes: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._address = address
        self._asked = workers
        self._notes = notes
        self._closing = ExitStack()
        self._ready: list[_Worker] = []
        self._loading: dict[Any, _Worker] = {}

    def __enter__(self) -> Cluster:
        packed = pack(self._settings.bundle)
        with ExitStack() as opened:
            opened.enter_context(connected(self._address))
            opened.callback(self._end_workers)
            copy, archive = packed or (None, None)
            self._version, self._work = packed_work(self._settings, copy)
            self._archive = [] if archive is None else [ray.put(archive)]
            self._class = ray.remote(max_restarts=0, max_task_retries=0, num_cpus=self._cores)(worker_class())
            nodes = sum(node["Alive"] for node in ray.nodes())
            cores = int(ray.cluster_resources().get("CPU", 0))
            self._count = self._asked or max(1, cores // self._cores)
            parts = ((nodes, "node"), (cores, "core"), (self._count, "worker"), (self._cores, "thread"))
            self._notes("Ray: {} with {}, {} of {}".format(*(count_of(number, noun) for number, noun in parts)))
            for _ in range(self._count):
                self._start_worker()
            self._closing = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def results(self, rows: Input) -> Iterator[Result]:
        chunks = rows.chunks()
        open_chunks = _OpenChunks()
        following = 0
        is_read = False
        while not (is_read and not open_chunks.running and not open_chunks.again):
            while (worker := self._free_worker()) is not None:
                if (chunk := open_chunks.next_again()) is None:
                    is_full = open_chunks.count >= WINDOW * max(self._count, len(self._ready))
                    if is_read or is_full or (chunk := next(chunks, None)) is None:
                        is_read = is_read or not is_full
                        break
                worker.chunks.append(chunk)
                open_chunks.running[worker.handle.answers.remote(chunk.arguments)] = worker, chunk
            for reference in self._finished(open_chunks.running):
                if reference not in open_chunks.running:
                    continue  # taken back with the others of its worker
                worker, chunk = open_chunks.running[reference]
                try:
                    answers = ray.get(reference)
                except RayTaskError as error:
                    raise _cause(error) from error
                except RayError as error:
                    open_chunks.take_back(worker, error)
                    self._replace(worker)
                    continue
                del open_chunks.running[reference]
                worker.chunks.remove(chunk)
                open_chunks.done[chunk.number] = result_of(chunk, answers)
            while following in open_chunks.done:
                yield open_chunks.done.pop(following)
                following += 1

    @property
    def _cores(self) -> int:
        return self._settings.threads or 1

    def _free_worker(self) -> _Worker | None:
        """Returns the worker with the fewest chunks, if it takes another one."""
        worker = min(self._ready, key=lambda one: len(one.chunks), default=None)
        return worker if worker is not None and len(worker.chunks) < IN_FLIGHT else None

    def _finished(self, running: dict[Any, Any]) -> list[Any]:
        """Waits for answers, or for a worker that has loaded the model; returns the references to the answers."""
        if not running and not self._loading:
            return []
        since = time.monotonic()
        is_noted = False
        while True:
            found, _ = ray.wait([*running, *self._loading], num_returns=1, timeout=NOTICE_SECONDS)
            if found:
                # One that is done is rarely alone.
                found, _ = ray.wait(
                    [*running, *self._loading], num_returns=len(running) + len(self._loading), timeout=0
                )
            for reference in found:
                if reference in self._loading:
                    self._add(reference, self._loading.pop(reference))
            if found:
                return [reference for reference in found if reference in running]
            if self._ready:
                continue
            if time.monotonic() - since >= LONGEST_WAIT:
                raise MbertError(
                    f"no worker of the cluster was ready in {LONGEST_WAIT / 60:.0f} minutes; see `ray status`, and "
                    "when it has free cores give the same command again: it continues after the finished parts"
                )
            if not is_noted:
                is_noted = True
                self._notes("no worker of the cluster is ready yet; `ray status` shows whether it has free cores")

    def _start_worker(self) -> None:
        worker = _Worker(self._class.remote())
        self._loading[worker.handle.load.remote(self._version, self._work, self._archive)] = worker

    def _add(self, reference: Any, worker: _Worker) -> None:
        """Takes a worker whose `load` has ended; raises MbertError where the model cannot be loaded."""
        try:
            worker.node, reason = ray.get(reference)
        except RayTaskError as error:
            raise _cause(error) from error
        except RayError as error:
            if not self._ready and not self._loading:
                raise MbertError(
                    "all workers of the cluster were lost while they loaded the model; its nodes may lack memory: give "
                    "fewer --workers"
                ) from error
            self._notes("a worker was lost while it loaded the model; the others continue")
            return
        if reason is not None:
            version = mbert_onnx.__version__
            raise MbertError(
                f"the cluster's node {worker.node} {reason}, expected mbert-onnx {version} as here; install it there: "
                f"pip install 'mbert-onnx[ray]=={version}'"
            )
        self._ready.append(worker)

    def _replace(self, worker: _Worker) -> None:
        """Starts a worker in place of one that is lost, which runs as soon as the cluster has a free core for it."""
        if worker not in self._ready:
            return
        self._ready.remove(worker)
        ray.kill(worker.handle)  # where only its answer is lost
        self._start_worker()
        left = count_of(len(self._ready), "worker")
        self._notes(f"a worker on node {worker.node} was lost, and its rows go to others; continuing with {left}")

    def _end_workers(self) -> None:
        for worker in (*self._ready, *self._loading.values()):
            with suppress(RayError):
                ray.kill(worker.handle)
        self._ready.clear()
        self._loading.clear()


def _cause(error: RayTaskError) -> BaseException:
    """Returns the exception that a worker raised."""
    return error.cause if isinstance(error.cause, BaseException) else error
