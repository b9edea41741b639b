"""IREE on the CPU: `.vmfb` files, whose shapes are fixed, each with a `.json` of names beside it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from perf.errors import PerfError, one_line
from perf.providers import Provider
from perf.sessions.inputs import DeclaredInput
from perf.sessions.peer_file import check_peer_file, told_beside, told_inputs, told_outputs
from perf.sessions.session import Placement

try:
    import iree.runtime as iree
except ImportError as error:
    raise PerfError("iree-base-runtime is not installed here; pip install iree-base-runtime") from error

ALONE, TOGETHER = "local-sync", "local-task"
"""IREE's two devices of a CPU: the calling thread, and a pool of workers."""

_workers: set[int] = set()


class IreeSession:
    """A function of a loaded module, with the methods of onnxruntime's session."""

    def __init__(self, function: Any, told: Mapping[str, Any], device: str) -> None:
        self.function, self.told, self.device = function, told, device
        self._inputs, self._outputs = told_inputs(told), told_outputs(told)

    def get_inputs(self) -> list[DeclaredInput]:
        return self._inputs

    def get_outputs(self) -> list[DeclaredInput]:
        return self._outputs

    def run(self, _: None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        found = self.function(*(feed[item.name] for item in self._inputs))
        values = found if isinstance(found, (list, tuple)) else [found]
        return [value.to_host() for value in values]


def open_session(path: Path, provider: Provider, threads: int, library: Path | None = None) -> IreeSession:
    """Loads a file with so many threads: the caller's where it is one, else a pool, which a process has once.

    Raises:
        PerfUsageError: another provider than the CPU is asked for.
        PerfError: no such file, one that IREE does not load, or a pool of another size is there already.
    """
    check_peer_file(path, provider, "IREE")
    told = told_beside(path)
    try:
        device = _device(threads)
        context = iree.SystemContext(config=iree.Config(device))
        module = iree.VmModule.mmap(context.instance, str(path))
        context.add_vm_module(module)
        return IreeSession(context.modules[module.name][told["function"]], told, device)
    except PerfError:
        raise
    except Exception as error:  # of several kinds
        raise PerfError(f"IREE {_version()} cannot load {path}: {one_line(error)}") from None


def placement(session: IreeSession) -> Placement:
    """One kind of operator: the pieces of work that the compiler fused the model into."""
    return Placement({"IREE": {"dispatch": session.told["dispatches"]}})


def describe(session: IreeSession) -> str:
    """Version and device."""
    return f"IREE {_version()} ({session.device})"


def _device(threads: int) -> str:
    if threads == 1:
        return ALONE
    if _workers - {threads}:
        raise PerfError(
            f"IREE has a pool of {min(_workers)} threads in this process, which cannot become {threads}: "
            "run each in a process of its own"
        )
    # Read when the first device is made. A device's own parameter of this name changes nothing.
    iree.flags.parse_flags(f"--task_topology_group_count={threads}")
    _workers.add(threads)
    return TOGETHER


def _version() -> str:
    return metadata.version("iree-base-runtime")
