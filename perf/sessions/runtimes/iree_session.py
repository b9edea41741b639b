"""IREE on the CPU: `.vmfb` files, whose shapes are fixed, each with a `.json` of names beside it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from perf.errors import PerfError, one_line
from perf.providers import Provider
from perf.sessions.inputs import DeclaredPorts
from perf.sessions.peer_file import check_peer_file, named_inputs, named_outputs, read_conversion
from perf.sessions.session import Placement

try:
    import iree.runtime as iree
except ImportError as error:
    raise PerfError("iree-base-runtime is not installed here; pip install iree-base-runtime") from error

ALONE, TOGETHER = "local-sync", "local-task"
"""IREE's two CPU devices: the calling thread, and a thread pool."""

_workers: set[int] = set()


class IreeSession(DeclaredPorts):
    """A function of a loaded module, with the methods of onnxruntime's session."""

    def __init__(self, function: Any, conversion: Mapping[str, Any], device: str) -> None:
        self.function, self.conversion, self.device = function, conversion, device
        super().__init__(named_inputs(conversion), named_outputs(conversion))

    def run(self, _: None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        found = self.function(*(feed[item.name] for item in self._inputs))
        values = found if isinstance(found, (list, tuple)) else [found]
        return [value.to_host() for value in values]


def open_session(path: Path, provider: Provider, threads: int, library: Path | None = None) -> IreeSession:
    """Loads a file: one thread is the calling one, several are the process's only thread pool.

    Raises:
        PerfUsageError: a provider other than the CPU.
        PerfError: no such file, one that IREE does not load, or the process already has a pool of another size.
    """
    check_peer_file(path, provider, "IREE")
    conversion = read_conversion(path)
    try:
        device = _device(threads)
        context = iree.SystemContext(config=iree.Config(device))
        module = iree.VmModule.mmap(context.instance, str(path))
        context.add_vm_module(module)
        return IreeSession(context.modules[module.name][conversion["function"]], conversion, device)
    except PerfError:
        raise
    except Exception as error:  # it raises several classes
        raise PerfError(f"IREE {_version()} cannot load {path}: {one_line(error)}") from None


def placement(session: IreeSession) -> Placement:
    """Returns one kind of operator: the dispatches that the compiler fused the model into."""
    return Placement({"IREE": {"dispatch": session.conversion["dispatches"]}})


def describe(session: IreeSession) -> str:
    """Returns the version and the device."""
    return f"IREE {_version()} ({session.device})"


def _device(threads: int) -> str:
    if threads == 1:
        return ALONE
    if _workers - {threads}:
        raise PerfError(
            f"IREE has a pool of {min(_workers)} threads in this process, which cannot become {threads}: "
            "run each in a process of its own"
        )
    # Read when the first device is created. A device's own parameter of this name has no effect.
    iree.flags.parse_flags(f"--task_topology_group_count={threads}")
    _workers.add(threads)
    return TOGETHER


def _version() -> str:
    return metadata.version("iree-base-runtime")
