"""Reports that `bench` has written: read again, and compared."""

from __future__ import annotations

from pathlib import Path

from mbert_onnx._beside import require_beside

require_beside("perf")

from perf.comparison import Comparison  # noqa: E402
from perf.comparison import compare as compare_reports  # noqa: E402
from perf.report import Report  # noqa: E402
from perf.report_file import read_report as read  # noqa: E402


def read_report(path: str | Path) -> Report:
    """The report that `bench` wrote to a file.

    Raises perf.errors.PerfError for a file that is not there, cut off, another one, or of another version.
    """
    return read(Path(path))


def compare(old: str | Path, new: str | Path) -> Comparison:
    """What became faster and what slower from one report to another: models of the same name, lengths and threads.

    Raises perf.errors.PerfError as `read_report` does; PerfUsageError where the reports have nothing in common.
    """
    return compare_reports(read_report(old), read_report(new))
