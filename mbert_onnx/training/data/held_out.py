"""Which rows of a file are kept to be measured on, and never trained on."""

from __future__ import annotations

from mbert_onnx.errors import DataError


def is_held_out(name: object, every: int, where: str) -> bool:
    """Whether `every` divides a row's name. Raises DataError for a name that is no whole number."""
    try:
        return int(str(name)) % every == 0
    except ValueError:
        raise DataError(f"{where} is {name!r}; expected a whole number for held_out_every to divide.") from None
