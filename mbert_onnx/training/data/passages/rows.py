"""Passages as rows of a training."""

from __future__ import annotations

from collections.abc import Sequence

from torch.utils.data import Dataset

from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.training.data.batch_sampler import BatchSize
from mbert_onnx.training.data.passages.line_store import Lines
from mbert_onnx.training.data.passages.sampler import Passage, PassageBatches, Source
from mbert_onnx.training.data.row_store import Item, Rows


class PassageRows(Dataset[tuple[Passage, Item]]):
    """Dataset of passages.

    Args:
        lines: The lines.
        sources: Settings of each source of `lines`.
        encoder: The tokenizer, whose special tokens are put around a passage.
        max_length: Largest number of tokens in a row, special tokens included.
    """

    def __init__(self, lines: Lines, sources: Sequence[Source], encoder: TextEncoder, max_length: int) -> None:
        self._lines, self._sources, self._encoder = lines, sources, encoder
        self._special = len(encoder.row([]))
        self._room = max_length - self._special

    def __len__(self) -> int:
        """Returns the number of lines; the number of passages has no bound."""
        return len(self._lines)

    def __getitem__(self, passage: Passage) -> tuple[Passage, Item]:
        begin = self._lines.begins[passage.row]
        row = self._encoder.row(self._lines.tokens[begin : begin + passage.length].tolist())
        return passage, {"input_ids": row.ids, "token_type_ids": row.type_ids, "length": len(row)}

    def batches(self, size: BatchSize, *, first: int, count: int, seed: int) -> PassageBatches:
        """Returns the batch sampler of batches `first` to `count - 1`."""
        room, special = self._room, self._special
        return PassageBatches(
            self._lines, self._sources, size, room=room, special=special, first=first, count=count, seed=seed
        )


AnyRows = Rows | PassageRows
"""Rows of a training."""
