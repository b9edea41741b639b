"""TVM on the CPU: libraries (`.so`) with fixed shapes, each with a `.json` of names beside it."""

from __future__ import annotations

from collections import Counter
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
    import tvm
    from tvm import relax
except ImportError as error:
    raise PerfError("apache-tvm is not installed here; pip install apache-tvm") from error

FUNCTION = "main"

ANY_CORE = -2
"""TVM's code for leaving the placement of threads to the system."""


class TvmSession(DeclaredPorts):
    """A virtual machine, with the methods of onnxruntime's session."""

    def __init__(self, machine: Any, conversion: Mapping[str, Any]) -> None:
        self.machine, self.conversion = machine, conversion
        self._function = machine[FUNCTION]
        super().__init__(named_inputs(conversion), named_outputs(conversion))

    def run(self, _: None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        found = self._function(*(tvm.runtime.tensor(feed[item.name]) for item in self._inputs))
        values = [found] if len(self._outputs) == 1 and hasattr(found, "numpy") else list(found)
        return [value.numpy() for value in values]


def open_session(path: Path, provider: Provider, threads: int, library: Path | None = None) -> TvmSession:
    """Loads a library, and sets the process's number of threads for TVM, of which untuned kernels use one.

    Raises:
        PerfUsageError: a provider other than the CPU.
        PerfError: no such file, or one that TVM does not load.
    """
    check_peer_file(path, provider, "TVM")
    conversion = read_conversion(path)
    try:
        tvm.get_global_func("runtime.config_threadpool")(ANY_CORE, threads)
        return TvmSession(relax.VirtualMachine(tvm.runtime.load_module(str(path)), tvm.cpu()), conversion)
    except Exception as error:  # it raises several classes
        raise PerfError(f"TVM {_version()} cannot load {path}: {one_line(error)}") from None


def placement(session: TvmSession) -> Placement:
    """Returns the kernels that a run calls, after fusion, named after the operators in them."""
    return Placement({"TVM": dict(Counter(session.conversion["kernels"]).most_common())})


def describe(session: TvmSession) -> str:
    """Returns the version, and that its kernels are untuned: plain loops on one thread."""
    return f"TVM {_version()} (untuned, one thread)"


def _version() -> str:
    return metadata.version("apache-tvm")
