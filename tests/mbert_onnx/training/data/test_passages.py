"""Passages: whole neighbouring lines of one document, from several sources with weights, in batches without state."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mbert_onnx.errors import DataError
from mbert_onnx.reference import located
from mbert_onnx.training.data.batch_sampler import BatchSize
from mbert_onnx.training.data.passages.line_store import lines_at
from mbert_onnx.training.data.passages.rows import PassageRows
from mbert_onnx.training.data.passages.sampler import Passage, Source
from mbert_onnx.training.inputs.corpus_rows import encoder_in

# Documents of the words "one" to "six": no line contains the end of another.
STORY = [["one one", "two", "three three three"], ["four", "five five"]]
LISTS = [["six"] * 8]


def rows_of(folder: Path, sources: Sequence[Source], max_length: int = 16) -> PassageRows:
    encoder = encoder_in(located("reference"), max_length)
    lines = lines_at(folder / "rows", [("story", STORY), ("lists", LISTS)], encoder)
    return PassageRows(lines, sources, encoder, max_length)


def drawn(rows: PassageRows, size: BatchSize, *, first: int = 0, count: int = 300) -> list[list[Passage]]:
    return list(rows.batches(size, first=first, count=count, seed=3))


def texts_of(rows: PassageRows, size: BatchSize) -> set[str]:
    """Returns the texts of all passages that are drawn."""
    tokenizer = encoder_in(located("reference"), 16).tokenizer
    found = {}
    for passage in (passage for batch in drawn(rows, size) for passage in batch):
        key = passage.row, passage.end, passage.length
        if key not in found:
            _, item = rows[passage]
            assert item["length"] == len(item["input_ids"]) == passage.length + 2
            found[key] = str(tokenizer.decode(item["input_ids"], skip_special_tokens=True))
    return set(found.values())


def test_a_passage_is_as_many_lines_of_a_document_as_fit(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, [Source(1.0, (3, 4)), Source(1.0)])
    assert texts_of(rows, BatchSize(16)) == {
        "one one two",
        "two",  # for 3 tokens
        "two three three three",  # for 4
        "three three three",
        "four five five",
        "five five",
        "six",
    }


def test_a_line_that_is_too_long_is_cut(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, [Source(1.0), Source(0.0)], max_length=4)
    assert texts_of(rows, BatchSize(16)) == {"one one", "two", "three three", "four", "five five"}


def test_weights_are_shares_of_the_passages(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, [Source(3.0), Source(1.0)])
    passages = [passage for batch in drawn(rows, BatchSize(16)) for passage in batch]
    assert np.mean([passage.row >= 5 for passage in passages]) == pytest.approx(0.25, abs=0.02)


def test_batches_fill_a_number_of_tokens_and_resume(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, [Source(1.0, (4,)), Source(1.0)])
    batches = drawn(rows, BatchSize(1, tokens=60))
    sizes = [len(batch) * (max(passage.length for passage in batch) + 2) for batch in batches]
    assert max(sizes) <= 60
    assert np.median(sizes) > 50
    assert len({len(batch) for batch in batches}) > 2
    assert drawn(rows, BatchSize(1, tokens=60), first=150) == batches[150:]
    assert batches[0][0].seed != batches[1][0].seed


def test_lines_are_tokenized_once_and_a_source_has_text(tmp_path: Path) -> None:
    before = rows_of(tmp_path, [Source(1.0), Source(1.0)])
    encoder = encoder_in(located("reference"), 16)
    again = lines_at(tmp_path / "rows", [], encoder)
    assert len(again) == len(before) == 13
    with pytest.raises(DataError, match="nothing has no text; expected some"):
        lines_at(tmp_path / "others", [("story", STORY), ("nothing", [])], encoder)
    assert not (tmp_path / "others").exists()
