"""HTML page of several reports, a single file without external resources."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perf.errors import PerfError, PerfUsageError
from perf.presentation.html.quality.figures import Quality
from perf.results.file_writer import writing_file
from perf.results.report import Report

TEMPLATE = "page.html.j2"


def write_page(
    reports: Sequence[Report],
    path: Path,
    *,
    names: Sequence[str],
    command: str | None = None,
    qualities: Sequence[Quality] = (),
) -> None:
    """Writes the page atomically.

    Args:
        reports: The reports, at least one.
        path: The `.html` file to write.
        names: Names of the reports, one each.
        command: The command line that writes the page; it is printed on it.
        qualities: Metrics of the models; each has a section.

    Raises:
        PerfUsageError: no report, or different numbers of reports and names.
        PerfError: matplotlib or jinja2 is missing, or the file cannot be written.
    """
    if not reports or len(reports) != len(names):
        raise PerfUsageError(f"{len(reports)} reports with {len(names)} names; expected a name for each of one or more")
    text = page(reports, names=names, command=command, qualities=qualities)
    with writing_file(path) as beside:
        beside.write_text(text, encoding="utf-8")


def page(
    reports: Sequence[Report],
    *,
    names: Sequence[str],
    command: str | None,
    qualities: Sequence[Quality],
) -> str:
    """Returns the page as text."""
    # Imported here: only a page needs them, and they belong to an optional extra.
    from perf.presentation.html import contents, tables
    from perf.presentation.html.plots import bars
    from perf.presentation.html.plots.drawing import MISSING
    from perf.presentation.html.plots.legend import swatch
    from perf.presentation.html.quality.charts import tradeoff_charts
    from perf.presentation.html.quality.tables import quality_table
    from perf.presentation.html.series import all_series
    from perf.presentation.html.theme import declarations, themed

    try:
        import jinja2
        from markupsafe import Markup, escape
    except ImportError as error:
        raise PerfError(MISSING) from error

    pieces = bars.COLOURS
    series = all_series(reports, names)
    roofs, points, threads = contents.rooflines(reports, series)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # A long path breaks at its slashes.
    environment.filters["breakable"] = lambda text: escape(text).replace("/", Markup("/<wbr>"))
    filled: dict[str, Any] = {
        "title": _title(reports),
        "findings": contents.all_findings(reports, names),
        "warnings": tables.warnings(reports, names),
        "light": declarations(dark=False),
        "dark": declarations(dark=True),
        "legend": [(swatch(item.look), item.label) for item in series],
        "latency": contents.latency_charts(reports, series),
        "tables": [*tables.time_tables(reports, names), *tables.ragged_tables(reports, names)],
        "qualities": [
            (one.metric, *tradeoff_charts(reports, series, one, number), quality_table(reports, series, one))
            for number, one in enumerate(qualities)
        ],
        "blocks": contents.block_charts(reports, series),
        "pieces": [(name, themed(f'<rect width="14" height="14" style="fill: {it}"/>')) for name, it in pieces.items()],
        "roofs": roofs,
        "shares": tables.share_table(points, threads),
        "closest": tables.closest(points),
        "files": tables.file_tables(reports, names),
        "conditions": [(name, tables.conditions(report)) for report, name in zip(reports, names, strict=True)],
        "command": command,
    }
    return environment.get_template(TEMPLATE).render(filled)


def _title(reports: Sequence[Report]) -> str:
    machines = dict.fromkeys(report.machine.cpu for report in reports)
    providers = dict.fromkeys(report.arguments.provider for report in reports)
    return f"Latency on {', '.join(machines)} ({', '.join(providers)})"
