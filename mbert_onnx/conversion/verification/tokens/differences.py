"""Comparison of tokens and rows with those of `tokenizers`, and the line about the first difference."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from mbert_onnx.conversion.verification.tokens.reference import Reference
from mbert_onnx.conversion.verification.tokens.rows import Rows, Tokens
from mbert_onnx.conversion.verification.tokens.texts import Texts
from mbert_onnx.errors import VerificationError

ADVICE = "give the tokenizer.json that the file was exported with, or export it again"
# Most characters of a text, and most numbers of a row, in a message.
SHOWN_CHARACTERS, SHOWN_NUMBERS = 40, 8

Part = TypeVar("Part", Rows, Tokens)


def compare_tokens(found: Tokens, expected: Tokens, texts: Texts, reference: Reference, name: str) -> int:
    """Compares all tokens of texts. Returns the number of offsets that differ as documented.

    Raises VerificationError for any other difference; `name` is the file.
    """
    lengths = [np.bincount(tokens.texts, minlength=len(texts)) for tokens in (found, expected)]
    row, place = _first_row(lengths[0], lengths[1], {"ids": (found.ids, expected.ids)})
    if row is not None:
        raise _error(
            name,
            _quoted(texts, row),
            "ids",
            *(_around(t.ids, n, row, place) for t, n in _zip(found, expected, lengths)),
        )
    moved = (found.spans != expected.spans).any(axis=1) | (found.words != expected.words).any(axis=1)
    for token in np.flatnonzero(moved).tolist():
        text = int(found.texts[token])
        spans = [found.spans[token], expected.spans[token], found.words[token], expected.words[token]]
        if not _permitted(reference, texts.data[text], spans):
            which = "words" if np.array_equal(found.spans[token], expected.spans[token]) else "spans"
            shown = (getattr(one, which)[token].tolist() for one in (found, expected))
            raise _error(name, _quoted(texts, text), f"offsets of token {int(found.ids[token])}", *shown)
    return int(moved.sum())


def compare_rows(
    found: Rows, expected: Rows, texts: Texts, pairs: Texts | None, reference: Reference, name: str
) -> int:
    """Compares rows. Returns the number of offsets that differ as documented.

    Raises VerificationError for any other difference; `name` is the file.
    """
    columns = {
        "ids": (found.ids, expected.ids),
        "token types": (found.types, expected.types),
        "sequences": (found.sequences, expected.sequences),
        "owners": (found.owned, expected.owned),
    }
    if not np.array_equal(found.texts, expected.texts):
        raise VerificationError(
            f"{name}: {len(texts)} texts give {len(found.texts)} rows, expected {len(expected.texts)} as of "
            f"`tokenizers`; {ADVICE}"
        )

    def quoted(row: int) -> str:
        text = int(expected.texts[row])
        return " and ".join(_quoted(one, text) for one in (texts, pairs) if one is not None)

    for what, column in columns.items():
        row, place = _first_row(found.lengths, expected.lengths, {what: column})
        if row is not None:
            lengths = (found.lengths, expected.lengths)
            shown = (_around(values, n, row, place) for values, n in zip(column, lengths, strict=True))
            raise _error(name, quoted(row), what, *shown)
    moved = np.flatnonzero((found.spans != expected.spans).any(axis=1)).tolist()
    rows = np.repeat(np.arange(len(found.lengths)), found.lengths)
    for token in moved:
        sequence = int(found.sequences[token])
        of = (texts, pairs)[sequence] if sequence >= 0 else None
        spans = [found.spans[token], expected.spans[token]]
        if of is None or not _permitted(reference, of.data[int(found.texts[rows[token]])], spans):
            shown_spans = (one.spans[token].tolist() for one in (found, expected))
            raise _error(name, quoted(int(rows[token])), f"offsets of token {int(found.ids[token])}", *shown_spans)
    return len(moved)


def _permitted(reference: Reference, text: bytes, spans: list[np.ndarray]) -> bool:
    begin, end = min(int(span[0]) for span in spans), max(int(span[1]) for span in spans)
    return reference.permits(text, begin, end)


def _first_row(
    found: np.ndarray, expected: np.ndarray, columns: dict[str, tuple[np.ndarray, np.ndarray]]
) -> tuple[int | None, int]:
    """Returns the first row whose length or values differ, and its first different token; None if all are equal."""
    of_length = np.flatnonzero(found != expected)
    row = int(of_length[0]) if len(of_length) else len(found)
    for one, other in columns.values():
        size = min(len(one), len(other))
        places = np.flatnonzero(one[:size] != other[:size])
        if len(places):
            ends = np.cumsum(found)
            of_place = int(np.searchsorted(ends, places[0], side="right"))
            if of_place <= row:
                return of_place, int(places[0] - (ends[of_place] - found[of_place]))
    return (row, int(min(found[row], expected[row]))) if row < len(found) else (None, 0)


def _around(values: np.ndarray, lengths: np.ndarray, row: int, place: int) -> str:
    """Returns the values of a row from shortly before a place on."""
    end = int(np.cumsum(lengths)[row])
    of_row = values[end - int(lengths[row]) : end]
    begin = max(min(place, len(of_row)) - 1, 0)
    some = of_row[begin : begin + SHOWN_NUMBERS].tolist()
    after = " …" if begin + SHOWN_NUMBERS < len(of_row) else ""
    return f"{'… ' if begin else ''}{' '.join(str(int(value)) for value in some) or 'none'}{after}"


def _zip(found: Tokens, expected: Tokens, lengths: list[np.ndarray]) -> zip[tuple[Tokens, np.ndarray]]:
    return zip((found, expected), lengths, strict=True)


def _quoted(texts: Texts, number: int) -> str:
    text = texts.strings[number]
    shown = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
    return ascii(shown) if not shown.isprintable() else repr(shown)


def _error(name: str, where: str, what: str, found: object, expected: object) -> VerificationError:
    return VerificationError(
        f"{name}: {where} gives the {what} {found}, expected {expected} as of `tokenizers`; {ADVICE}"
    )
