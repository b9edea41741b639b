"""Tokens, truncated rows and windows that `tokenizers` makes of texts, with offsets in bytes."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
import tokenizers
from tokenizers import Tokenizer, normalizers

from graphs.functions.text.tables.row_options import Truncation
from graphs.functions.text.tables.settings import plain_copy, read_settings
from mbert_onnx.conversion.verification.tokens.rows import Rows, Tokens
from mbert_onnx.conversion.verification.tokens.texts import Texts

STRATEGIES = {
    Truncation.LONGEST_FIRST: "longest_first",
    Truncation.ONLY_TEXT: "only_first",
    Truncation.ONLY_PAIR: "only_second",
}


class Reference:
    """A tokenizer of `tokenizers`, which is copied: truncation is set for each call.

    `identity` has all that its tokens depend on.

    Args:
        tokenizer: The tokenizer; it is not changed. transformers' tokenizers have theirs as `backend_tokenizer`.
        segments: The number of token types that the model has; larger types become the last. None: as many as needed.
        prompt: Ids of tokens before each text, behind the special ones that begin a row.

    Raises graphs.errors.GraphError for a tokenizer that a text file cannot have.
    """

    def __init__(self, tokenizer: Tokenizer, *, segments: int | None = None, prompt: Sequence[int] = ()) -> None:
        self.settings = read_settings(tokenizer)
        self._plain: Any = plain_copy(tokenizer)  # which never changes, so that threads share it
        self._truncating: Any = plain_copy(tokenizer)
        order = [token.id for token in self.settings.added]  # which is not in `to_str`
        self.identity = (
            f"tokenizers {tokenizers.__version__}, {self._plain.encode_special_tokens}, {order}, {self._plain.to_str()}"
        )
        self._segments = segments
        self._prompt = list(prompt)
        template = self.settings.single
        self._before = next(place for place, part in enumerate(template) if part.sequence is not None)

    def special(self, *, pair: bool) -> int:
        """Returns the number of special tokens in a row, those of the prompt included."""
        template = self.settings.pair if pair else self.settings.single
        return sum(part.sequence is None for part in template) + len(self._prompt)

    def tokens(self, texts: Texts) -> Tokens:
        """Returns all tokens of texts."""
        encodings = self._plain.encode_batch(texts.strings, add_special_tokens=False)
        lists = [encoding.ids for encoding in encodings]
        numbers = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
        spans = texts.spans(numbers, _pairs(encoding.offsets for encoding in encodings))
        in_text = _numbers(encoding.word_ids for encoding in encodings)
        return Tokens(numbers, _numbers(lists), spans, _word_spans(numbers, in_text, spans))

    def rows(
        self,
        texts: Texts,
        pairs: Texts | None = None,
        *,
        max_length: int | None = None,
        truncation: Truncation = Truncation.LONGEST_FIRST,
        cut_left: bool = False,
    ) -> Rows:
        """Returns the rows of texts or pairs; with `max_length`, truncated by `tokenizers`."""
        if max_length is not None:
            direction = "left" if cut_left else "right"
            self._truncating.enable_truncation(
                max_length - len(self._prompt), strategy=STRATEGIES[truncation], direction=direction
            )
        tokenizer = self._plain if max_length is None else self._truncating
        encodings = tokenizer.encode_batch(_given(texts, pairs))
        return self._flat(enumerate(encodings), texts, pairs)

    def windows(self, texts: Texts, pairs: Texts | None = None, *, max_length: int, stride: int, windowed: int) -> Rows:
        """Returns the windows that `tokenizers` makes of long texts: what truncation cuts is in further rows.

        Args:
            texts, pairs: The texts. The one that is not cut into windows must leave room.
            max_length: The tokens of a row.
            stride: The tokens that two adjacent windows share, fewer than a window has of the text.
            windowed: The sequence that is cut: 0 the text, 1 the pair.
        """
        strategy = "longest_first" if pairs is None else ("only_first", "only_second")[windowed]
        self._truncating.enable_truncation(max_length - len(self._prompt), stride=stride, strategy=strategy)
        encodings = self._truncating.encode_batch(_given(texts, pairs))
        rows = [(number, one) for number, first in enumerate(encodings) for one in (first, *first.overflowing)]
        found = self._flat(rows, texts, pairs)
        return _with_owners(found, windowed, stride)

    def permits(self, text: bytes, begin: int, end: int) -> bool:
        """Returns whether `tokenizers` may have lost track of the offsets of some bytes: NFD reorders characters there.

        docs/development/tokenize.md, "Differences", explains it.
        """
        options = self.settings.normalizer
        if not options.decomposes:
            return False
        string = text.decode(errors="replace")
        places = Texts.of([text]).places
        first, last = (int(np.searchsorted(places, place)) for place in (begin, end))
        while first > 0 and _is_moved(string[first - 1]):
            first -= 1
        while last < len(string) and _is_moved(string[last]):
            last += 1
        return reordered(string[max(first - 1, 0) : last], clean=options.clean_text)

    def _flat(self, rows: Iterable[tuple[int, Any]], texts: Texts, pairs: Texts | None) -> Rows:
        """Returns encodings, each with the number of its text, in flat arrays."""
        given = list(rows)
        numbers, encodings = [number for number, _ in given], [encoding for _, encoding in given]
        sequences = [[-1 if one is None else one for one in encoding.sequence_ids] for encoding in encodings]
        of_tokens = [self._with_prompt(one, -1) for one in sequences]
        ids = [self._with_prompt(one.ids, None) for one in encodings]
        offsets = [self._with_prompt(one.offsets, (0, 0)) for one in encodings]
        types = [self._types(one, pair=pairs is not None) for one in of_tokens]
        lengths = np.array([len(one) for one in ids], np.int64)
        of_row = np.repeat(np.array(numbers, np.int64), lengths)
        sequence, characters = _numbers(of_tokens), _pairs(offsets)
        spans = np.zeros((len(sequence), 2), np.int64)
        for which, some in enumerate((texts, pairs)):
            if some is not None:
                chosen = sequence == which
                spans[chosen] = some.spans(of_row[chosen], characters[chosen])
        most = np.iinfo(np.int64).max if self._segments is None else self._segments - 1
        return Rows(
            lengths=lengths,
            texts=np.array(numbers, np.int64),
            ids=_numbers(ids),
            types=np.minimum(_numbers(types), most),
            sequences=sequence,
            spans=spans,
            owned=sequence >= 0,
        )

    def _with_prompt(self, values: list[Any], filling: Any) -> list[Any]:
        """Returns the values of a row's tokens with a filling for those of the prompt; without one, their ids."""
        if not self._prompt:
            return values
        inserted = self._prompt if filling is None else [filling] * len(self._prompt)
        return [*values[: self._before], *inserted, *values[self._before :]]

    def _types(self, sequences: list[int], *, pair: bool) -> list[int]:
        """Returns the token types of a row by the template: in windows, `tokenizers` has others (issue 1908)."""
        found = list[int]()
        for place, part in enumerate(self.settings.pair if pair else self.settings.single):
            prompt = len(self._prompt) if place == self._before else 0
            count = 1 if part.sequence is None else sequences.count(part.sequence)
            found += [part.type] * (prompt + count)
        return found


def reordered(text: str, *, clean: bool) -> bool:
    """Returns whether NFD changes the order of a text's characters.

    `clean` is the option `clean_text` of BertNormalizer, which removes characters before NFD.
    """
    cleaned = normalizers.BertNormalizer(
        clean_text=clean, handle_chinese_chars=False, strip_accents=False, lowercase=False
    ).normalize_str(text)
    apart = "".join(unicodedata.normalize("NFD", character) for character in cleaned)
    return unicodedata.normalize("NFD", cleaned) != apart


def _is_moved(character: str) -> bool:
    """Returns whether NFD can move a character, or move others over it because cleaning removes it."""
    return unicodedata.combining(character) != 0 or unicodedata.category(character).startswith("C")


def _given(texts: Texts, pairs: Texts | None) -> list[Any]:
    return texts.strings if pairs is None else list(zip(texts.strings, pairs.strings, strict=True))


def _numbers(lists: Iterable[Sequence[int]]) -> np.ndarray:
    return np.fromiter(chain.from_iterable(lists), np.int64)


def _pairs(lists: Iterable[Sequence[tuple[int, int]]]) -> np.ndarray:
    return np.fromiter(chain.from_iterable(chain.from_iterable(lists)), np.int64).reshape(-1, 2)


def _word_spans(numbers: np.ndarray, words: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Returns the span of each token's word: words of a text have numbers that do not fall."""
    if not len(words):
        return spans
    begins = np.append(True, (np.diff(words) != 0) | (np.diff(numbers) != 0))
    places = np.flatnonzero(begins)
    word = np.cumsum(begins) - 1
    low, high = np.minimum.reduceat(spans[:, 0], places), np.maximum.reduceat(spans[:, 1], places)
    return np.stack([low[word], high[word]], axis=1)


def _with_owners(rows: Rows, windowed: int, stride: int) -> Rows:
    """Returns windows with their owners: in an overlap, tokens before its middle belong to the first window."""
    ends = np.cumsum(rows.lengths)
    owned = np.zeros(len(rows.ids), bool)
    for text in np.unique(rows.texts).tolist():
        windows = [
            np.flatnonzero(rows.sequences[end - length : end] == windowed) + end - length
            for end, length in zip(ends[rows.texts == text], rows.lengths[rows.texts == text], strict=True)
        ]
        begins = [number * (len(windows[0]) - stride) for number in range(len(windows))]
        stops = [begin + len(window) for begin, window in zip(begins, windows, strict=True)]
        seams = [0, *((begin + stop) // 2 for begin, stop in zip(begins[1:], stops, strict=False)), stops[-1]]
        for number, (begin, window) in enumerate(zip(begins, windows, strict=True)):
            owned[window[seams[number] - begin : seams[number + 1] - begin]] = True
    return replace(rows, owned=owned)
