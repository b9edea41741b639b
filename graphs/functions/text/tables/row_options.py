"""Settings of rows that are no settings of the tokenizer: the operator, truncation, padding, the model's limits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum


class Truncation(IntEnum):
    """The sequence that is cut in a row that is too long; the numbers are the values of the attribute."""

    NONE = 0
    LONGEST_FIRST = 1
    ONLY_TEXT = 2
    ONLY_PAIR = 3


class Form(Enum):
    """The operators: what a row is made of."""

    TEXT = "Tokenize"
    PAIR = "TokenizePair"
    WINDOWS = "TokenizeWindows"
    PAIR_WINDOWS = "TokenizePairWindows"

    @property
    def has_pair(self) -> bool:
        return self in (Form.PAIR, Form.PAIR_WINDOWS)

    @property
    def has_windows(self) -> bool:
        return self in (Form.WINDOWS, Form.PAIR_WINDOWS)


@dataclass(frozen=True)
class RowOptions:
    """Settings of rows.

    Args:
        limit: The most tokens in a row that the model takes, special tokens included.
        padding: The id of the padding token.
        columns: The number of columns of all outputs; 0: as many as the longest row has tokens.
        truncation: Which sequence is cut; windows are never.
        cut_left: Whether a sequence loses its first tokens, and not its last ones.
        windowed: The sequence that is cut into windows: 0 the text, 1 the pair.
        segments: The number of token types that the model has; larger types become the last. None: as many as needed.
    """

    limit: int
    padding: int = 0
    columns: int = 0
    truncation: Truncation = Truncation.LONGEST_FIRST
    cut_left: bool = False
    windowed: int = 1
    segments: int | None = None
