"""Query of a provider that is usable here: which nodes a session gives it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import onnxruntime as ort

from perf.providers import Provider
from perf.providers.plugin import imitation
from perf.sessions.opener import Opener, describe, placement
from perf.sessions.subject import Subject
from perf.sessions.types import Progress


@dataclass(frozen=True)
class Answer:
    """Placement of a model's nodes in a session.

    Args:
        source: The provider and the runtime that answered.
        taken: Number of nodes on the provider, by operator.
        left: Number of nodes on other providers, by operator.
        names: Names of the nodes on other providers, by operator, if the session reports them.
        partitions: Number of parts that the provider compiled; None if it runs single nodes.
    """

    source: str
    taken: dict[str, int]
    left: dict[str, int]
    names: dict[str, list[str]]
    partitions: int | None


def ask(path: Path, provider: Provider, library: Path | None, progress: Progress) -> Answer:
    """Opens a session as `bench` does, in a separate environment if the provider needs one.

    Raises PerfError if that fails, or if the provider takes no node.
    """
    subject = Subject(path.name, path, library=library)
    with Opener(progress) as opener:
        session = opener.open(subject, path, provider, 1)
        placed, runtime = placement(subject, session), describe(subject, session)
        left = Counter[str]()
        for name, counts in placed.operators.items():
            if name != provider.ort_name:
                left.update(counts)
        stand_in = imitation(provider)
        return Answer(
            source=f"the provider itself{f', as {stand_in}' if stand_in else ''}, {runtime}",
            taken=placed.operators.get(provider.ort_name, {}),
            left=dict(left.most_common()),
            names=_names(session, provider) if isinstance(session, ort.InferenceSession) else {},
            partitions=placed.partitions.get(provider.ort_name),
        )


def _names(session: ort.InferenceSession, provider: Provider) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        if part.ep_name != provider.ort_name:
            for node in part.get_nodes():
                names.setdefault(node.op_type, []).append(node.name)
    return names
