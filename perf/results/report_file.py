"""Reader of report files."""

from __future__ import annotations

from pathlib import Path

import cattrs

from perf.errors import PerfError
from perf.results.json_text import parse_json, printable
from perf.results.report import SCHEMA, SCHEMA_VERSION, SPEED_CHECK_KEY, Report
from perf.results.report_check import fault_in


def read_report(path: Path) -> Report:
    """Reads a report that `bench --json` has written.

    Raises PerfError if the file cannot be read, is truncated, has another schema, or has another schema version.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors may write a byte order mark
        content = printable(parse_json(text))
    except OSError as error:
        raise PerfError(f"cannot read {path}: {error.strerror}; expected a report of bench --json") from None
    except UnicodeDecodeError:
        raise PerfError(f"{path} is not UTF-8 text; expected a report of bench --json") from None
    except ValueError as error:  # not JSON
        raise PerfError(f"{path} is truncated or not JSON ({error}); expected a report of bench --json") from None
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        kind = f"has the schema {schema!r}" if schema else "has no schema"
        raise PerfError(f"{path} {kind}; expected {SCHEMA!r}, the schema of bench --json")
    if content.get("schema_version") != SCHEMA_VERSION:
        raise PerfError(
            f"{path} is of version {content.get('schema_version')!r}; expected {SCHEMA_VERSION}: read it with the "
            "mbert-onnx that wrote it, or measure again"
        )
    if SPEED_CHECK_KEY in content:
        content["speed_check_ms"] = content.pop(SPEED_CHECK_KEY)
    try:
        report = cattrs.structure(content, Report)
    except Exception as error:  # cattrs raises groups of errors
        first = cattrs.transform_error(error)[0]
        raise PerfError(
            f"{path} is not a complete report: {first}; expected a report of bench --json: measure again"
        ) from None
    fault = fault_in(report)
    if fault is not None:
        raise PerfError(f"{path} is not a valid report: {fault}; expected a report of bench --json: measure again")
    return report
