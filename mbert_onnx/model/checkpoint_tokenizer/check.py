"""Verification of a bundle's tokenizer: equal ids and token types as transformers gives, on seeded texts.

A graph is verified on ids; this verifies the way from text to ids, which no comparison of graphs sees.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mbert_onnx.errors import BundleError, CheckpointError, MbertError, VerificationError
from mbert_onnx.model.checkpoint_tokenizer.loading import without_warnings
from mbert_onnx.text.encoder import Row, TextEncoder
from mbert_onnx.text.tokenizer import TOKEN_TYPES, embedding_advice, library_errors, listed, tokens_without_embedding

T = TypeVar("T")

SEED = 0
RANDOM_TEXTS = 48
# Added tokens, each of which gets texts of its own; of more than that, a sample.
ADDED_TOKENS = 48
VOCABULARY_SAMPLE = 400
# Truncation is compared where rows have room for a few tokens of each text.
FEWEST_POSITIONS = 8
SHOWN_CHARACTERS = 60

TEXTS = (
    "",
    " ",
    "a",
    "Ada Lovelace wrote it in 1843.",
    "ADA WROTE IT",
    " leading and trailing ",
    "two  spaces\ttab\nline\r\nend",
    "It's 3.50 EUR (50 %)! E-mail: ada@example.com, https://example.com/a?b=c#d",
    "caf\u00e9 na\u00efve \u00c9cole \u00dcber stra\u00dfe STRASSE \u00d8re \u0141\u00f3d\u017a",
    "cafe\u0301 E\u0301cole n\u0303",  # accents as combining characters
    "\u0130stanbul \u0131\u015f\u0131k \u01c5 \ufb01ne",  # characters whose lower case is longer, ligatures
    "\u4e2d\u6587 \u4e2d\u6587a \u6771\u4eac\u30bf\u30ef\u30fc \u3072\u3089\u304c\u306a \uff21\uff42\uff11",
    "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab",
    "\u041c\u043e\u0441\u043a\u0432\u0430 \u0419\u043e\u0433",
    "\u0391\u03b8\u03ae\u03bd\u03b1 \u03a3\u03af\u03c3\u03c5\u03c6\u03bf\u03c2",
    "\u0645\u0631\u062d\u0628\u0627 \u05e9\u05c1\u05dc\u05d5\u05dd",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0e44\u0e17\u0e22",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f \U0001f1eb\U0001f1f7",
    "null\x00 bell\x07 esc\x1b del\x7f c1\x85 soft\xad zero\u200bwidth bom\ufeff repl\ufffd",
    "\x01\u200b",
    "nbsp\xa0thin\u2009ideographic\u3000line\u2028paragraph\u2029end",
    "\u201cquotes\u201d \u2018single\u2019 \u2014 dash \u2026 \u20ac\u00a3\u00a5 \u00b2\u00bd \u2211\u222b",
    "supercalifragilisticexpialidocious",
    "x" * 130,  # WordPiece calls words of more than 100 characters unknown
    "[CLS] a [SEP] b [MASK] c [UNK] [PAD]",
    "a[MASK]b [mask] [Sep]",
    "<s> a </s> <mask> <unk> <pad>",
)
# Ranges of characters for random texts: Latin, combining, Greek and Cyrillic, CJK, punctuation, all others.
RANGES = (
    (0x20, 0x7F),
    (0xA0, 0x250),
    (0x300, 0x370),
    (0x370, 0x530),
    (0x4E00, 0x9FFF),
    (0x2000, 0x2070),
    (0x1, 0xD7FF),
)

CHANGES: tuple[Callable[[str], str], ...] = (str, str.upper, str.lower, str.title)

# A text, or a pair of texts.
Texts = tuple[str, ...]
# Gives the row of each text or pair, truncated if asked; None for one that it cannot encode.
Encode = Callable[[list[Texts], bool], list[Row | None]]


def check_tokenizer(theirs: Any, reloaded: Any, tokenizer: Path, max_length: int, name: str) -> None:
    """Compares a saved tokenizer with transformers' tokenizer that was saved.

    Args:
        theirs: transformers' tokenizer of the checkpoint.
        reloaded: transformers' tokenizer of the saved files.
        tokenizer: The saved tokenizer.json, which the runtime's encoder reads.
        max_length: The model's positions; 0: unknown, and truncation is not compared.
        name: The checkpoint's name.

    Raises VerificationError, which names the first text and the first token that differ.
    """
    length = max_length if max_length >= FEWEST_POSITIONS else None
    encoder = _encoder(tokenizer, max_length, name)
    expected = _by_transformers(theirs, length)
    found: dict[str, Encode] = {
        "the bundle's tokenizer": _by_us(encoder),
        "the saved tokenizer, loaded again,": _by_transformers(reloaded, length),
    }
    if theirs.mask_token is not None and encoder.tokenizer.token_to_id(encoder.mask_token) != theirs.mask_token_id:
        raise VerificationError(
            f"{name}: the bundle's mask token is {encoder.mask_token}, transformers' {theirs.mask_token}; nothing is "
            "written. Save the tokenizer again with this transformers"
        )
    with without_warnings():
        for cases, cut in _cases(theirs, length):
            rows = expected(cases, cut)
            for subject, encode in found.items():
                for texts, row, right in zip(cases, encode(cases, cut), rows, strict=True):
                    if row != right:
                        raise VerificationError(
                            f"{name}: {subject} is not the checkpoint's, nothing is written: "
                            f"{_difference(theirs, row, right, texts)}. Save the tokenizer again with this "
                            "transformers (AutoTokenizer.from_pretrained, save_pretrained), or report it with its files"
                        )


def embedding_notes(tokenizer: Path, vocab_size: int, name: str) -> list[str]:
    """Returns a note about tokens that have no word embedding, if there are any.

    Raises CheckpointError where a special token of every row has none, so that no text could be read.
    """
    encoder = _encoder(tokenizer, 0, name)
    missing = {encoder.tokenizer.id_to_token(number): number for number in encoder.special_ids if number >= vocab_size}
    if missing:
        raise CheckpointError(
            f"{name}: each row of its tokenizer has {listed(missing)}, but the model has {vocab_size} word embeddings. "
            f"{embedding_advice(encoder.tokenizer, vocab_size)}"
        )
    note = tokens_without_embedding(encoder.tokenizer, vocab_size)
    return [] if note is None else [note]


def sample_texts(tokenizer: Any) -> list[str]:
    """Returns texts that exercise case, accents, scripts, control characters, and the tokenizer's own tokens."""
    generator = random.Random(SEED)
    added = [token.content for _, token in sorted(tokenizer.added_tokens_decoder.items())]
    if len(added) > ADDED_TOKENS:
        added = generator.sample(added, ADDED_TOKENS)
    words = sorted(tokenizer.get_vocab())
    words = generator.sample(words, min(VOCABULARY_SAMPLE, len(words)))
    texts = [*TEXTS, *tokenizer.all_special_tokens]
    for token in added:
        texts += [f"a {token} b", f"a{token}b", f"{token.upper()} {token.lower()} {token.title()}", f"{token}{token}"]
    for _ in range(RANDOM_TEXTS):
        parts = generator.choices([*words, *added], k=generator.randint(1, 24))
        change = generator.choice(CHANGES)
        texts.append(change(generator.choice([" ", " ", "", "  "]).join(parts)))
        start, end = generator.choice(RANGES)
        texts.append("".join(chr(generator.randrange(start, end)) for _ in range(generator.randint(1, 40))))
    return texts


def _cases(tokenizer: Any, length: int | None) -> Iterator[tuple[list[Texts], bool]]:
    """Yields single texts, pairs, and texts that are longer than `length`, with whether they are truncated."""
    texts = sample_texts(tokenizer)
    # transformers takes an empty second text for none.
    filled = [text for text in texts if text.strip()]
    yield [(text,) for text in texts], False
    yield list(zip(filled, reversed(filled), strict=True)), False
    if length is not None:
        # Where both texts are too long, versions of `tokenizers` differ in which of them keeps one token more.
        long, short = "Ada wrote it. " * length, "a short one"
        yield [(long,), (short,)], True
        yield [(long, short), (short, long)], True


def _encoder(tokenizer: Path, max_length: int, name: str) -> TextEncoder:
    try:
        return TextEncoder(tokenizer, max_length)
    except BundleError as error:
        raise CheckpointError(str(error).replace(str(tokenizer), f"{name}: its tokenizer.json")) from error


def _by_us(encoder: TextEncoder) -> Encode:
    def row(texts: Texts, cut: bool) -> Row:
        return encoder.truncated(*texts)[0] if cut else encoder.row(*(encoder.encode(text).ids for text in texts))

    return lambda cases, cut: [_encoded(partial(row, texts, cut)) for texts in cases]


def _by_transformers(tokenizer: Any, length: int | None) -> Encode:
    def rows(cases: list[Texts], cut: bool) -> list[Row | None]:
        columns = [list(column) for column in zip(*cases, strict=True)]
        found = tokenizer(*columns, truncation=cut, max_length=length if cut else None, verbose=False)
        types = found.get(TOKEN_TYPES) or [[0] * len(ids) for ids in found["input_ids"]]
        return [Row(list(ids), list(kinds)) for ids, kinds in zip(found["input_ids"], types, strict=True)]

    def encode(cases: list[Texts], cut: bool) -> list[Row | None]:
        # At once: one call for each text is slow where its threads have to wait for a processor.
        together = _encoded(partial(rows, cases, cut))
        if together is not None:
            return together
        return [(_encoded(partial(rows, [texts], cut)) or [None])[0] for texts in cases]

    return encode


def _encoded(encode: Callable[[], T]) -> T | None:
    """Returns what an encoder gives; None for a text that it cannot encode, as one without unknown token."""
    try:
        with library_errors(lambda error: BundleError(str(error))):
            return encode()
    except MbertError:
        return None


def _difference(tokenizer: Any, found: Row | None, right: Row | None, texts: Texts) -> str:
    shown = " and ".join(
        repr(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…") for text in texts
    )
    if found is None or right is None:
        return f"{shown} is encoded by {'transformers' if found is None else 'it'} only"

    def token(row: Row, place: int) -> str:
        if place >= len(row):
            return "missing"
        number, kind = row.ids[place], row.type_ids[place]
        return f"{number} ({tokenizer.convert_ids_to_tokens(number)!r}, token type {kind})"

    ours, theirs = (list(zip(row.ids, row.type_ids, strict=True)) for row in (found, right))
    place = next(n for n in range(max(len(ours), len(theirs))) if ours[n : n + 1] != theirs[n : n + 1])
    return f"for {shown}, token {place} is {token(found, place)}, in transformers {token(right, place)}"
