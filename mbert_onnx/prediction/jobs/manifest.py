"""Manifest: the record of a job in its folder of parts, from which the same command continues."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mbert_onnx.errors import DataError
from mbert_onnx.prediction.types import Position

GENERATOR = "mbert-onnx predict"


@dataclass(frozen=True)
class Part:
    """A finished part of the output: rows that were written, rows that are bad, and the position behind them.

    `size` and `bad_size` are the bytes of its two files; the second is 0 where there is no bad row.
    """

    rows: int
    bad: int
    truncated: int
    tokens: int
    end: Position
    bytes_read: int
    size: int
    bad_size: int


@dataclass
class Manifest:
    """The state of a job.

    Args:
        job: What the job is, by name: inputs, model, columns, options. It continues only if all of them are the same.
        replaces: Whether the job began with --overwrite.
        parts: The finished parts, in order.
        is_complete: Whether the parts have all rows.
        is_finished: Whether the output is in place, so that the parts are of no more use.
    """

    job: dict[str, Any]
    replaces: bool = False
    parts: list[Part] = field(default_factory=list)
    is_complete: bool = False
    is_finished: bool = False

    def to_json(self) -> bytes:
        return (json.dumps({"generator": GENERATOR, **asdict(self)}, indent=1) + "\n").encode()

    @classmethod
    def of(cls, content: bytes, name: str) -> Manifest:
        """Parses a manifest. Raises DataError for another file of that name."""
        try:
            record = json.loads(content)
            if record.pop("generator") != GENERATOR:
                raise ValueError
            parts = [Part(**{**part, "end": Position(**part["end"])}) for part in record.pop("parts")]
            return cls(parts=parts, **record)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DataError(
                f"{name} is not a manifest that this version of `mbert-onnx predict` wrote; delete its folder, or "
                "choose another --output"
            ) from None


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Returns in which way a job differs from the one of a manifest, in words; None if it is the same."""
    for name in {**before, **now}:
        old, new = before.get(name), now.get(name)
        if old == new:
            continue
        if name == "inputs":
            return _changed_input(old or [], new or [])
        if name == "model":
            return "it had another model"
        if isinstance(old, dict) and isinstance(new, dict):
            key = next(key for key in {**old, **new} if old.get(key) != new.get(key))
            return f"its {name} had {key} {_shown(old.get(key))}, and not {_shown(new.get(key))}"
        return f"its {name} was {_shown(old)}, and not {_shown(new)}"
    return None


def _changed_input(old: list[list[Any]], new: list[list[Any]]) -> str:
    names = [one[0] for one in old]
    other = next((one[0] for one in new if one[0] not in names), None)
    if other is not None:
        return f"{other} was not among its inputs"
    if len(new) < len(old):
        return f"it had {len(old):,} inputs, and not {len(new):,}"
    changed = next((one[0] for one in new if one not in old), None)
    return f"{changed} was changed since" if changed else "its inputs had another order"


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
