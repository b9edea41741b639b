"""Layout: the columns that the model reads, and those that are kept."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Layout:
    """The columns of all sources of a job.

    Args:
        arguments: The columns with the model's arguments, in their order.
        schema: The columns that are kept, and their types; None for JSON Lines whose objects are kept as they are.
        reserved: Names of output columns, which objects of JSON Lines must not have.
    """

    arguments: tuple[str, ...]
    schema: pa.Schema | None
    reserved: frozenset[str] = frozenset()
