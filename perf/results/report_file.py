"""A bench's report, read again from its JSON."""

from __future__ import annotations

import json
from pathlib import Path

import cattrs

from perf.errors import PerfError
from perf.results.report import SCHEMA, SCHEMA_VERSION, SPEED_CHECK_KEY, Report


def read_report(path: Path) -> Report:
    """The report that `bench --json` wrote.

    Raises PerfError for a file that is not there, cut off, another one, or of a version that this one does not read.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PerfError(f"cannot read {path}: {error.strerror}; expected what bench --json wrote") from None
    except ValueError as error:  # no JSON, or no UTF-8
        raise PerfError(f"{path} is cut off, or no JSON ({error}); expected what bench --json wrote") from None
    schema = told.get("schema") if isinstance(told, dict) else None
    if schema != SCHEMA:
        kind = f"has the schema {schema!r}" if schema else "has no schema"
        raise PerfError(f"{path} {kind}; expected {SCHEMA!r}, which bench --json writes")
    if told.get("schema_version") != SCHEMA_VERSION:
        raise PerfError(
            f"{path} is of version {told.get('schema_version')!r}; expected {SCHEMA_VERSION}: read it with the "
            "mbert-onnx that wrote it, or measure again"
        )
    if SPEED_CHECK_KEY in told:
        told["speed_check_ms"] = told.pop(SPEED_CHECK_KEY)
    try:
        return cattrs.structure(told, Report)
    except Exception as error:  # cattrs gathers what is wrong in groups of its own
        first = cattrs.transform_error(error)[0]
        raise PerfError(f"{path} is not whole: {first}; expected what bench --json wrote: measure again") from None
