"""onnxruntime: sessions that can be timed beside others, and the placement of their nodes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnxruntime as ort

from perf.errors import PerfError, one_line
from perf.providers import CPU, Provider
from perf.providers.plugin import LOG_ERRORS_ONLY, devices, is_installed
from perf.sessions.runtimes.mapping.mapped_weights import open_mapped
from perf.sessions.session import Placement


def open_session(path: Path, provider: Provider, threads: int, library: Path | None = None) -> ort.InferenceSession:
    """Opens a session for one file on one provider, with the CPU for other nodes and `threads` threads in an operator.

    `library` has custom operators, which replace functions of the same names. A file that runs with them on the CPU is
    opened as `mbert_onnx.load` does: its weights are mapped from the file.

    Raises:
        PerfError: no such file, a file that onnxruntime does not load, or a provider that takes no node of it.
    """
    if not path.is_file():
        raise PerfError(f"no file {path}; expected an .onnx model: check the path")
    # A plugin is opened by its devices: by name, onnxruntime would accept it once registered, but assign it no node.
    plugged = devices(provider) if is_installed(provider) else []
    try:
        options = _options(threads, library)
        if plugged:
            options.add_provider_for_devices(plugged, dict(provider.options))
            session = ort.InferenceSession(str(path), sess_options=options)
        elif library is not None and provider.ort_name == CPU.ort_name:
            # Weights that the kernels pack are in memory once only if they are mapped.
            session = open_mapped(path, options, providers=[CPU.ort_name])
        else:
            session = ort.InferenceSession(
                str(path),
                sess_options=options,
                providers=list(dict.fromkeys([provider.ort_name, CPU.ort_name])),
                enable_fallback=0,  # otherwise the CPU silently replaces a provider that fails to start
            )
    except Exception as error:  # onnxruntime raises a class for each status code, all derived from Exception
        raise PerfError(
            f"onnxruntime {ort.__version__} cannot load {path} on {provider.name}: {one_line(error)}"
        ) from None
    taken = placement(session).nodes
    if provider.ort_name != CPU.ort_name and not taken.get(provider.ort_name):
        total = sum(taken.values())
        raise PerfError(
            f"{provider.ort_name} took none of the {total} nodes of {path}, so the CPU would have run them all; "
            "timed nothing: choose another provider, or a model exported for this one"
        )
    return session


def placement(session: ort.InferenceSession) -> Placement:
    """Returns the nodes that each provider runs.

    Read from the session's graph assignment, because its list of providers also has those that run no node.
    """
    operators: dict[str, Counter[str]] = {}
    sizes: dict[str, list[int]] = {}
    for part in session.get_provider_graph_assignment_info():
        nodes = [node.op_type for node in part.get_nodes()]
        operators.setdefault(part.ep_name, Counter()).update(nodes)
        sizes.setdefault(part.ep_name, []).append(len(nodes))
    # A provider that runs single nodes has a part for each.
    partitions = {name: len(parts) for name, parts in sizes.items() if max(parts) > 1}
    return Placement({name: dict(counts.most_common()) for name, counts in operators.items()}, partitions)


def describe(_: ort.InferenceSession) -> str:
    """Returns the name and version."""
    return f"onnxruntime {ort.__version__}"


def _options(threads: int, library: Path | None) -> ort.SessionOptions:
    options = ort.SessionOptions()
    if library is not None:
        options.register_custom_ops_library(str(library))
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = LOG_ERRORS_ONLY
    # Threads of a session spin for a while after a run, and would take the cores of the next model's run.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options
