"""Table of the ragged batch: texts of different lengths in one batch, against the same texts one by one."""

from __future__ import annotations

from perf.presentation.formats import TOO_FEW, ratio_text, share_text, time_text
from perf.results.report import RaggedCell, RaggedResult, Report, ragged_text
from perf.statistics import Ratio

LEFT_OUT_HEADERS = ("model", "why")


def ragged_title(report: Report) -> str:
    """Returns the title: "a batch of 8 texts of 16 to 128 tokens"."""
    lengths = report.arguments.ragged
    return f"a batch of {ragged_text(lengths)}" if lengths else ""


def ragged_headers(report: Report) -> list[str]:
    """Returns the headers of the table."""
    first = next((cell.results[0].subject for cell in report.ragged if cell.results), "the first")
    return ["threads", "model", "batch ms", "one by one ms", "ratio", f"against {first}"]


def ragged_rows(report: Report) -> list[list[str]]:
    """Returns a row for each model that takes the batch, for each number of threads; none without a ragged batch."""
    return [
        [str(cell.threads) if number == 0 else "", *_row(result, cell)]
        for cell in report.ragged
        for number, result in enumerate(cell.results)
    ]


def ragged_left_out(report: Report) -> list[tuple[str, str]]:
    """Returns the models that are not timed on the batch, each with the reason."""
    return [(model.name, model.left_out) for model in report.ragged_models if model.left_out]


def ragged_notes(report: Report) -> list[str]:
    """Returns the notes that explain the table; none without it."""
    if not report.ragged:
        return []
    lengths = report.arguments.ragged
    taken = [model for model in report.ragged_models if not model.left_out]
    errors = ", ".join(
        f"{one.name} {share_text(one.difference)} and {share_text(one.batch_difference)}"
        for one in taken
        if one.batch_difference is not None
    )
    notes = [
        f"batch: the texts have {', '.join(map(str, lengths))} tokens, and are padded to {max(lengths)}. One by one: "
        "the sum of their times, each at its own length, in the same session. Ratio: the time of the batch divided by "
        "that sum, from pairs of the same round, with its 95 % interval."
    ]
    if errors:
        notes.append(
            "outputs of the batch without padding, centred error from the first model's, and from the model's own for "
            f"the texts one by one: {errors}."
        )
    return notes


def _row(result: RaggedResult, cell: RaggedCell) -> list[str]:
    return [
        result.subject,
        time_text(result.batch),
        time_text(result.one_by_one),
        _cost(result.cost),
        ratio_text(result.batch.speedup, result.subject == cell.results[0].subject),
    ]


def _cost(cost: Ratio | None) -> str:
    """Formats the ratio with its interval; unlike a speed it is shown, too, where the interval contains 1."""
    return TOO_FEW if cost is None else f"{cost.median:.2f} ({cost.low:.2f}–{cost.high:.2f})"
