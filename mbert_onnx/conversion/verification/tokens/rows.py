"""Tokens and rows of many texts in flat arrays, so that millions of them are compared at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from mbert_onnx.errors import VerificationError


@dataclass(frozen=True)
class Tokens:
    """Tokens of texts without special ones, one text after the other.

    Args:
        texts: The number of the text of each token, [tokens].
        ids: [tokens].
        spans: The first byte in the token's text, and the byte after its last, [tokens, 2].
        words: The same for the word that the token is part of.
    """

    texts: np.ndarray
    ids: np.ndarray
    spans: np.ndarray
    words: np.ndarray

    @classmethod
    def of(cls, found: dict[str, np.ndarray], sequence: int, rows: np.ndarray | None = None) -> Tokens:
        """Returns the tokens of one of the two sequences in outputs of Tokenize: in all rows, or in some of them."""
        chosen = found["sequence_ids"] == sequence
        if rows is not None:
            chosen &= rows[:, None]
        texts = np.repeat(found["row_texts"], chosen.sum(axis=1))
        return cls(texts, found["input_ids"][chosen], found["offsets"][chosen], found["word_offsets"][chosen])

    @classmethod
    def joined(cls, parts: Sequence[Tokens]) -> Tokens:
        """Returns tokens one after the other."""
        none = cls(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2), np.int64), np.zeros((0, 2), np.int64))
        return cls(*(np.concatenate([getattr(part, one.name) for part in (none, *parts)]) for one in fields(cls)))


@dataclass(frozen=True)
class Rows:
    """Rows of model inputs without padding, one after the other.

    Args:
        lengths: The number of tokens of each row, [rows].
        texts: The number of the text of each row, [rows].
        ids, types, sequences: [tokens]; the sequence of a special token is −1.
        spans: [tokens, 2], as in `Tokens`.
        owned: Whether this row has the most context of a token, [tokens]; all True without windows.
    """

    lengths: np.ndarray
    texts: np.ndarray
    ids: np.ndarray
    types: np.ndarray
    sequences: np.ndarray
    spans: np.ndarray
    owned: np.ndarray

    @classmethod
    def of(cls, found: dict[str, np.ndarray], padding: int, name: str) -> Rows:
        """Returns the rows in the outputs of Tokenize.

        Raises VerificationError, which contains `name`, if what is behind the end of a row is not padding.
        """
        mask = found["attention_mask"]
        lengths = mask.sum(axis=1)
        real = np.arange(mask.shape[1]) < lengths[:, None]
        fillings = {"input_ids": padding, "token_type_ids": 0, "sequence_ids": -1, "offsets": 0, "word_offsets": 0}
        fillings |= {"owned": 0} if "owned" in found else {}
        if not np.array_equal(mask, real):
            raise VerificationError(
                f"{name}: an attention_mask is not ones and then zeros, expected padding on the right"
            )
        for output, filling in fillings.items():
            if (found[output][~real] != filling).any():
                raise VerificationError(f"{name}: {output} is not {filling} behind the end of a row, expected padding")
        ids, types, sequences, spans = (
            found[output][real] for output in ("input_ids", "token_type_ids", "sequence_ids", "offsets")
        )
        owned = found["owned"][real] if "owned" in found else sequences >= 0
        return cls(lengths, found["row_texts"], ids, types, sequences, spans, owned)

    @classmethod
    def joined(cls, parts: Sequence[Rows]) -> Rows:
        """Returns rows one after the other."""
        return cls(*(np.concatenate([getattr(part, one.name) for part in parts]) for one in fields(cls)))
