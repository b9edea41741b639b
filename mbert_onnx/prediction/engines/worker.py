"""Worker: a child process with a loaded model, and the threads that send it chunks and receive its answers.

A pool of Python's `concurrent.futures` is not used: when one of its processes is killed it ends all others, with the
models that they have loaded. Nor is `multiprocessing`: it runs the main module of the caller again in each child.
"""

from __future__ import annotations

import json
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from contextlib import suppress
from typing import Any

from mbert_onnx.prediction.engines.worker_process import NO_MEMORY, READY
from mbert_onnx.prediction.settings import Settings

BOOTSTRAP = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from mbert_onnx.prediction.engines.worker_process import main
main()
"""
DIED = "died"
# Seconds in which a process that has closed its output ends.
END_SECONDS = 10

Event = tuple["Worker", str, Any]


class Worker:
    """A child process that answers chunks in the order in which they are sent.

    Args:
        settings: The model and how it answers.
        events: Receives (worker, kind, value) for each answer, and (worker, DIED, None) at the process's end.
    """

    def __init__(self, settings: Settings, events: queue.SimpleQueue[Event]) -> None:
        self.is_ready = False
        self.sent: deque[Any] = deque()
        """The chunks that were sent and are not answered yet, which the engine keeps."""
        self._events = events
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # for as long as the process lives
        # A session of its own: Ctrl-C in a terminal is meant for the parent, which ends its children.
        self.process = subprocess.Popen(
            [sys.executable, "-c", BOOTSTRAP, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        for action in (self._send, self._receive):
            threading.Thread(target=action, daemon=True).start()
        self._requests.put(settings)

    def send(self, number: int, arguments: tuple[list[str], ...]) -> None:
        """Sends the arguments of a chunk, in a thread: a pipe takes only a part of them at once."""
        self._requests.put((number, arguments))

    def death(self) -> str:
        """Returns how the process ended, such as `signal SIGKILL`, and its last line on standard error."""
        try:
            code = self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        if code == NO_MEMORY:
            return "too little memory"
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"{how} ({lines[-1].strip()})" if lines else how

    @property
    def was_killed(self) -> bool:
        """True where the process was ended from outside, or for memory; an error of its own would be that of all."""
        code = self.process.poll()
        return code is not None and (code < 0 or code == NO_MEMORY)

    def kill(self) -> None:
        """Ends the process; it has nothing to save."""
        self.process.kill()
        self.process.wait()
        self._requests.put(None)
        self._errors.close()

    def _send(self) -> None:
        assert self.process.stdin is not None
        with suppress(OSError):  # the process has ended, which the other thread reports
            while (request := self._requests.get()) is not None:
                pickle.dump(request, self.process.stdin)
                self.process.stdin.flush()
        with suppress(OSError):
            self.process.stdin.close()

    def _receive(self) -> None:
        assert self.process.stdout is not None
        with suppress(EOFError, OSError, pickle.UnpicklingError, ValueError):
            while True:
                kind, value = pickle.load(self.process.stdout)
                if kind == READY:
                    self.is_ready = True
                self._events.put((self, kind, value))
        self._events.put((self, DIED, None))
