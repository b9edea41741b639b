"""Added tokens are found where `tokenizers` finds them, with each of their flags."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from text_functions import Tried, first_difference, trained
from tokenizers import AddedToken, Tokenizer

from graphs.errors import GraphError
from graphs.functions.text.tables.settings import plain_copy, read_settings
from graphs.functions.text.tables.tables import make_tables

TEXTS = (
    *("", " ", "covid", "COVID-19", "a covid b", "xcovidx", "covid covidcovid", "new york", "New  York", "new\tyork"),
    *("[MASK]", " [MASK] ", "a[MASK]b", "a [MASK]  [MASK] b", "\t[MASK]\u3000", "[MASK][MASK]", "[[MASK]]", "[MASK"),
    *("\u5317\u4eac", "a\u5317\u4eacb", "\u5317 \u4eac", "\u5317\u5317\u4eac\u4eac", "covid\u5317", "\u5317covid"),
    *(
        "aaaaa",
        "aaaaaaa b aa",
        "ababa",
        "aB_ab",
        "abababab",
        "abcab",
        "_covid",
        "covid_",
        "\u0301covid",
        "covid\u0301",
        "covid.\u00b5",
    ),
    *("caf\u00e9 cafe\u0301 CAFE", "e\u0301\u5317\u4eac", "\u200bcovid\u200b", "a\0covid", "covid\0 b"),
)


def tried_with(*tokens: AddedToken | str, **options: bool | None) -> Tried:
    tokenizer = trained("latin", "cjk", size=300, options=options)
    tokenizer.add_tokens(list(tokens))
    return Tried(tokenizer)


def compare(tried: Tried, texts: Sequence[str]) -> None:
    for begin in range(0, len(texts), 8):
        some = texts[begin : begin + 8]
        difference = first_difference(tried.rows(some), tried.expected(some))
        assert not difference, f"{difference}, texts {some!r}"


def case(*tokens: AddedToken | str, **options: bool) -> tuple[tuple[AddedToken | str, ...], dict[str, bool]]:
    return tokens, options


CASES = {
    "normalized": case("covid", "New York", "caf\u00e9"),
    "raw": case(AddedToken("covid", normalized=False), AddedToken("caf\u00e9", normalized=False)),
    "cjk": case("\u5317\u4eac", "\u5317"),
    "single words": case(AddedToken("covid", single_word=True), AddedToken("\u5317", single_word=True)),
    "raw single words": case(AddedToken("covid", single_word=True, normalized=False)),
    "strips": case(AddedToken("covid", lstrip=True), AddedToken("aa", rstrip=True), AddedToken("york", lstrip=True)),
    "raw strips": case(
        AddedToken("[MASK]", lstrip=True, rstrip=True, normalized=False, special=True),
        AddedToken("\u5317", rstrip=True, normalized=False),
        AddedToken("covid", lstrip=True, normalized=False),
    ),
    "cjk strips": case(AddedToken("\u5317", lstrip=True, rstrip=True), AddedToken("covid", lstrip=True)),
    "overlapping": case("aa", "aba", "bab", "abc", "ca"),
    "raw overlapping": case(*(AddedToken(content, normalized=False) for content in ("aa", "aba", "bab", "abc", "ca"))),
    "prefixes": case("a", "aaa", AddedToken("aaaaa", single_word=True)),
    "same when normalized": case("COVID", "covid", AddedToken("Covid", single_word=True)),
    "same as one of the vocabulary": case(AddedToken("A", lstrip=True), AddedToken("a", single_word=True), "b", "B"),
    "same, and the special one is found": case("a", AddedToken("A", special=True, normalized=True), "B", "b"),
    "same, with raw ones in most spellings": case(
        *("AB", "ab"), *(AddedToken(content, normalized=False) for content in ("A", "b")), lowercase=True
    ),
    "one character": case("b", AddedToken("c", normalized=False)),
    "cased": case("Covid", "New York", lowercase=False),
    "white space": case(AddedToken(" york"), AddedToken("new\tyork"), clean_text=False),
}


@pytest.mark.parametrize("name", CASES)
def test_flags(name: str) -> None:
    tokens, options = CASES[name]
    compare(tried_with(*tokens, **options), TEXTS)


def test_special_tokens_that_stay_text() -> None:
    tokenizer = trained("latin", size=200)
    tokenizer.add_tokens(["covid", AddedToken("K]", normalized=False)])
    tokenizer.encode_special_tokens = True
    compare(Tried(tokenizer), TEXTS)


def test_the_first_of_two_tokens_with_one_content() -> None:
    tokenizer = trained("latin", size=200)
    tokenizer.add_tokens(["covid", "COVID"])
    tokenizer.add_special_tokens([AddedToken("Covid", special=True, normalized=True)])
    compare(Tried(tokenizer), TEXTS)


@pytest.mark.parametrize("contents", [("A", "a"), ("a", "A")])
def test_a_copy_finds_the_same_one_of_equal_contents(contents: tuple[str, str]) -> None:
    tokenizer = trained("latin", size=200)
    tokenizer.add_tokens([*contents, AddedToken("aa", normalized=False)])
    tokenizer.enable_padding(length=12)
    copy = plain_copy(tokenizer)
    assert copy.encode("A aa a").ids == tokenizer.encode("A aa a").ids[:5]
    assert read_settings(copy) == read_settings(tokenizer)


def random_tokens(rng: np.random.Generator) -> list[AddedToken]:
    """Returns a few short tokens of few letters, so that they overlap often."""
    found = {}
    for _ in range(rng.integers(1, 6)):
        content = "".join(rng.choice([*"abAB_\u5317\u00e9", "a ", "["], rng.integers(1, 4))).strip()
        flags = rng.random(5) < 0.3
        found[content] = AddedToken(
            content,
            lstrip=bool(flags[0]),
            rstrip=bool(flags[1]),
            single_word=bool(flags[2]),
            normalized=bool(rng.random() < 0.5),
            special=bool(flags[4]),
        )
    return list(found.values())


def random_texts(rng: np.random.Generator, count: int) -> list[str]:
    pieces = [*"abAB_\u5317\u00e9[ \t\u0301\u200b", "  ", "a ", "\u3000", "ab", "[MASK]", "ba"]
    return ["".join(rng.choice(pieces, rng.integers(0, 14))) for _ in range(count)]


def compare_random_tokens(seeds: range) -> None:
    for seed in seeds:
        rng = np.random.default_rng(seed)
        tokens = random_tokens(rng)
        options = {name: bool(rng.random() < 0.7) for name in ("clean_text", "handle_chinese_chars", "lowercase")}
        try:
            tried = tried_with(*tokens, **options)
            compare(tried, random_texts(rng, 64))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, {tokens}, {options}: {error}") from error


def test_random_tokens() -> None:
    compare_random_tokens(range(6))


@pytest.mark.full
def test_many_random_tokens() -> None:
    compare_random_tokens(range(100, 1100))


def test_a_content_that_is_normalized_away() -> None:
    tokenizer = trained("latin", size=200)
    tokenizer.add_tokens(["\u200b"])
    with pytest.raises(GraphError, match=r"'\\u200b' has no character after normalization, expected one"):
        make_tables(read_settings(tokenizer))


def test_white_space_that_two_tokens_claim() -> None:
    tokenizer: Tokenizer = trained("latin", size=200)
    tokenizer.add_tokens([AddedToken(" york"), AddedToken("new", rstrip=True)])
    with pytest.raises(GraphError, match="' york' begins with white space, which 'new' strips"):
        read_settings(tokenizer)
