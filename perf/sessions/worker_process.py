"""The child process of `perf.sessions.worker`: opens and runs sessions, as requested on standard input."""

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
from perf.sessions.session import Session, Timer, timer

PR_SET_PDEATHSIG = 1
"""The option of Linux's `prctl` for a signal at the parent's death."""


def answer(runtime: str) -> None:
    """Answers requests on standard output until standard input ends.

    Each request is (sessions to close, name of the request, arguments), each answer ("answer" or the kind of an error,
    value or message), both pickled.
    """
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal is meant for the parent
    # Output of libraries must not come between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sessions = _Sessions(runtime)
    while True:
        try:
            closed, request, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        reply: tuple[str, Any]
        try:
            sessions.close(closed)
            reply = "answer", getattr(sessions, request)(*arguments)
        except PerfUsageError as error:
            reply = "usage", str(error)
        except PerfError as error:
            reply = "error", str(error)
        except Exception as error:  # any runtime's
            reply = "error", one_line(error)
        pickle.dump(reply, answers)
        answers.flush()


class _Sessions:
    """Open sessions and their inputs; each request is a method."""

    def __init__(self, runtime: str) -> None:
        self._name = runtime
        self._sessions: dict[int, Session] = {}
        self._timers: dict[int, list[Timer]] = {}
        self._opened = 0

    def open(self, path: str, provider: str, threads: int, library: str | None) -> tuple[Any, ...]:
        runtime = runtime_named(self._name)
        given = None if library is None else Path(library)
        session = runtime.open_session(Path(path), resolve(provider), threads, given)
        self._opened += 1
        self._sessions[self._opened] = session
        outputs = [output.name for output in session.get_outputs()]
        return self._opened, declared_inputs(session), outputs, runtime.placement(session), runtime.describe(session)

    def run(self, number: int, feed: Mapping[str, np.ndarray]) -> list[Any]:
        return list(self._sessions[number].run(None, feed))

    def timed_run(self, number: int, feed: Mapping[str, np.ndarray]) -> tuple[list[Any], int]:
        """Returns the outputs of a run and its time in ns."""
        start = time.perf_counter_ns()
        values = self._sessions[number].run(None, feed)
        own_ns = time.perf_counter_ns() - start
        return list(values), own_ns

    def hold(self, number: int, feed: Mapping[str, np.ndarray]) -> int:
        """Stores an input to be timed and returns its index."""
        held = self._timers.setdefault(number, [])
        held.append(timer(self._sessions[number], feed))
        return len(held) - 1

    def time(self, number: int, index: int, after_another: bool) -> int:
        """Returns the time of a run in ns."""
        return self._timers[number][index](after_another)

    def close(self, numbers: list[int]) -> None:
        for number in numbers:
            self._sessions.pop(number, None)
            self._timers.pop(number, None)


def _die_with_parent() -> None:
    """Has the kernel kill this process when its parent dies, which a suspended process would not notice."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
