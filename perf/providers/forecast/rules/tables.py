"""Operator tables that onnxruntime's own wheel carries, for its mobile providers."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

ROW = re.compile(r"\|\s*(ai\.onnx|com\.microsoft)[:.](\w+)\s*\|")
"""A row begins with the domain and the operator; now and then, a point stands for the colon."""


@cache
def operators_in(table: str) -> frozenset[str]:
    """What a table lists: ONNX's own operators by name, others with their domain."""
    text = (files("onnxruntime") / "tools" / "mobile_helpers" / table).read_text(encoding="utf-8")
    return frozenset(name if domain == "ai.onnx" else f"{domain}.{name}" for domain, name in ROW.findall(text))
