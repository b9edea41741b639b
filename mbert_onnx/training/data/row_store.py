"""Tokenized rows in memory-mapped Arrow files, created once per run, and collators that build batches of them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from mbert_onnx.errors import DataError
from mbert_onnx.training.data.batch_sampler import Batches, BatchSize, Draw
from mbert_onnx.training.data.corpus.masking import mask_words

# Columns with a value per token; all others have one value per row.
PER_TOKEN = ("input_ids", "token_type_ids")

Item = dict[str, Any]


class Rows(Dataset[tuple[Draw, Item]]):
    """Dataset of tokenized rows.

    Args:
        table: Table with the columns `input_ids`, `token_type_ids`, `length`, and any with one value per row.
    """

    def __init__(self, table: datasets.Dataset) -> None:
        self._table = table
        self.lengths = np.asarray(table["length"])

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, draw: Draw) -> tuple[Draw, Item]:
        return draw, self._table[draw.row]

    def batches(self, size: BatchSize, *, first: int, count: int, seed: int) -> Batches:
        """Returns the batch sampler of batches `first` to `count - 1`, which have `size.rows` rows."""
        return Batches(self.lengths, size.rows, first=first, count=count, seed=seed)


def rows_at(folder: Path, items: Callable[[], Iterator[Item]], source: str) -> Rows:
    """Opens the rows in a folder; if it does not exist, writes those of `items` there, atomically.

    Raises DataError, which contains `source`, if there are no rows.
    """
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
        try:
            _write(items, partial, source)
            (partial / "rows").rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return Rows(datasets.load_from_disk(str(folder)))


def _write(items: Callable[[], Iterator[Item]], partial: Path, source: str) -> None:
    failure: list[Exception] = []

    def generator() -> Iterator[Item]:
        try:
            yield from items()
        except Exception as error:  # datasets would wrap it in an error of its own
            failure.append(error)

    shows_progress = datasets.utils.logging.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        # Without a fingerprint, datasets would hash everything that the generator refers to.
        table = datasets.Dataset.from_generator(generator, cache_dir=str(partial / "cache"), fingerprint=partial.name)
        if not failure and len(table):
            table.save_to_disk(str(partial / "rows"))
            return
    except (ValueError, datasets.exceptions.DatasetGenerationError) as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from error
        if not failure:
            raise DataError(f"{source} has no text; expected some.") from error
    finally:
        if shows_progress:
            datasets.enable_progress_bars()
    raise failure[0] if failure else DataError(f"{source} has no text; expected some.")


class Collate:
    """Builds a batch of rows: tensors ``[batch, seq]`` padded to the longest row, other columns ``[batch]``."""

    def __init__(self, pad_id: int) -> None:
        self._pad_id = pad_id

    def __call__(self, drawn: Sequence[tuple[Draw, Item]]) -> dict[str, Tensor]:
        return {name: torch.from_numpy(values) for name, values in self.arrays(drawn).items()}

    def arrays(self, drawn: Sequence[tuple[Draw, Item]]) -> dict[str, np.ndarray]:
        """Returns the batch as numpy arrays."""
        items = [item for _, item in drawn]
        shape = (len(items), max(item["length"] for item in items))
        batch: dict[str, np.ndarray] = {
            "input_ids": np.full(shape, self._pad_id, np.int64),
            "attention_mask": np.zeros(shape, np.int64),
            "token_type_ids": np.zeros(shape, np.int64),
        }
        for place, item in enumerate(items):
            length = item["length"]
            for name in PER_TOKEN:
                batch[name][place, :length] = item[name]
            batch["attention_mask"][place, :length] = 1
        for name in items[0]:
            if name not in (*PER_TOKEN, "length"):
                batch[name] = np.array([item[name] for item in items])
        return batch


class MaskingCollate(Collate):
    """Builds a batch with masked words and `labels` ``[batch, seq]``; the masks depend on the batch number only."""

    def __init__(self, pad_id: int, mask_id: int, special_ids: Sequence[int], vocab_size: int, share: float) -> None:
        super().__init__(pad_id)
        self._mask_id, self._special, self._vocab_size, self._share = mask_id, list(special_ids), vocab_size, share

    def arrays(self, drawn: Sequence[tuple[Draw, Item]]) -> dict[str, np.ndarray]:
        batch = super().arrays(drawn)
        special = np.isin(batch["input_ids"], self._special) | (batch["attention_mask"] == 0)
        batch["input_ids"], batch["labels"] = mask_words(
            batch["input_ids"],
            special,
            mask_id=self._mask_id,
            vocab_size=self._vocab_size,
            random=np.random.default_rng(drawn[0][0].seed),
            share=self._share,
        )
        return batch
