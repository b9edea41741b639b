"""ncnn on the CPU: `.param` files, whose shapes are fixed, each with a `.bin` and a `.json` of names beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from perf.errors import PerfError
from perf.providers import Provider
from perf.sessions.inputs import DeclaredPorts
from perf.sessions.peer_file import check_peer_file, named_inputs, named_outputs, read_conversion
from perf.sessions.session import Placement

try:
    import ncnn
except ImportError as error:
    raise PerfError("ncnn is not installed here; pip install ncnn") from error

NO_WORK = ("Input", "MemoryData", "Split")
"""Layers that compute nothing."""

HEADER = 2
"""Lines of a `.param` before its layers: a magic number, and the counts."""


class NcnnSession(DeclaredPorts):
    """A loaded net, with the methods of onnxruntime's session."""

    def __init__(self, net: Any, path: Path, conversion: Mapping[str, Any]) -> None:
        self.net, self.path = net, path
        super().__init__(named_inputs(conversion), named_outputs(conversion))

    def run(self, _: None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        with self.net.create_extractor() as extractor:
            for index, item in enumerate(self._inputs):
                # pnnx drops names and numbers inputs and outputs. The first axis is the batch.
                extractor.input(f"in{index}", ncnn.Mat(feed[item.name], batch_index=0))
            values = []
            for index, output in enumerate(self._outputs):
                failed, value = extractor.extract(f"out{index}")
                if failed:
                    raise PerfError(f"ncnn cannot compute {output.name} of {self.path.name} (error {failed})")
                values.append(value.numpy(batch_index=0).copy())  # a view of the net's memory
        return values


def open_session(path: Path, provider: Provider, threads: int, library: Path | None = None) -> NcnnSession:
    """Loads a file, to be computed in float32.

    Raises:
        PerfUsageError: a provider other than the CPU.
        PerfError: no such file, or one that ncnn does not load.
    """
    check_peer_file(path, provider, "ncnn")
    conversion = read_conversion(path)
    net = ncnn.Net()
    net.opt.num_threads = threads
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, option, False)  # float32 also where a CPU has float16
    if net.load_param(str(path)) or net.load_model(str(path.with_suffix(".bin"))):
        raise PerfError(f"ncnn {_version()} cannot load {path} and its .bin; expected a file of pnnx: convert it again")
    return NcnnSession(net, path, conversion)


def placement(session: NcnnSession) -> Placement:
    """Returns the layers of the file."""
    kinds = (line.split()[0] for line in session.path.read_text().splitlines()[HEADER:])
    return Placement({"ncnn": dict(Counter(kind for kind in kinds if kind not in NO_WORK).most_common())})


def describe(session: NcnnSession) -> str:
    """Returns the version and the type of floats."""
    return f"ncnn {_version()} (floats as f32)"


def _version() -> str:
    return metadata.version("ncnn")
