"""Footprint of a model: load time and peak memory, each measured in a fresh process with an empty heap."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from perf.errors import PerfError, PerfUsageError
from perf.machine.memory import peak_resident_bytes
from perf.providers import resolve
from perf.sessions.inputs import DEFAULT_VOCAB_SIZE, declared_inputs, read_inputs, synthesise
from perf.sessions.runtimes import ONNXRUNTIME, runtime_named
from perf.sessions.session import MeasuresItself, first_run
from perf.sessions.subprocess_module import command, death

LOADS = 3
"""Processes per model: load times vary by several percent, so the median of three is reported."""


ANSWER = "footprint: "
"""Begins the line with the child's answer. A provider's library may print other lines before it, and at the exit."""


@dataclass(frozen=True)
class Footprint:
    """Load times in ms, one per process, and their median; peak memory in bytes of the session and one run."""

    loads_ms: tuple[float, ...]
    load_ms: float
    peak_bytes: int


@dataclass(frozen=True)
class Request:
    """Arguments of a child process."""

    path: str
    runtime: str
    provider: str
    threads: int
    batch: int
    seq_len: int
    vocab_size: int
    library: str | None = None
    inputs: str | None = None


def footprint(
    path: Path,
    *,
    runtime: str = ONNXRUNTIME,
    provider: str = "cpu",
    threads: int = 1,
    batch: int = 1,
    seq_len: int,
    vocab_size: int = DEFAULT_VOCAB_SIZE,
    library: Path | None = None,
    inputs: Path | None = None,
    python: Path | None = None,
) -> Footprint:
    """Loads the file and runs it once at [batch, seq_len], in three processes one after the other.

    From the second load on the file is in the page cache, so the median is a warm load. Peak memory is the increase of
    the process's peak resident size from before the session to after the run; the largest of the three is returned.
    `inputs` is the file with the inputs of a model that reads no token ids; `python` is the interpreter of the
    environment with the runtime's packages; None: this one.

    Raises:
        PerfError: the model cannot be opened or run, or a child process died.
    """
    files = (None if file is None else str(file) for file in (library, inputs))
    request = Request(str(path), runtime, provider, threads, batch, seq_len, vocab_size, *files)
    answers = [_ask(request, python) for _ in range(LOADS)]
    loads = tuple(float(item["load_ms"]) for item in answers)
    return Footprint(loads, median(loads), max(int(item["peak_bytes"]) for item in answers))


def answer(request: str) -> None:
    """Entry point of the child: measures one `Request` given as JSON, and prints the result as one line of JSON."""
    found: dict[str, float | str]
    try:
        found = {**_measure(Request(**json.loads(request)))}
    except PerfError as error:
        found = {"error": str(error), "usage": isinstance(error, PerfUsageError)}
    print(f"{ANSWER}{json.dumps(found)}")


def _measure(request: Request) -> dict[str, float]:
    provider, runtime = resolve(request.provider), runtime_named(request.runtime)
    before = peak_resident_bytes()
    start = time.perf_counter_ns()
    library = None if request.library is None else Path(request.library)
    session = runtime.open_session(Path(request.path), provider, request.threads, library)
    load_ns = time.perf_counter_ns() - start
    if request.inputs is not None:
        feeds = read_inputs(Path(request.inputs))
    else:
        feeds = synthesise(
            request.path,
            declared_inputs(session),
            batch=request.batch,
            seq_len=request.seq_len,
            vocab_size=request.vocab_size,
        )
    first_run(request.path, session, feeds)
    if isinstance(session, MeasuresItself):
        return {"load_ms": session.load_ns / 1e6, "peak_bytes": session.peak_bytes()}
    return {"load_ms": load_ns / 1e6, "peak_bytes": peak_resident_bytes() - before}


def _ask(request: Request, python: Path | None) -> dict[str, float]:
    child = subprocess.run(
        command("perf.machine.footprint", json.dumps(asdict(request)), python=python),
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        raise PerfError(
            f"the process that loads {request.path} ended with {death(child.returncode)} ({last}); expected one run at "
            f"batch {request.batch} and {request.seq_len} tokens: free some memory, or pass a shorter --seq-len"
        )
    found = json.loads(child.stdout.partition(ANSWER)[2].splitlines()[0])
    if "error" in found:
        raise (PerfUsageError if found["usage"] else PerfError)(found["error"])
    return found
