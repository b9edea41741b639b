"""Options of a benchmark are checked when they are created."""

from __future__ import annotations

from typing import Any

import pytest

from perf.errors import PerfUsageError
from perf.timing.options import BenchOptions


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seq_lens": (0,)}, r"--seq-len is 0; expected 1 to 1,048,576"),
        ({"seq_lens": ()}, "--seq-len has no value"),
        ({"threads": (1, 0)}, "--threads is 0"),
        ({"threads": (1025,)}, "--threads is 1025; expected 1 to 1,024"),
        ({"batch": 0}, "--batch is 0"),
        ({"batch": 1025}, "--batch is 1025; expected 1 to 1,024"),
        ({"precision": 0}, "--precision is 0; expected a share"),
        ({"budget_s": float("inf")}, "--budget is inf"),
        ({"budget_s": 86_401}, "--budget is 86401; expected seconds"),
        ({"provider": "gpu"}, "unknown provider 'gpu'"),
    ],
)
def test_options_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(PerfUsageError, match=message):
        BenchOptions(**arguments)
