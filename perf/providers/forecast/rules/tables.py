"""Operator tables in onnxruntime's wheel, for its mobile providers."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

ROW = re.compile(r"\|\s*(ai\.onnx|com\.microsoft)[:.](\w+)\s*\|")
"""Start of a row: domain and operator, separated by a colon, in some rows by a period."""


@cache
def operators_in(table: str) -> frozenset[str]:
    """Returns the operators of a table; those of other domains are named with the domain."""
    text = (files("onnxruntime") / "tools" / "mobile_helpers" / table).read_text(encoding="utf-8")
    return frozenset(name if domain == "ai.onnx" else f"{domain}.{name}" for domain, name in ROW.findall(text))
