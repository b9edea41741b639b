"""Forecast: which nodes of a model a provider would run, and why not the rest, without its device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import onnx_ir as ir

from perf.errors import PerfError
from perf.providers import Provider, standing
from perf.providers.forecast.asking import Answer, ask
from perf.providers.forecast.checks import Refusal
from perf.providers.forecast.graph import Graph, read_graph
from perf.providers.forecast.partitions import count_partitions
from perf.providers.forecast.result import Forecast, Left
from perf.providers.forecast.rules import Rules, rules_of
from perf.providers.forecast.rules.rules import operator_of
from perf.sessions.types import Progress, no_progress

__all__ = ["Forecast", "Graph", "Left", "forecast", "read_graph"]

NOT_SAID = "the provider does not say why"


def forecast(
    path: Path,
    provider: Provider,
    library: Path | None = None,
    progress: Progress = no_progress,
    *,
    read: Callable[[Path], Graph] = read_graph,
) -> Forecast:
    """Forecasts what a provider would run: queries the provider if it is usable here, otherwise applies its rules.

    Args:
        path: An .onnx file.
        provider: Any known provider.
        library: A library of custom operators, for a provider that has kernels for them.
        progress: Called with a line when an environment is created for a provider that needs its own.
        read: Reads the file; forecasts of several providers may share a reader that reads each file once.

    Raises PerfError if onnxruntime does not load the file.
    """
    graph = read(path)
    rules = rules_of(provider)
    if not standing(provider).usable:
        return _by_rules(graph, provider, rules)
    try:
        answer = ask(path, provider, library, progress)
    except PerfError as error:
        if not rules:
            raise
        return _by_rules(graph, provider, rules, (f"the provider itself was asked first: {error}",))
    return _by_answer(graph, provider, rules, answer)


def _by_rules(graph: Graph, provider: Provider, rules: tuple[Rules, ...], notes: tuple[str, ...] = ()) -> Forecast:
    first, *others = rules
    refusals = _refusals(graph, first)
    taken = [node for node in graph.nodes if node not in refusals]
    return Forecast(
        provider=provider.name,
        source=first.source,
        asked=False,
        nodes=len(graph.nodes),
        taken=_counts(operator_of(node) for node in taken),
        partitions=_partitions(graph, taken),
        left=_left((operator_of(node), refusal.reason, _name(node)) for node, refusal in refusals.items()),
        advice=(*_help(refusals.values()), *(_otherwise(graph, other) for other in others), *first.notes, *notes),
    )


def _by_answer(graph: Graph, provider: Provider, rules: tuple[Rules, ...], answer: Answer) -> Forecast:
    refusals = _refusals(graph, rules[0]) if rules else {}
    reasons = {operator_of(node): refusal for node, refusal in refusals.items()}
    examples = {node.op_type: _name(node) for node in reversed(graph.nodes)}
    elsewhere = {name for names in answer.names.values() for name in names}
    left = tuple(
        Left(
            operator,
            count,
            reasons[operator].reason if operator in reasons else NOT_SAID,
            next(iter(answer.names.get(operator, ())), examples.get(operator, "")),
        )
        for operator, count in answer.left.items()
    )
    rest = [
        node for node in graph.nodes if _name(node) not in elsewhere and (elsewhere or node.op_type in answer.taken)
    ]
    return Forecast(
        provider=provider.name,
        source=answer.source,
        asked=True,
        nodes=sum(answer.taken.values()) + sum(answer.left.values()),
        taken=answer.taken,
        partitions=_partitions(graph, rest) if answer.partitions is None else answer.partitions,
        left=left,
        advice=_help(reasons[operator] for operator in answer.left if operator in reasons),
    )


def _refusals(graph: Graph, rules: Rules) -> dict[ir.Node, Refusal]:
    return {node: refusal for node in graph.nodes if (refusal := rules.refusal(node)) is not None}


def _partitions(graph: Graph, taken: Collection[ir.Node]) -> int:
    return count_partitions(graph.model.graph, {node.outputs[0].name or "" for node in taken})


def _left(found: Iterable[tuple[str, str, str]]) -> tuple[Left, ...]:
    """Groups refused nodes by operator and reason, largest group first."""
    examples: dict[tuple[str, str], str] = {}
    counts = Counter[tuple[str, str]]()
    for operator, reason, name in found:
        examples.setdefault((operator, reason), name)
        counts[operator, reason] += 1
    return tuple(
        Left(operator, count, reason, examples[operator, reason]) for (operator, reason), count in counts.most_common()
    )


def _help(refusals: Iterable[Refusal]) -> tuple[str, ...]:
    """Returns the advice of refusals, that for most nodes first."""
    return tuple(help for help, _ in Counter(one.help for one in refusals if one.help).most_common())


def _otherwise(graph: Graph, rules: Rules) -> str:
    """Returns a line on what the provider would run if it is opened with the option of other rules."""
    taken = [node for node in graph.nodes if rules.refusal(node) is None]
    parts = _partitions(graph, taken)
    return (
        f"open it with {rules.option}: {rules.name} takes {len(taken)} of {len(graph.nodes)} nodes in {parts} "
        f"partition{'s' if parts != 1 else ''}"
    )


def _counts(operators: Iterable[str]) -> dict[str, int]:
    return dict(Counter(operators).most_common())


def _name(node: ir.Node) -> str:
    return node.name or node.outputs[0].name or ""
