"""Tables of a report, for a terminal and as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from perf.machine.machine import Machine
from perf.presentation.formats import EMPTY, UNSTABLE, ms_text, ratio_text, share_text, time_text
from perf.presentation.ragged import (
    LEFT_OUT_HEADERS,
    ragged_headers,
    ragged_left_out,
    ragged_notes,
    ragged_rows,
    ragged_title,
)
from perf.presentation.warnings import counted
from perf.results.report import AnyCell, Measurement, Report, threads_text
from perf.sessions.session import Placement


def print_report(report: Report, console: Console) -> None:
    """Prints the conditions, a table of times per thread count, a table of the files, and the warnings."""
    _line(console, _conditions(report))
    for threads in report.arguments.threads:
        table = _table(threads_text(threads), time_headers(report))
        for cell in report.cells:
            if cell.threads == threads:
                for number, item in enumerate(cell.measurements):
                    last = number == len(cell.measurements) - 1
                    _row(table, [str(cell.seq_len) if number == 0 else "", *time_row(item, report)], end_section=last)
        console.print(table)
    _print_ragged(report, console)
    files = _table("files", file_headers(report))
    for row in file_rows(report):
        _row(files, row)
    console.print(files)
    if report.failures:
        failed = _table("not timed", FAILURE_HEADERS)
        for failure in report.failures:
            _row(failed, (failure.name, failure.reason))
        console.print(failed)
    for note in notes(report):
        _line(console, note)
    for warning in report.warnings:
        console.print(Text.assemble(("warning: ", "yellow"), warning), soft_wrap=True)


def _print_ragged(report: Report, console: Console) -> None:
    """Prints the table of the ragged batch, and the models that are left out; nothing without one."""
    if report.ragged:
        table = _table(ragged_title(report), ragged_headers(report))
        rows = ragged_rows(report)
        for number, row in enumerate(rows):
            _row(table, row, end_section=number + 1 < len(rows) and rows[number + 1][0] != "")
        console.print(table)
    if left_out := ragged_left_out(report):
        table = _table(f"not timed: {ragged_title(report)}", LEFT_OUT_HEADERS)
        for pair in left_out:
            _row(table, pair)
        console.print(table)


def to_markdown(report: Report) -> str:
    """Returns the same tables as Markdown, ending in a line break."""
    lines = [_conditions(report), ""]
    rows = [
        [str(cell.threads), str(cell.seq_len), *time_row(item, report)]
        for cell in report.cells
        for item in cell.measurements
    ]
    lines += [*_markdown_table(["threads", *time_headers(report)], rows), ""]
    if report.ragged:
        lines += [f"{ragged_title(report)}:", ""]
        lines += [*_markdown_table(ragged_headers(report), _filled(ragged_rows(report))), ""]
    if left_out := ragged_left_out(report):
        lines += [f"not timed: {ragged_title(report)}:", "", *_markdown_table(LEFT_OUT_HEADERS, left_out), ""]
    lines += [*_markdown_table(file_headers(report), file_rows(report)), ""]
    if report.failures:
        rows = [[failure.name, failure.reason] for failure in report.failures]
        lines += [*_markdown_table(FAILURE_HEADERS, rows), ""]
    lines += [f"{note}\n" for note in notes(report)]
    lines += [f"- warning: {warning}" for warning in report.warnings]
    return "\n".join(lines).rstrip() + "\n"


FAILURE_HEADERS = ("model", "why")
FILE_HEADERS = ("model", "load ms", "peak memory", "file size", "nodes")


def file_headers(report: Report) -> list[str]:
    """Returns the headers of the table of files."""
    headers = [*FILE_HEADERS, *(["difference"] if _has_differences(report) else [])]
    headers += ["from the CPU's"] if _has_cpu_differences(report) else []
    return [*headers, f"error at {report.error_seq_len} tokens"] if _has_errors(report) else headers


def _has_errors(report: Report) -> bool:
    return any(subject.error is not None for subject in report.subjects)


def _has_differences(report: Report) -> bool:
    """Returns whether there is a column of differences: of one model, or where all have errors, there are none."""
    known = any(subject.difference is not None for subject in report.subjects)
    return known or (len(report.subjects) > 1 and not _has_errors(report))


def _has_cpu_differences(report: Report) -> bool:
    return any(subject.cpu_difference is not None for subject in report.subjects)


def time_headers(report: Report) -> list[str]:
    """Returns the headers of a table of times."""
    headers = ["tokens", "model", "median ms", "p90", "p99", "tokens/s"]
    return [*headers, f"against {report.subjects[0].name}"] if len(report.subjects) > 1 else headers


def time_row(item: Measurement, report: Report) -> list[str]:
    """Returns the row of one model in one cell."""
    row = [
        item.subject,
        time_text(item),
        ms_text(item.p90_ms, item.median_ms),
        ms_text(item.p99_ms, item.median_ms),
        f"{item.tokens_per_second:,.0f}",
    ]
    is_first = item.subject == report.subjects[0].name
    return [*row, ratio_text(item.speedup, is_first)] if len(report.subjects) > 1 else row


def file_rows(report: Report) -> list[list[str]]:
    """Returns a row for each model that was timed."""
    return [
        [
            subject.name,
            ms_text(subject.footprint.load_ms, subject.footprint.load_ms),
            decimal(subject.footprint.peak_bytes),
            decimal(subject.file.size_bytes),
            ", ".join(
                f"{count} {provider.removesuffix('ExecutionProvider')}{_parts(subject.placement, provider)}"
                for provider, count in subject.placement.nodes.items()
            ),
            *([share_text(subject.difference)] if _has_differences(report) else []),
            *([share_text(subject.cpu_difference)] if _has_cpu_differences(report) else []),
            *([share_text(subject.error, 2)] if _has_errors(report) else []),
        ]
        for subject in report.subjects
    ]


def _parts(placed: Placement, provider: str) -> str:
    parts = placed.partitions.get(provider, 0)
    return "" if not parts else f" in {parts} partition{'s' if parts > 1 else ''}"


def _conditions(report: Report) -> str:
    software, arguments = report.software, report.arguments
    own = f"onnxruntime {software.onnxruntime}"
    others = dict.fromkeys(item.runtime for item in report.subjects if item.runtime not in ("", own))
    return (
        f"{_machine(report.machine)}; {own}, provider {arguments.provider}, {''.join(f'{name}, ' for name in others)}"
        f"batch {arguments.batch}; {report.date}"
    )


def _machine(machine: Machine) -> str:
    features = f" ({', '.join(machine.cpu_features)})" if machine.cpu_features else ""
    return f"{machine.cpu}{features}, {machine.available_cores} of {machine.logical_cores} cores"


def notes(report: Report) -> list[str]:
    """Returns notes that explain the tables, a line each."""
    arguments = report.arguments
    lines = [
        "± is the 95 % interval of the median. Load time is the median of fresh processes; peak memory is the increase "
        f"from loading and one run of {max(arguments.seq_lens)} tokens with {threads_text(max(arguments.threads))}."
    ]
    lines += ragged_notes(report)
    if _has_differences(report):
        lines += _notes_on_differences(report)
    if _has_errors(report):
        lines.append(
            "error is the centred error ‖a − b‖ / ‖b − mean(b)‖, the mean per channel, of a model's outputs a from "
            "the outputs b of the float model that it was built from, the largest over its outputs, on one input of "
            f"{report.error_seq_len} tokens."
        )
        lines += _note_on_empty("error", [one.name for one in report.subjects if one.error is None], "no float model")
    if _has_cpu_differences(report):
        lines.append(
            f"from the CPU's: centred error of the outputs on {arguments.provider} from the CPU's for the same file."
        )
        without = [one.name for one in report.subjects if one.cpu_difference is None]
        lines += _note_on_empty("from the CPU's", without, "not run by onnxruntime, or without comparable outputs")
    lines += [f"{subject.name}: {note}" for subject in report.subjects for note in subject.notes]
    lines += _notes_on_repeats(report)
    cells: tuple[AnyCell, ...] = (*report.cells, *report.ragged)
    if any(not item.stable for cell in cells for item in cell.measurements):
        lines.append(f"{UNSTABLE} unstable: the interval is wider than the requested ±{arguments.precision:.1%}.")
    return lines


def _notes_on_repeats(report: Report) -> list[str]:
    """Returns how many repetitions were repeated because they were disturbed, and by what; none if none was."""
    cells: tuple[AnyCell, ...] = (*report.cells, *report.ragged)
    causes = sum((Counter(cell.repeated) for cell in cells), Counter[str]())
    if not causes:
        return []
    done = sum(len(cell.rounds) for cell in cells)
    return [
        f"{done} repetitions were timed, and {causes.total()} repeated because of a disturbance ({counted(causes)})."
    ]


def _notes_on_differences(report: Report) -> list[str]:
    """Returns what the column of differences shows, and why some of its cells are empty."""
    first, *others = report.subjects
    notes = [
        f"difference is the centred error of a model's outputs from those of the first model, {first.name} (itself "
        f"{EMPTY}), at {min(report.arguments.seq_lens)} tokens."
    ]
    without = [one.name for one in others if one.difference is None]
    reason = f"no floating-point output has a name of {first.name}'s, or both read texts, and rank their answers"
    return notes + _note_on_empty("difference", without, reason)


def _note_on_empty(column: str, names: Sequence[str], reason: str) -> list[str]:
    """Returns a note on the models that have no value in a column; none if all have one."""
    return [f"{column} {EMPTY} of {', '.join(names)}: {reason}."] if names else []


def _table(title: str, headers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for header in headers:
        text = header in ("model", "nodes", "why") or header.startswith("against")
        # A long name is wrapped, never cut: its end may be the only difference between two files.
        table.add_column(Text(header), justify="left" if text else "right", overflow="fold", no_wrap=not text)
    return table


def _row(table: Table, cells: Iterable[str], *, end_section: bool = False) -> None:
    # Text, because rich parses brackets in a plain string as markup, and names may have them.
    table.add_row(*(Text(cell) for cell in cells), end_section=end_section)


def _line(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)


def _filled(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Repeats the first cell of a section in each of its rows, since Markdown tables have no sections."""
    found: list[list[str]] = []
    for first, *others in rows:
        found.append([first or found[-1][0], *others])
    return found


def _markdown_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    aligned = ["---" if header in ("model", "why") else "---:" for header in headers]
    return [_markdown_row(headers), _markdown_row(aligned), *(_markdown_row(row) for row in rows)]


def _markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
