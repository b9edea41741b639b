"""Opens sessions: onnxruntime's in this process, all others in a worker process for each model."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from perf.providers import Provider, is_here
from perf.sessions.environments import environment
from perf.sessions.runtimes import ONNXRUNTIME, runtime_named
from perf.sessions.session import Placement, Session
from perf.sessions.subject import Subject
from perf.sessions.types import Progress, no_progress
from perf.sessions.worker import Worker, WorkerSession


class Opener:
    """Opens sessions, and ends the worker processes at its exit.

    Args:
        progress: Called with a line when packages are installed.
    """

    def __init__(self, progress: Progress = no_progress) -> None:
        self._progress = progress
        self._workers: dict[tuple[str, Path | None, int], Worker] = {}

    def __enter__(self) -> Opener:
        return self

    def __exit__(self, _kind: type | None, _error: BaseException | None, _traceback: TracebackType | None) -> None:
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    def open(self, subject: Subject, file: Path, provider: Provider, threads: int) -> Session:
        """Loads one of a subject's files. Raises what the runtime's `open_session` raises."""
        if self.is_in_process(subject, provider):
            return runtime_named(ONNXRUNTIME).open_session(file, provider, threads, subject.library)
        python = self.python(subject, provider)
        # Some runtimes have one thread pool in a process, whose size is chosen once.
        key = subject.name, python, threads
        if key not in self._workers:
            self._workers[key] = Worker(subject.runtime, python)
        # Our operators are for the onnxruntime of this environment alone.
        library = None if subject.runtime == ONNXRUNTIME else subject.library
        return self._workers[key].open(file, provider.name, threads, library)

    def is_in_process(self, subject: Subject, provider: Provider) -> bool:
        """Returns whether the subject's sessions are opened in this process."""
        return subject.runtime == ONNXRUNTIME and subject.python is None and is_here(provider)

    def python(self, subject: Subject, provider: Provider) -> Path | None:
        """Returns the Python of the subject's environment, creating it if needed; None for this process's own."""
        if subject.python is None and not is_here(provider):
            return environment(provider.name, provider.environment, self._progress)
        return subject.python


def placement(subject: Subject, session: Session) -> Placement:
    """Returns the operators that a run executes, by who executes them."""
    return (
        session.placement() if isinstance(session, WorkerSession) else runtime_named(subject.runtime).placement(session)
    )


def describe(subject: Subject, session: Session) -> str:
    """Returns the runtime's name and version, and the settings that change the measurements."""
    return (
        session.describe() if isinstance(session, WorkerSession) else runtime_named(subject.runtime).describe(session)
    )
