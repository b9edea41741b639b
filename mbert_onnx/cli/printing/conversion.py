"""Printed results of `export`, `optimize` and `passes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mbert_onnx.cli.printing.console import megabytes, new_console, new_table
from mbert_onnx.text.name_lists import name_list

if TYPE_CHECKING:
    from rich.console import Console

    from graphs.ledger import Entry
    from graphs.lowering.bit_search import Plan
    from graphs.pipeline import Stage
    from mbert_onnx.conversion.reports import ExportReport, OptimizeReport, Verdict
    from mbert_onnx.conversion.text_files.report import TextReport

# Number of targets; a pass that runs for all of them is printed without their names.
ALL_TARGETS = 3


def print_export(report: ExportReport, explain: bool = False) -> None:
    """Prints the file, the ledger, the verification and the times; with `explain` each block left unchanged."""
    verdict, census = report.verdict, report.census
    console = new_console()
    console.print(f"{report.model}  {megabytes(census.file_bytes)}, {report.task}, opset {report.opset}")
    _print_ledger(console, report.ledger, explain)
    _print_restarts(console, report.restarts)
    _print_plan(console, report.plan)
    console.print(f"  verified   {verdict}")
    _print_text(console, report.text)
    total = sum(report.seconds.values())
    console.print(f"  took       {total:.1f} s: " + ", ".join(f"{name} {s:.1f}" for name, s in report.seconds.items()))
    _print_notes(console, report.notes)
    if report.beside:
        console.print(
            f"  beside     {name_list(report.beside)}: commands take the path of one of them as well as the folder's"
        )
    if report.removed:
        console.print(f"  removed    {name_list(report.removed)}, of the other checkpoint")
    if report.outdated:
        console.print(
            f"  removed    {name_list(report.outdated)}, of the model file that was replaced; --text writes it again"
        )
    if report.left_alone:
        console.print(f"  left alone {name_list(report.left_alone)}, which export did not write", markup=False)


def print_optimize(report: OptimizeReport, explain: bool = False) -> None:
    """Prints the file, the ledger, the check and the time; with `explain` each block left unchanged."""
    console = new_console()
    sizes = f"{megabytes(report.bytes_before)} → {megabytes(report.bytes_after)}"
    console.print(f"{report.path}  {sizes}, target {report.target}, opset {report.opset}")
    _print_ledger(console, report.ledger, explain)
    if not report.changed:
        done = "it was copied" if report.text is None else "only the text file's parts were added"
        console.print(f"  unchanged  no pass applies, or the file is already optimized: {done}")
    _print_restarts(console, report.restarts)
    _print_plan(console, report.plan)
    if report.damage is not None:
        console.print(f"  measured   {report.damage}")
    elif report.error is not None:
        given = "" if report.given_error is None else f" (the input file: {report.given_error:.1e})"
        judge = "the input file" if report.given_error is None else "float64"
        console.print(f"  checked    centred error {report.error:.1e} against {judge}{given}, bound {report.bar:.1e}")
    _print_text(console, report.text)
    console.print(f"  took       {report.seconds:.1f} s")
    _print_notes(console, report.notes)


def print_verdict(verdict: Verdict) -> None:
    """Prints whether two models are the same, the measurement, and what could not be compared."""
    console = new_console()
    damage, head = verdict.damage, "the same model" if verdict.passed else "NOT the same model"
    if verdict.tokens or verdict.text is None:
        console.print(f"{head}{': ' if damage is None else ', '}{verdict}")
    if verdict.text is not None:
        console.print(f"the same tokens: {verdict.text.tokens}", markup=False)
        if verdict.text.answers is not None:
            console.print(f"the same answers: {verdict.text.answers}", markup=False)
    for line in verdict.not_compared:
        console.print(f"  not compared  {line}")
    if damage is not None and damage.accepted and not damage.passed:
        console.print(f"  note          random weights: the argmax is unstable, so {damage.precision} is not refused")


def print_passes(stages: list[Stage]) -> None:
    """Prints the pipeline: each pass's name and targets, its summary the first time, and the reason for its place."""
    console = new_console()
    seen = set()
    for stage in stages:
        targets = "" if len(stage.targets) == ALL_TARGETS else f" [{', '.join(stage.targets)}]"
        console.print(f"{stage.name}{targets}", markup=False, style="bold")
        if stage.name not in seen:
            console.print(f"    {stage.summary}", markup=False)
        seen.add(stage.name)
        console.print(f"    why here: {stage.why}", markup=False)


def _print_ledger(console: Console, ledger: list[Entry], explain: bool) -> None:
    """Prints a line for each pass that matched; with `explain`, each near miss with its reason."""
    if not ledger:
        return
    table = new_table(("  pass", "matches", "nodes", "MACs saved", "weights saved", "difference"), right=range(1, 6))
    matched = {entry.name for entry in ledger if entry.matches}
    unmatched = [entry.name for entry in ledger if entry.name not in matched]
    for entry in ledger:
        if entry.matches:
            nodes = f"{entry.nodes_before:,} → {entry.nodes_after:,}"
            macs = "?" if entry.macs_saved is None else f"{entry.macs_saved:,}"
            error = "" if entry.error is None else f"{entry.error:.1e}"
            table.add_row(f"  {entry.name}", f"{entry.matches:,}", nodes, macs, f"{entry.bytes_saved:,} B", error)
    console.print(table)
    if unmatched:
        console.print(f"  without a match: {', '.join(dict.fromkeys(unmatched))}")
    misses = [(entry.name, miss) for entry in ledger for miss in entry.misses]
    if explain:
        for name, miss in misses:
            console.print(f"  {name} did not rewrite {miss.node}: {miss.reason}", markup=False)
        if not misses:
            console.print("  no near misses: every block that a pass looked at was rewritten")
    elif misses:
        blocks = "1 block was" if len(misses) == 1 else f"{len(misses)} blocks were"
        console.print(f"  {blocks} not rewritten; --explain prints which and why")


def _print_text(console: Console, report: TextReport | None) -> None:
    """Prints the text file, what it takes and gives, and its checks, if there is one."""
    if report is None:
        return
    names = "" if report.names is None else f", names in {report.names}"
    console.print(f"  text file  {report.path}  {megabytes(report.bytes)}, at most {report.limit} tokens{names}")
    console.print(f"             {', '.join(report.inputs)} → {', '.join(report.outputs)}", markup=False)
    for check in report.checks:
        console.print(f"             {check}", markup=False)


def _print_restarts(console: Console, restarts: int) -> None:
    if restarts:
        console.print(
            f"  restarts   {restarts}: places where a residual stream is written out or rescaled by nodes of its own"
        )


def _print_plan(console: Console, plan: Plan | None) -> None:
    """Prints the search for the activations that need more than 8 bits, if there was one."""
    if plan is None:
        return
    table = new_table(("  activations", "changed to", "error if alone", "error after"), right=range(1, 4))
    table.add_row("  all", "8 bits", "", f"{plan.first:.1e}")
    for trial in plan.trials:
        error = f"{trial.error:.1e}" if trial.kept else f"({trial.error:.1e}: reverted)"
        table.add_row(f"  {trial.what}", trial.change, f"{trial.alone:.1e}", error)
    console.print(table)


def _print_notes(console: Console, notes: list[str]) -> None:
    for note in notes:
        console.print(f"  note       {note}")
