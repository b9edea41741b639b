"""Truncation, windows, padding and templates; and what the functions return for input that is not valid."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from text_functions import LIMIT, Row, Tried, alphabet_text, first_difference, trained, unpadded
from tokenizers import Tokenizer, processors

from graphs.functions.text.tables.row_options import Form, RowOptions, Truncation
from graphs.functions.text.tables.tables import Tables
from mbert_onnx.errors import UsageError
from mbert_onnx.text.encoder import TextEncoder

TEXTS = ["", "a", alphabet_text(5, seed=1), alphabet_text(40, seed=2), "b c", alphabet_text(17, seed=3)]
PAIRS = [
    alphabet_text(30, seed=4),
    "",
    alphabet_text(6, seed=5),
    alphabet_text(25, seed=6),
    "d",
    alphabet_text(80, seed=7),
]


@cache
def tokenizer() -> Tokenizer:
    return trained("latin", "hangul", size=400)


@cache
def tables() -> Tables:
    return Tried(tokenizer()).tables


def tried(**options: int | bool | None) -> Tried:
    return Tried(tokenizer(), RowOptions(**{"limit": LIMIT, **options}), tables())  # type: ignore[arg-type]


@pytest.mark.parametrize("cut_left", [False, True])
@pytest.mark.parametrize("max_length", [2, 3, 12, 31, 5000])
def test_texts_are_truncated(max_length: int, cut_left: bool) -> None:
    one = tried(cut_left=cut_left)
    found = one.run(TEXTS, max_length=max_length)
    assert not first_difference(unpadded(found), one.expected(TEXTS, max_length=max_length))
    lengths = np.array([len(row.ids) for row in one.rows(TEXTS)])
    assert (lengths - found["cut"][:, 0] == found["attention_mask"].sum(1)).all()


@pytest.mark.parametrize("cut_left", [False, True])
@pytest.mark.parametrize("max_length", [3, 4, 13, 40, 5000])
def test_pairs_are_truncated(max_length: int, cut_left: bool) -> None:
    one = tried(cut_left=cut_left)
    found = one.run(TEXTS, PAIRS, max_length=max_length)
    assert not first_difference(unpadded(found), one.expected(TEXTS, PAIRS, max_length=max_length))
    for sequence in range(2):
        whole = np.array([row.sequences.count(sequence) for row in one.rows(TEXTS, PAIRS)])
        assert (whole - found["cut"][:, sequence] == (found["sequence_ids"] == sequence).sum(1)).all()


@pytest.mark.parametrize(("truncation", "kept"), [(Truncation.ONLY_TEXT, 1), (Truncation.ONLY_PAIR, 0)])
def test_only_one_sequence_is_truncated(truncation: Truncation, kept: int) -> None:
    one = tried(truncation=truncation)
    sequences = [["a b c", alphabet_text(9, seed=1)], [alphabet_text(50, seed=2), alphabet_text(70, seed=3)]]
    short, long = sequences if kept == 0 else sequences[::-1]
    for max_length in (60, 100, 5000):
        assert not first_difference(
            one.rows(short, long, max_length=max_length), one.expected(short, long, max_length=max_length)
        )
    # `tokenizers` raises where the other sequence alone is too long. Here that one is cut, too.
    found = one.run(short, long, max_length=5)
    assert found["attention_mask"].sum(1).tolist() == [5, 5]
    assert ((found["sequence_ids"] == kept).sum(1) == 2).all()


def test_without_truncation() -> None:
    one = tried(truncation=Truncation.NONE)
    found = one.run(TEXTS, PAIRS, max_length=4)
    assert not first_difference(unpadded(found), one.expected(TEXTS, PAIRS))
    assert not found["cut"].any()


@cache
def encoder(folder: Path) -> TextEncoder:
    path = folder / "tokenizer.json"
    tokenizer().save(str(path))
    return TextEncoder(path, 64)


@pytest.mark.parametrize("stride", [-1, 0, 5, 1000])
@pytest.mark.parametrize("length", [8, 21, 64])
@pytest.mark.parametrize("question", [True, False])
def test_windows_are_those_of_the_runtime(
    tmp_path_factory: pytest.TempPathFactory, question: bool, length: int, stride: int
) -> None:
    one = tried()
    reference = encoder(tmp_path_factory.getbasetemp())
    texts, contexts = ["a", "b c", "a"], [alphabet_text(60, seed=8), "c", alphabet_text(150, seed=9)]
    batch = (texts, contexts) if question else (contexts, None)
    found = one.run(*batch, windows=True, max_length=length, stride=stride)
    rows, row_texts, owned = list[Row](), list[int](), list[list[bool]]()
    for number, (text, context) in enumerate(zip(texts, contexts, strict=True)):
        room = length - (3 + len(reference.encode(text).ids) if question else 2)
        given = None if stride < 0 else min(stride, room - 1)
        tokens, windows = reference.windows(context, text if question else None, max_seq_len=length, stride=given)
        for window in windows:
            row_texts.append(number)
            places = range(len(window.ids))
            owned.append([place in places[window.owned] for place in places])
            rows.append(Row(window.ids, window.type_ids, [], [], []))
            inside = slice(window.begin, window.begin + window.count)
            offsets = found["offsets"][len(rows) - 1, inside].tolist()
            characters = tokens.offsets[window.first : window.first + window.count]
            expected = [tuple(len(context[:place].encode()) for place in pair) for pair in characters]
            assert [tuple(pair) for pair in offsets] == expected
    assert [(row.ids, row.types) for row in unpadded(found)] == [(row.ids, row.types) for row in rows]
    assert found["row_texts"].tolist() == row_texts
    width = found["owned"].shape[1]
    assert found["owned"].tolist() == [[*row, *[False] * (width - len(row))] for row in owned]


def test_the_text_may_be_the_windowed_sequence() -> None:
    contexts, questions = [alphabet_text(60, seed=8), "c"], ["a b", "c"]
    found = tried(windowed=0).run(contexts, questions, windows=True, max_length=20, stride=4)
    assert len(found["row_texts"]) > 3
    assert ((found["sequence_ids"] == 1).sum(1) == [2] * (len(found["row_texts"]) - 1) + [1]).all()
    whole = tried().rows(contexts)
    for text, row in enumerate(whole):
        rows = found["row_texts"] == text
        assert found["input_ids"][rows][found["owned"][rows]].tolist() == row.ids[1:-1]


def test_a_question_that_is_too_long_leaves_room_for_one_token() -> None:
    found = tried().run(["a b c d e f"], ["x y z"], windows=True, max_length=7, stride=3)
    assert found["attention_mask"].sum(1).tolist() == [7, 7, 7]
    assert found["cut"].tolist() == [[3, 0]]


@pytest.mark.parametrize("form", range(4))
@pytest.mark.parametrize("max_length", [-5, 0, 1, 2, 3, 10**9, 2**62])
def test_any_max_length(form: int, max_length: int) -> None:
    pairs, windows = (PAIRS if form % 2 else None), form >= 2
    found = tried(limit=20).run(TEXTS, pairs, windows=windows, max_length=max_length)
    special = (3 if form % 2 else 2) + windows
    assert found["attention_mask"].sum(1).max() <= min(max(special, max_length), 20)


@pytest.mark.parametrize("form", range(4))
def test_no_texts_are_one_empty_text(form: int) -> None:
    one = tried()
    found, expected = (one.run(texts, texts if form % 2 else None, windows=form >= 2) for texts in ([], [""]))
    assert found["input_ids"].size
    for name, values in expected.items():
        assert np.array_equal(found[name], values), name


def test_a_fixed_number_of_columns() -> None:
    wide = tried(columns=100, limit=100, padding=7)
    found = wide.run(TEXTS)
    assert found["input_ids"].shape == (len(TEXTS), 100)
    assert not first_difference(unpadded(found), wide.expected(TEXTS, max_length=100))
    assert (found["input_ids"][found["attention_mask"] == 0] == 7).all()


@pytest.mark.parametrize(
    "splits",
    [[0, 9], [0, -4, 9], [0, 100, 9], [5, 2, 1], [0, 6, 3, 9], [], [0], [3, 4], [0, 2**62, -(2**62), 9]],
    ids=str,
)
def test_any_row_splits(splits: list[int]) -> None:
    text = b"ab cd ef "
    one = tried()
    feed: dict[str, np.ndarray] = {
        "text": np.frombuffer(text, np.uint8),
        "row_splits": np.array(splits, np.int64),
        "pair": np.frombuffer(text, np.uint8),
        "pair_splits": np.array(splits[:3], np.int64),
        "max_length": np.array([LIMIT]),
    }
    found = one.compute(Form.PAIR, feed)
    count = max(len(splits) - 1, 1)
    ends = [0, *sorted(min(max(split, 0), len(text)) for split in splits[1:-1]), len(text)]
    texts = [text[begin:end] for begin, end in pairwise(ends)][:count]
    assert len(found["row_texts"]) == count
    ids = [row.ids for row in unpadded(found)]
    kept = [
        [number for number, which in zip(row.ids, row.sequences, strict=True) if which == 0] for row in unpadded(found)
    ]
    assert len(ids) == count
    assert kept == [row.ids[1:-1] for row in one.expected(texts)]


def test_a_long_text() -> None:
    found = tried(limit=512).run(["a" * 1_000_000], max_length=512)
    assert found["input_ids"].shape == (1, 3)


def test_templates() -> None:
    other = trained("latin", size=200)
    numbers = {token: other.token_to_id(token) for token in ("[CLS]", "[SEP]", "[MASK]")}
    other.post_processor = processors.TemplateProcessing(
        single="$A:3 [SEP]:2", pair="[MASK] $B:1 [SEP]:2 [CLS] $A:5", special_tokens=list(numbers.items())
    )
    one = Tried(other)
    assert not first_difference(one.rows(TEXTS), one.expected(TEXTS))
    assert not first_difference(one.rows(TEXTS, PAIRS), one.expected(TEXTS, PAIRS))
    other.post_processor = processors.BertProcessing(("[SEP]", numbers["[SEP]"]), ("[CLS]", numbers["[CLS]"]))
    one = Tried(other, RowOptions(limit=LIMIT, segments=1))
    for row, wanted in zip(one.rows(TEXTS, PAIRS), one.expected(TEXTS, PAIRS), strict=True):
        assert row.ids == wanted.ids
        assert not any(row.types)


def test_the_runtime_refuses_what_has_no_room(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="leave no room"):
        encoder(tmp_path).windows("x y z", "a b c d e f", max_seq_len=7)
