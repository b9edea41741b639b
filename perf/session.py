"""Make a session that can be timed fairly beside others, and learn which provider really took its nodes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from perf.errors import PerfError, PerfUsageError, one_line
from perf.providers import CPU, Provider

LOG_ERRORS_ONLY = 3
"""onnxruntime's severity 3: its warnings would land between the lines of a report."""


@dataclass(frozen=True)
class Placement:
    """How many nodes each provider took, and how many of each operator: provider -> operator -> nodes.

    Providers carry onnxruntime's names. Taken from the session's graph assignment, because the session's list of
    providers also names those that took nothing.
    """

    operators: dict[str, dict[str, int]]

    @property
    def nodes(self) -> dict[str, int]:
        """Provider -> number of nodes."""
        return {provider: sum(counts.values()) for provider, counts in self.operators.items()}


def open_session(path: Path, provider: Provider, threads: int) -> ort.InferenceSession:
    """A session for one file on one provider, the CPU behind it, with `threads` threads inside an operator.

    Raises:
        PerfError: no such file, a file that onnxruntime does not load, or a provider that takes no node of it.
    """
    if not path.is_file():
        raise PerfError(f"no file {path}; expected an .onnx model: check the path")
    try:
        session = ort.InferenceSession(
            str(path),
            sess_options=_options(threads),
            providers=list(dict.fromkeys([provider.ort_name, CPU.ort_name])),
            enable_fallback=0,  # or a provider that fails to start is silently replaced by the CPU
        )
    except Exception as error:  # onnxruntime raises one class per status code, all straight from Exception
        raise PerfError(
            f"onnxruntime {ort.__version__} cannot load {path} on {provider.name}: {one_line(error)}"
        ) from None
    taken = placement(session).nodes
    if provider != CPU and not taken.get(provider.ort_name):
        total = sum(taken.values())
        raise PerfError(
            f"{provider.ort_name} took none of the {total} nodes of {path}, so the CPU would have run them all; "
            "timed nothing: choose another provider, or a model made for this one"
        )
    return session


def placement(session: ort.InferenceSession) -> Placement:
    """Which provider took how many nodes, by operator."""
    operators: dict[str, Counter[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        counts = operators.setdefault(part.ep_name, Counter())
        counts.update(node.op_type for node in part.get_nodes())
    return Placement({name: dict(counts.most_common()) for name, counts in operators.items()})


def fallback_warning(name: str, provider: Provider, placed: Placement) -> str | None:
    """One sentence if the provider took only a part of the model called `name`, else None."""
    nodes = placed.nodes
    taken, total = nodes.get(provider.ort_name, 0), sum(nodes.values())
    if taken == total:
        return None
    left = Counter[str]()
    for other, counts in placed.operators.items():
        if other != provider.ort_name:
            left.update(counts)
    fallen = ", ".join(f"{operator} ×{count}" for operator, count in left.most_common())
    return (
        f"{name}: {provider.ort_name} took {taken} of {total} nodes, so its times are those of two providers; "
        f"fell back to the CPU: {fallen}; a model made for {provider.name} (fixed shapes, its operators) mends it"
    )


def first_run(name: str, session: ort.InferenceSession, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run once, and say what was fed if the model called `name` does not take it; the tensors it answers, by name.

    Raises:
        PerfUsageError: most often a length beyond the model's positions, or ids beyond its vocabulary.
    """
    try:
        values = session.run(None, feeds)
    except Exception as error:
        fed = ", ".join(f"{key} {list(value.shape)}" for key, value in feeds.items())
        raise PerfUsageError(
            f"{name} does not run on {fed} ({one_line(error)}); expected lengths within its positions and ids within "
            "its vocabulary: pass a shorter --seq-len, or the size of its vocabulary"
        ) from None
    named = zip((output.name for output in session.get_outputs()), values, strict=True)
    return {key: value for key, value in named if isinstance(value, np.ndarray)}


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = LOG_ERRORS_ONLY
    # Threads of a session that has just run spin for a while, and would take the cores of the next model's run.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    return options
