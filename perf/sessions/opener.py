"""Where sessions are opened: onnxruntime's in this process, all others in a process for each model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from perf.providers import Provider, is_here
from perf.sessions.environments import environment
from perf.sessions.runtimes import ONNXRUNTIME, runtime_named
from perf.sessions.session import Placement, Session
from perf.sessions.subject import Subject
from perf.sessions.worker import Worker, WorkerSession


class Opener:
    """Opens sessions, and ends the processes of those that are elsewhere.

    Args:
        tell: Is told, in a few words, when something is installed.
    """

    def __init__(self, tell: Callable[[str], None] = lambda _: None) -> None:
        self._tell = tell
        self._workers: dict[tuple[str, Path | None, int], Worker] = {}

    def __enter__(self) -> Opener:
        return self

    def __exit__(self, _kind: type | None, _error: BaseException | None, _traceback: TracebackType | None) -> None:
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()

    def open(self, subject: Subject, file: Path, provider: Provider, threads: int) -> Session:
        """One of a subject's files, loaded. Raises what the runtime's `open_session` raises."""
        if self.is_near(subject, provider):
            return runtime_named(ONNXRUNTIME).open_session(file, provider, threads, subject.library)
        python = self.python(subject, provider)
        # Some runtimes have one pool of threads in a process, whose size is chosen once.
        key = subject.name, python, threads
        if key not in self._workers:
            self._workers[key] = Worker(subject.runtime, python)
        return self._workers[key].open(file, provider.name, threads)

    def is_near(self, subject: Subject, provider: Provider) -> bool:
        """Whether its sessions are in this process."""
        return subject.runtime == ONNXRUNTIME and subject.python is None and is_here(provider)

    def python(self, subject: Subject, provider: Provider) -> Path | None:
        """Of the environment in which it is run, which is made if it is not there yet; None is this one."""
        if subject.python is None and not is_here(provider):
            return environment(provider.name, provider.environment, self._tell)
        return subject.python


def placement(subject: Subject, session: Session) -> Placement:
    """Which operators are run, and by whom."""
    return (
        session.placement() if isinstance(session, WorkerSession) else runtime_named(subject.runtime).placement(session)
    )


def describe(subject: Subject, session: Session) -> str:
    """What runs it: name, version, and what of its settings changes the numbers."""
    return (
        session.describe() if isinstance(session, WorkerSession) else runtime_named(subject.runtime).describe(session)
    )
