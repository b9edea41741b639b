"""The far half of `perf.sessions.worker`: opens sessions and runs them, as it is asked to on standard input."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from perf.errors import PerfError, PerfUsageError, one_line
from perf.providers import resolve
from perf.sessions.inputs import declared_inputs
from perf.sessions.runtimes import runtime_named
from perf.sessions.session import Session

PR_SET_PDEATHSIG = 1
"""Of Linux's `prctl`."""


def answer(runtime: str) -> None:
    """Answers on standard output until standard input ends.

    Each question is (sessions to close, name of the question, arguments), each answer ("answer" or the kind of an
    error, what it is), both pickled.
    """
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal, which is meant for who asks
    # Whatever a library prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    desk = _Desk(runtime)
    while True:
        try:
            closed, question, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        told: tuple[str, Any]
        try:
            desk.close(closed)
            told = "answer", getattr(desk, question)(*arguments)
        except PerfUsageError as error:
            told = "usage", str(error)
        except PerfError as error:
            told = "error", str(error)
        except Exception as error:  # of any runtime
            told = "error", one_line(error)
        pickle.dump(told, answers)
        answers.flush()


class _Desk:
    """The questions, a method each."""

    def __init__(self, runtime: str) -> None:
        self._name = runtime
        self._sessions: dict[int, Session] = {}
        self._feeds: dict[int, list[Mapping[str, np.ndarray]]] = {}
        self._opened = 0

    def open(self, path: str, provider: str, threads: int) -> tuple[Any, ...]:
        runtime = runtime_named(self._name)
        session = runtime.open_session(Path(path), resolve(provider), threads)
        self._opened += 1
        self._sessions[self._opened] = session
        outputs = [output.name for output in session.get_outputs()]
        return self._opened, declared_inputs(session), outputs, runtime.placement(session), runtime.describe(session)

    def run(self, number: int, feed: Mapping[str, np.ndarray]) -> list[Any]:
        return list(self._sessions[number].run(None, feed))

    def hold(self, number: int, feed: Mapping[str, np.ndarray]) -> int:
        """Keeps an input to be timed; its place."""
        held = self._feeds.setdefault(number, [])
        held.append(feed)
        return len(held) - 1

    def time(self, number: int, place: int, after_another: bool) -> int:
        """Nanoseconds of a run."""
        session, feed = self._sessions[number], self._feeds[number][place]
        if after_another:
            session.run(None, feed)
        start = time.perf_counter_ns()
        session.run(None, feed)
        return time.perf_counter_ns() - start

    def close(self, numbers: list[int]) -> None:
        for number in numbers:
            self._sessions.pop(number, None)
            self._feeds.pop(number, None)


def _die_with_parent() -> None:
    """A stopped process does not see that nobody asks it any more."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
