"""Rows of pre-training: segments of documents, masks, batches, and their storage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_encoders import word_encoder

from mbert_onnx.errors import DataError
from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.training.data.batch_sampler import Batches
from mbert_onnx.training.data.corpus.masking import mask_words
from mbert_onnx.training.data.corpus.segments import segments_of
from mbert_onnx.training.data.row_store import Collate, MaskingCollate, rows_at

DOCUMENTS = [[f"d{document}s{sentence} x y" for sentence in range(6)] for document in range(5)]
TEXT = " ".join(sentence for document in DOCUMENTS for sentence in document)


def words_of(encoder: TextEncoder, ids: list[int]) -> list[str]:
    return [encoder.token_text(token) for token in ids]


def test_a_row_has_as_many_sentences_as_fit(tmp_path: Path) -> None:
    encoder = word_encoder(tmp_path, TEXT)
    rows = list(segments_of(DOCUMENTS[:1], encoder, max_length=9, next_sentence=False, seed=0))
    assert [words_of(encoder, row.first) for row in rows] == [
        f"d0s{first} x y d0s{first + 1} x y".split() for first in (0, 2, 4)
    ]
    assert all(not row.second for row in rows)


def test_a_sentence_that_is_too_long_becomes_several_rows(tmp_path: Path) -> None:
    encoder = word_encoder(tmp_path, TEXT)
    rows = list(segments_of([["d0s0 x y x y x"]], encoder, max_length=6, next_sentence=False, seed=0))
    assert [words_of(encoder, row.first) for row in rows] == [["d0s0", "x", "y", "x"], ["y", "x"]]


def test_the_second_part_continues_the_document_or_is_unrelated(tmp_path: Path) -> None:
    encoder = word_encoder(tmp_path, TEXT)
    rows = list(segments_of(DOCUMENTS * 40, encoder, max_length=24, next_sentence=True, seed=0))
    follows = [row for row in rows if row.next_sentence == 0]
    assert 0.3 < len(follows) / len(rows) < 0.6
    for row in rows:
        first, second = words_of(encoder, row.first), words_of(encoder, row.second)
        assert first
        assert second
        assert len(first) + len(second) <= 24 - 3
        heads = [word for word in first + second if word.startswith("d")]
        same = {head[:2] for head in heads}
        if row.next_sentence == 0:
            assert len(same) == 1
            numbers = [int(head[3:]) for head in heads]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_the_length_of_the_second_part_does_not_reveal_the_label(tmp_path: Path) -> None:
    encoder = word_encoder(tmp_path, TEXT)
    rows = list(segments_of(DOCUMENTS * 200, encoder, max_length=24, next_sentence=True, seed=0))
    lengths = [np.mean([len(row.second) for row in rows if row.next_sentence == label]) for label in (0, 1)]
    assert lengths[1] == pytest.approx(lengths[0], rel=0.35)


def test_the_share_of_masks_is_as_requested_and_never_on_special_tokens() -> None:
    ids = np.arange(5, 5 + 4000).reshape(40, 100)
    special = np.zeros(ids.shape, bool)
    special[:, :10] = True
    hidden, labels = mask_words(ids, special, mask_id=4, vocab_size=5000, random=np.random.default_rng(0), share=0.15)
    selected = labels != -100
    assert not selected[special].any()
    assert selected.mean() == pytest.approx(0.15 * 0.9, rel=0.15)
    assert (labels[selected] == ids[selected]).all()
    assert (hidden[~selected] == ids[~selected]).all()
    assert (hidden[selected] == 4).mean() == pytest.approx(0.8, abs=0.06)
    kept = hidden[selected] == ids[selected]
    assert kept.mean() == pytest.approx(0.1, abs=0.05)


def test_every_row_with_words_has_at_least_one_label() -> None:
    ids, special = np.full((50, 3), 7), np.tile([True, False, True], (50, 1))
    special[0] = True
    _, labels = mask_words(ids, special, mask_id=4, vocab_size=9, random=np.random.default_rng(0), share=1e-6)
    assert (labels != -100).sum(axis=1).tolist() == [0] + [1] * 49


@settings(deadline=None, max_examples=40)
@given(rows=st.integers(1, 60), size=st.integers(1, 12), first=st.integers(0, 30), seed=st.integers(0, 5))
def test_a_batch_does_not_depend_on_where_training_resumes(rows: int, size: int, first: int, seed: int) -> None:
    lengths = list(range(rows))
    whole = list(Batches(lengths, size, first=0, count=40, seed=seed))
    assert list(Batches(lengths, size, first=first, count=40, seed=seed)) == whole[first:]


def test_epochs_are_different_permutations_of_the_rows() -> None:
    batches = list(Batches([3, 1, 2, 9, 5, 7], 2, first=0, count=6, seed=0))
    epochs = [[draw.row for batch in batches[start : start + 3] for draw in batch] for start in (0, 3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(6))] * 2
    assert epochs[0] != epochs[1]


def test_rows_of_similar_length_share_a_batch() -> None:
    lengths = [number % 10 for number in range(1000)]
    batches = list(Batches(lengths, 10, first=0, count=100, seed=0))
    assert np.mean([np.ptp([lengths[draw.row] for draw in batch]) for batch in batches]) < 2


def items() -> list[dict[str, object]]:
    return [
        {"input_ids": [2, 7, 3], "token_type_ids": [0, 0, 0], "length": 3, "label": 1.0},
        {"input_ids": [2, 7, 8, 9, 3], "token_type_ids": [0, 0, 0, 1, 1], "length": 5, "label": 0.0},
    ]


def test_rows_are_stored_and_padded(tmp_path: Path) -> None:
    rows = rows_at(tmp_path / "rows", lambda: iter(items()), "some texts")
    [batch] = Batches(rows.lengths, 2, first=0, count=1, seed=0)
    found = Collate(pad_id=0)([rows[draw] for draw in sorted(batch, key=lambda draw: draw.row)])
    assert found["input_ids"].tolist() == [[2, 7, 3, 0, 0], [2, 7, 8, 9, 3]]
    assert found["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert found["label"].tolist() == [1.0, 0.0]


def test_rows_are_written_once(tmp_path: Path) -> None:
    rows_at(tmp_path / "rows", lambda: iter(items()), "some texts")

    def again() -> None:
        raise AssertionError

    assert len(rows_at(tmp_path / "rows", again, "some texts")) == 2  # type: ignore[arg-type]


def test_failing_rows_leave_no_files(tmp_path: Path) -> None:
    def failing():  # type: ignore[no-untyped-def]
        yield items()[0]
        raise DataError("line 2 is wrong")

    with pytest.raises(DataError, match="line 2 is wrong"):
        rows_at(tmp_path / "rows", failing, "some texts")
    with pytest.raises(DataError, match="some texts has no text"):
        rows_at(tmp_path / "rows", lambda: iter([]), "some texts")
    assert not list(tmp_path.iterdir())


def test_masks_depend_on_the_batch_number_only(tmp_path: Path) -> None:
    rows = rows_at(tmp_path / "rows", lambda: iter(items()), "some texts")
    collate = MaskingCollate(0, 4, [0, 2, 3], 50, 0.5)
    batches = list(Batches(rows.lengths, 2, first=0, count=9, seed=0))
    drawn = [collate([rows[draw] for draw in batch])["labels"].tolist() for batch in batches]
    again = list(Batches(rows.lengths, 2, first=5, count=9, seed=0))
    assert [collate([rows[draw] for draw in batch])["labels"].tolist() for batch in again] == drawn[5:]
    assert len({str(labels) for labels in drawn}) > 1
