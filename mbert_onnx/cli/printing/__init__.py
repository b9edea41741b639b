"""What the command line prints: progress on standard error, results on standard output."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mbert_onnx.runtime.answers import Choices, Classification, FilledMask, NextSentence, as_json
from mbert_onnx.runtime.entities import Entity
from mbert_onnx.runtime.spans import Answer

if TYPE_CHECKING:
    from graphs.lowering.bit_search import Plan
    from graphs.pipeline import Entry, Stage
    from graphs.reports.census import Census, Port
    from graphs.reports.tensor_ranges import Numbers
    from mbert_onnx.conversion.exporter import ExportReport
    from mbert_onnx.conversion.optimizer import OptimizeReport
    from mbert_onnx.diagnosis.provider_forecast import ProviderDiagnosis
    from mbert_onnx.diagnosis.ranges import Diagnosis
    from perf.devices.emulated.report import EmulatedReport
    from perf.presentation.comparison import Comparison
    from perf.providers import Standing
    from perf.results.report import Report
    from perf.timing.texts import TextsReport

Progress = Callable[[str], None]

# Columns of a file or pipe.
PIPE_WIDTH = 110

# Columns of a table of tensors, whose names are long, in a file or pipe.
TENSORS_WIDTH = 220

# A pass that runs for so many targets runs for all.
ALL_TARGETS = 3

# Of a layer or tensor, so many channels and positions that stand out are named.
NAMED = 2

# A smaller share of numbers is told as less than it.
LEAST_SHARE = 0.001

# Numbers of an embedding that are shown; --json has all.
SHOWN = 8


@contextmanager
def progress() -> Iterator[Progress]:
    """A function that tells what is going on: a spinner with the time on a terminal, else a line for each stage."""
    console = Console(stderr=True, highlight=False)
    since = time.perf_counter()
    if not console.is_terminal:
        yield lambda line: print(f"[{time.perf_counter() - since:5.1f} s] {line}", file=sys.stderr, flush=True)
        return
    with console.status("starting") as status:
        current: list[str] = []

        def tell(line: str) -> None:
            if current:
                console.print(f"[dim]{time.perf_counter() - since:5.1f} s[/dim]  {current.pop()}", markup=True)
            shown = escape(line)  # a name, or a line of another machine, may look like markup
            current.append(shown)
            status.update(shown)

        yield tell


def print_export(report: ExportReport, explain: bool = False) -> None:
    verdict, census = report.verdict, report.census
    console = _console()
    console.print(f"{report.model}  {_megabytes(census.file_bytes)}, {report.task}, opset {report.opset}")
    _print_ledger(console, report.ledger, explain)
    _print_restarts(console, report.restarts)
    _print_plan(console, report.plan)
    console.print(f"  verified   {verdict}")
    total = sum(report.seconds.values())
    console.print(f"  took       {total:.1f} s: " + ", ".join(f"{name} {s:.1f}" for name, s in report.seconds.items()))
    _print_notes(console, report.notes)


def _print_plan(console: Console, plan: Plan | None) -> None:
    """How it was found which activations need more than 8 bits, if that was asked."""
    if plan is None:
        return
    table = _table(("  activations", "become", "cost alone", "difference then"), right=range(1, 4))
    table.add_row("  all", "8 bits", "", f"{plan.first:.1e}")
    for trial in plan.trials:
        error = f"{trial.error:.1e}" if trial.kept else f"({trial.error:.1e}: taken back)"
        table.add_row(f"  {trial.what}", trial.change, f"{trial.alone:.1e}", error)
    console.print(table)


def print_optimize(report: OptimizeReport, explain: bool = False) -> None:
    console = _console()
    sizes = f"{_megabytes(report.bytes_before)} → {_megabytes(report.bytes_after)}"
    console.print(f"{report.path}  {sizes}, target {report.target}, opset {report.opset}")
    _print_ledger(console, report.ledger, explain)
    if not report.changed:
        console.print("  unchanged  nothing applies, or the file is optimised already: it was copied as it is")
    _print_restarts(console, report.restarts)
    _print_plan(console, report.plan)
    if report.damage is not None:
        console.print(f"  measured   {report.damage}")
    elif report.error is not None:
        given = "" if report.given_error is None else f" (the file that was read: {report.given_error:.1e})"
        judge = "the file that was read" if report.given_error is None else "float64"
        console.print(f"  checked    centred error {report.error:.1e} against {judge}{given}, bar {report.bar:.1e}")
    console.print(f"  took       {report.seconds:.1f} s")
    _print_notes(console, report.notes)


def print_passes(stages: list[Stage]) -> None:
    console = _console()
    seen = set()
    for stage in stages:
        targets = "" if len(stage.targets) == ALL_TARGETS else f" [{', '.join(stage.targets)}]"
        console.print(f"{stage.name}{targets}", markup=False, style="bold")
        if stage.name not in seen:
            console.print(f"    {stage.summary}", markup=False)
        seen.add(stage.name)
        console.print(f"    stands here: {stage.why}", markup=False)


def print_diagnosis(found: Diagnosis, show_all: bool = False) -> None:
    """A line for each layer, or for each tensor; then what each precision would make of it, and what to do."""
    console = _console()
    console.print(f"{found.model}  {found.task}; {found.texts} texts of {found.calibration}, {found.tokens:,} tokens")
    if show_all:
        for state in found.maps:
            title = "as it is" if state == "as_is" else f"rescaled for {state}"
            console.print(f"{title}:")
            _print_tensors(console, found, found.maps[state])
    else:
        _print_layers(console, found)
    for prospect in found.prospects.values():
        counts = [(prospect.unsafe, prospect.tensors), (prospect.rescaled_unsafe, prospect.rescaled_tensors)]
        before, after = (f"{unsafe} of {tensors}" for unsafe, tensors in counts)
        what = "tensors" if prospect.precision == "fp16" else "products' inputs"
        over = f" ({prospect.overflowing} overflow)" if prospect.precision == "fp16" else ""
        console.print(
            f"{prospect.precision:5s} as it is, {before} {what} are not safe{over}; "
            f"after --precision {prospect.precision}'s rescaling {after}: {prospect.advice}"
        )
    console.print(f"took  {found.seconds:.1f} s")
    for note in found.notes:
        console.print(f"note  {note}")


def _print_layers(console: Console, found: Diagnosis) -> None:
    """As it is → rescaled for the precision that a column is about."""
    titles = ("layer", "worst tensor", "peak", "not fp16", "fp16 loses", "not int8", "hot channels", "hot tokens")
    table = _table(titles, right=(2, 3, 4, 5))
    for layer in found.layers:
        now, half, eight = ([n for n in found.maps[state] if n.layer == layer] for state in ("as_is", "fp16", "int8"))
        worst = max(now, key=lambda numbers: (numbers.kind == "activation", numbers.peak))
        table.add_row(
            layer,
            worst.name.removeprefix(f"{layer}/"),
            f"{worst.peak:.1e}",
            " → ".join(str(sum(not n.safe_in_fp16 for n in numbers)) for numbers in (now, half)),
            " → ".join(_percent(max((_lost(n) for n in numbers), default=0.0)) for numbers in (now, half)),
            " → ".join(str(sum(not n.safe_in_int8 for n in numbers)) for numbers in (now, eight)),
            _channels(now),
            _tokens(now, found.pieces),
        )
    console.print(table)


def _print_tensors(console: Console, found: Diagnosis, numbers: list[Numbers]) -> None:
    titles = ("tensor", "min", "max", "rms", "over", "under", "fp16", "bits", "error", "hot channels", "hot tokens")
    table = _table(titles, right=(1, 2, 3, 4, 5, 7, 8))
    for one in numbers:
        table.add_row(
            one.name,
            *(f"{number:.1e}" for number in (one.low, one.high, one.rms)),
            *(_percent(share) for share in (one.overflow, one.underflow)),
            "safe" if one.safe_in_fp16 else "no",
            "" if one.bits is None else f"{one.bits:.1f}",
            "" if one.error is None else f"{one.error:.1e}",
            _channels([one]),
            _tokens([one], found.pieces),
        )
    if not console.is_terminal:
        console.width = max(console.width, TENSORS_WIDTH)
    console.print(table)


def _lost(numbers: Numbers) -> float:
    """The share that float16 would lose."""
    return numbers.overflow + numbers.underflow


def _percent(share: float) -> str:
    return "0" if share == 0 else f"{share:.1%}" if share >= LEAST_SHARE else f"<{LEAST_SHARE:.1%}"


def _channels(numbers: list[Numbers]) -> str:
    """The channels that stand out most, and how far: `0 (3e+06×), 28 (2e+04×), …`."""
    times: dict[int, float] = {}
    for channel in [channel for one in numbers for channel in one.channels]:
        times[channel.channel] = max(times.get(channel.channel, 0.0), channel.times)
    return _named({str(channel): value for channel, value in times.items()})


def _tokens(numbers: list[Numbers], pieces: dict[int, str]) -> str:
    """The positions that stand out most, with what stands there: `0 [CLS] (9e+05×)`."""
    times: dict[int, tuple[float, str]] = {}
    for token in [token for one in numbers for token in one.tokens]:
        label = f"{token.position} {pieces.get(token.token_id, '')}".strip()
        times[token.position] = max(times.get(token.position, (0.0, "")), (token.times, label))
    return _named({label: value for value, label in times.values()})


def _named(times: dict[str, float]) -> str:
    order = sorted(times, key=lambda label: -times[label])
    return ", ".join(
        [*(f"{label} ({times[label]:.0e}×)" for label in order[:NAMED]), *(["…"] if order[NAMED:] else [])]
    )


def _table(titles: Sequence[str], right: Sequence[int]) -> Table:
    """An empty one without a frame; columns of these numbers are aligned right, and those after them may wrap."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for number, title in enumerate(titles):
        table.add_column(title, justify="right" if number in right else "left", no_wrap=number <= max(right))
    return table


def _print_ledger(console: Console, ledger: list[Entry], explain: bool) -> None:
    """One line for each pass that did something; with `explain`, why others did not."""
    if not ledger:
        return
    table = _table(("  pass", "matches", "nodes", "MACs saved", "weights saved", "difference"), right=range(1, 6))
    busy = {entry.name for entry in ledger if entry.matches}
    idle = [entry.name for entry in ledger if entry.name not in busy]
    for entry in ledger:
        if entry.matches:
            nodes = f"{entry.nodes_before:,} → {entry.nodes_after:,}"
            macs = "?" if entry.macs_saved is None else f"{entry.macs_saved:,}"
            error = "" if entry.error is None else f"{entry.error:.1e}"
            table.add_row(f"  {entry.name}", f"{entry.matches:,}", nodes, macs, f"{entry.bytes_saved:,} B", error)
    console.print(table)
    if idle:
        console.print(f"  found nothing to do: {', '.join(dict.fromkeys(idle))}")
    misses = [(entry.name, miss) for entry in ledger for miss in entry.misses]
    if explain:
        for name, miss in misses:
            console.print(f"  {name} left {miss.node} alone: {miss.reason}", markup=False)
        if not misses:
            console.print("  no block was left alone")
    elif misses:
        places = "1 place was" if len(misses) == 1 else f"{len(misses)} places were"
        console.print(f"  {places} left alone; --explain tells which, and why")


def _print_restarts(console: Console, restarts: int) -> None:
    if restarts:
        console.print(f"  restarts   {restarts}: streams that had to be rescaled or written out on the way")


def _print_notes(console: Console, notes: list[str]) -> None:
    for note in notes:
        console.print(f"  note       {note}")


def print_bench(report: Report, markdown: bool) -> None:
    from perf.presentation.table import print_report, to_markdown

    if markdown:
        print(to_markdown(report))
    else:
        print_report(report, _console())


def print_comparison(comparison: Comparison) -> None:
    from perf.presentation import comparison as own

    own.print_comparison(comparison, _console())


def print_forecasts(found: Sequence[ProviderDiagnosis]) -> None:
    from mbert_onnx.cli.printing.forecast import print_diagnoses

    print_diagnoses(found, _console())


def print_providers(found: Sequence[Standing]) -> None:
    from perf.providers.table import print_standings

    print_standings(found, _console())


def print_bench_texts(report: TextsReport) -> None:
    from perf.timing.texts import print_texts

    print_texts(report, _console())


def print_bench_emulated(report: EmulatedReport) -> None:
    from perf.devices.emulated.table import print_emulated

    print_emulated(report, _console())


def print_census(census: Census) -> None:
    console = _console()
    console.print(
        f"opset {census.opset}, IR {census.ir_version}, by {census.producer or 'unknown'}; "
        f"file {_megabytes(census.file_bytes)}"
    )
    for title, ports in (("inputs", census.inputs), ("outputs", census.outputs)):
        console.print(f"{title:11s}" + "\n           ".join(_port(port) for port in ports))
    console.print(f"parameters {census.parameters:,} ({_megabytes(census.weight_bytes)})")
    console.print(
        f"nodes      {census.node_count:,}: " + ", ".join(f"{count} {name}" for name, count in census.nodes.items())
    )
    at = f"at batch 1, {census.seq_len} tokens"
    if census.macs is None or census.macs_per_token is None:
        console.print(f"operations unknown: a shape could not be inferred {at}")
    else:
        console.print(f"operations {census.macs_per_token / 1e6:.1f} M multiply-accumulates per token {at}")
    if census.activation_bytes is None:
        console.print(f"memory     {_megabytes(census.weight_bytes)} of weights; activations unknown {at}")
    else:
        activations = _megabytes(census.activation_bytes)
        console.print(f"memory     {_megabytes(census.weight_bytes)} of weights, {activations} of activations {at}")


def print_answer(answer: Any, as_json_text: bool) -> None:
    """One line for each answer, best first; or JSON with all there is."""
    if as_json_text:
        readable = (sys.stdout.encoding or "").lower() == "utf-8"
        print(json.dumps(as_json(answer), ensure_ascii=not readable))
        return
    for line in _answer_lines(answer):
        print(line)


def _answer_lines(answer: Any) -> list[str]:
    if isinstance(answer, list):
        return [line for item in answer for line in _answer_lines(item)] or ["nothing found"]
    if isinstance(answer, Answer):
        found = answer.answer or "(no answer in the context)"
        return [f"{answer.score:.4f}  {found}  [{answer.start}:{answer.end}]"]
    if isinstance(answer, Classification):
        return [f"{label.score:.4f}  {label.label}" for label in answer.labels] + _cut(answer.truncated)
    if isinstance(answer, Entity):
        return [f"{answer.score:.4f}  {answer.entity_group}  {answer.word}  [{answer.start}:{answer.end}]"]
    if isinstance(answer, FilledMask):
        return [f"{token.score:.4f}  {token.token_str}  {token.sequence}" for token in answer.tokens]
    if isinstance(answer, NextSentence):
        lines = [f"{answer.is_next:.4f}  follows", f"{answer.not_next:.4f}  does not follow"]
        return lines + _cut(answer.truncated)
    if isinstance(answer, Choices):
        return [f"{choice.score:.4f}  {choice.choice}" for choice in answer.choices] + _cut(answer.truncated)
    numbers = answer.reshape(-1)
    shown = " ".join(f"{number:.4f}" for number in numbers[:SHOWN])
    return [f"{numbers.size} numbers: {shown}{' …' if numbers.size > SHOWN else ''}  (--json prints all)"]


def _cut(truncated: bool) -> list[str]:
    return ["(the end of the text was not read: it is longer than the model)"] if truncated else []


def _port(port: Port) -> str:
    shape = "unknown shape" if port.shape is None else f"[{', '.join(map(str, port.shape))}]"
    return f"{port.name} {port.dtype} {shape}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _console() -> Console:
    """As wide as the terminal; elsewhere wide enough for a bench's tables, whatever rich would take for a pipe."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = max(console.width, PIPE_WIDTH)
    return console
