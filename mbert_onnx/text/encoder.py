"""Encoder of texts into rows of token ids: whole, truncated, or cut into windows. It needs only `tokenizers`.

A tokenizer.json may contain truncation and padding from its training. Both are reset, because the model determines
the length. Truncation is done here and not by `tokenizers`: the tokenizer is then never changed after loading, so that
threads can share it, and windows keep their token types (huggingface/tokenizers#1908).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.text.tokenizer import (
    TokenizerSettings,
    embedding_advice,
    library_errors,
    listed,
    read_tokenizer,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# Default overlap of two windows in tokens: SQuAD's `doc_stride`, or half a window if that is shorter (the defaults of
# transformers' question-answering pipeline).
DEFAULT_STRIDE = 128
# Tokens of the windows on which SQuAD models are trained, in which `answer` reads a context.
QUESTION_WINDOW = 384
# MobileBERT's limit, used when a config.json has no `max_position_embeddings`.
DEFAULT_MAX_POSITIONS = 512
MASK_TOKEN = "[MASK]"
# Two short texts that every vocabulary can encode, which show the special tokens that the post-processor adds.
PROBE = ("a", "a")


def check_text(value: object, name: str) -> str:
    """Returns `value`. Raises UsageError, which contains `name`, if it is not a str, blank, or not valid Unicode."""
    if not isinstance(value, str):
        # A generator, an array or a column of a table instead of a list.
        is_many = isinstance(value, Iterable) and not isinstance(value, bytes | bytearray | list | tuple | dict)
        advice = f"Give list({name}) for many." if is_many else "Give it as text."
        raise UsageError(f"The {name} is of type {type(value).__name__}, expected str. {advice}")
    if not value.strip():
        raise UsageError(f"The {name} is empty. Give some text.")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"The {name} is not valid Unicode ({error.reason}). Decode it with its encoding.") from error
    return value


@dataclass(frozen=True)
class Tokens:
    """The tokens of a whole text, without special tokens.

    `offsets` and `words` are [start, end) characters in `text`: of each token, and of the word that contains it.
    """

    text: str
    ids: list[int]
    tokens: list[str]
    offsets: list[tuple[int, int]]
    words: list[tuple[int, int]]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Row:
    """One row of model inputs, special tokens included; `ids` and `type_ids` have the same length."""

    ids: list[int]
    type_ids: list[int]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Window(Row):
    """A row with a part of a longer text: its tokens `first` to `first + count`, at position `begin` of the row.

    Adjacent windows overlap. `owned_from` to `owned_to` are the tokens of the whole text for which this window has the
    most context; each token of the text is owned by exactly one window.
    """

    begin: int
    first: int
    count: int
    owned_from: int
    owned_to: int

    @property
    def owned(self) -> slice:
        """The positions in the row of the tokens that this window owns."""
        shift = self.begin - self.first
        return slice(self.owned_from + shift, self.owned_to + shift)


class Template:
    """The special tokens around one text or two, such as BERT's `[CLS] A [SEP]` and `[CLS] A [SEP] B [SEP]`.

    With `token_types` False all token types are 0; `segments` is the number of types that the model has.
    """

    def __init__(
        self, tokenizer: Tokenizer, texts: Sequence[str], segments: int | None = None, *, token_types: bool = True
    ) -> None:
        encoding = tokenizer.encode(*texts)
        last = max(encoding.type_ids) if segments is None else segments - 1
        types = [min(type_id, last) if token_types else 0 for type_id in encoding.type_ids]
        places = [encoding.sequence_ids.index(sequence) for sequence in range(len(texts))]
        self._parts: list[tuple[int, int] | int] = []  # (id, type) of a special token, or the number of a sequence
        self._types = [types[place] for place in places]
        for position, sequence in enumerate(encoding.sequence_ids):
            if sequence is None:
                self._parts.append((encoding.ids[position], types[position]))
            elif position in places:
                self._parts.append(sequence)
        self.special_ids = [part[0] for part in self._parts if isinstance(part, tuple)]

    @property
    def starts_with_special(self) -> bool:
        return isinstance(self._parts[0], tuple)

    def row(self, *sequences: list[int]) -> tuple[Row, list[int]]:
        """Returns the row of these ids, and the position where each sequence begins."""
        ids: list[int] = []
        type_ids: list[int] = []
        begins = [0] * len(sequences)
        for part in self._parts:
            if isinstance(part, tuple):
                ids.append(part[0])
                type_ids.append(part[1])
            else:
                begins[part] = len(ids)
                ids.extend(sequences[part])
                type_ids.extend([self._types[part]] * len(sequences[part]))
        return Row(ids, type_ids), begins


class TextEncoder:
    """A bundle's tokenizer, with the maximum length of its model.

    `max_length` is the largest number of tokens in a row, special tokens included. `vocab_size` is the number of word
    embeddings and `segments` that of token types that the model has, None where they are unknown: a model with one
    segment reads both texts of a pair as that one. `mask_token` replaces the mask token that the tokenizer's files
    name. `tokenizer_option`: whether the command has an option --tokenizer, which messages then name. Raises
    BundleError if `tokenizer.json` cannot be used.
    """

    def __init__(
        self,
        path: Path,
        max_length: int,
        *,
        vocab_size: int | None = None,
        segments: int | None = None,
        mask_token: str | None = None,
        tokenizer_option: bool = False,
    ) -> None:
        self.tokenizer = read_tokenizer(path)
        self.settings = TokenizerSettings.beside(path, self.tokenizer)
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.settings.apply(self.tokenizer)
        self.max_length = max_length
        self.tokenizer_option = tokenizer_option
        self.mask_token = mask_token or self.settings.mask_token or MASK_TOKEN
        self._path = path
        self._vocab_size = vocab_size
        types = self.settings.token_types
        with library_errors(lambda _: self._no_token(PROBE[0])):
            self._single = Template(self.tokenizer, PROBE[:1], segments, token_types=types)
            self._pair = Template(self.tokenizer, PROBE, segments, token_types=types)
        self._largest_special = max(self.special_ids, default=0)

    @property
    def has_null_token(self) -> bool:
        """True if rows begin with a special token ([CLS]), the span of a question without an answer."""
        return self._pair.starts_with_special

    @property
    def mask_id(self) -> int:
        """The id of the mask token. Raises BundleError if the vocabulary has none."""
        try:
            mask_id = self.tokenizer.token_to_id(self.mask_token)
        except UnicodeEncodeError:  # a lone surrogate, which JSON can hold
            mask_id = None
        if mask_id is None:
            shown = self.mask_token if self.mask_token.isprintable() else repr(self.mask_token)
            raise BundleError(f"{self._path} has no token {shown}. Name it as mask_token in its config.")
        return int(mask_id)

    @property
    def padding_id(self) -> int | None:
        """The id of the padding token; None if the vocabulary has none."""
        return self.settings.padding_id(self.tokenizer)

    @property
    def unknown_token(self) -> str | None:
        return getattr(self.tokenizer.model, "unk_token", None)

    @property
    def continuation_prefix(self) -> str | None:
        """The prefix of a token that continues a word: `##` in WordPiece."""
        return getattr(self.tokenizer.model, "continuing_subword_prefix", None)

    def join(self, tokens: list[str]) -> str:
        """Joins tokens to a text: `["walk", "##ing"]` becomes `walking`."""
        decoder = self.tokenizer.decoder
        return str(decoder.decode(tokens)) if decoder is not None else " ".join(tokens)

    def token_text(self, token_id: int) -> str:
        return str(self.tokenizer.decode([token_id], skip_special_tokens=False))

    def row(self, first: list[int], second: list[int] | None = None) -> Row:
        """Returns the row of one or two texts' ids, with special tokens."""
        return self._single.row(first)[0] if second is None else self._pair.row(first, second)[0]

    @property
    def special_ids(self) -> list[int]:
        """The ids of the special tokens that rows of one text and of two have."""
        return sorted({*self._single.special_ids, *self._pair.special_ids})

    def encode(self, text: str) -> Any:
        """Returns the encoding of `tokenizers` of a text, empty or not, without special tokens.

        Raises BundleError for a text with an unknown word, if the vocabulary has no token for those.
        """
        with library_errors(lambda _: self._no_token(text)):
            return self.tokenizer.encode(text, add_special_tokens=False)

    def tokens(self, text: str, name: str = "text") -> Tokens:
        """Tokenizes a whole text. Raises UsageError, which contains `name`, if it has no token."""
        check_text(text, name)
        return self.tokens_in(self.encode(text), text, name)

    def tokens_in(self, encoding: Any, text: str, name: str) -> Tokens:
        """Returns the tokens in the encoding of a text. Raises as `checked_ids` does."""
        ids = self.checked_ids(encoding, text, name)
        return Tokens(text, ids, encoding.tokens, encoding.offsets, _word_spans(encoding))

    def checked_ids(self, encoding: Any, text: str, name: str) -> list[int]:
        """Returns the ids in the encoding of a text.

        Raises UsageError, which contains `name`, if there are none, and BundleError for a token that has no word
        embedding in the model.
        """
        ids: list[int] = encoding.ids
        if not ids:
            raise UsageError(
                f"The {name} {text!r} has no token: the tokenizer drops all of its characters. Give some text."
            )
        if self._vocab_size is not None and max(max(ids), self._largest_special) >= self._vocab_size:
            raise self._no_embedding([*ids, *self.special_ids], self._vocab_size, name)
        return ids

    def truncated(self, text: str, pair: str | None = None) -> tuple[Row, bool]:
        """Returns the row of a text or a pair, and whether it was truncated to the model's length.

        In a pair that is too long, the longer text is cut first (transformers' `longest_first`).
        """
        first = self.tokens(text).ids
        return self.truncated_row(first, None if pair is None else self.tokens(pair, "second text").ids)

    def truncated_row(self, first: list[int], second: list[int] | None = None) -> tuple[Row, bool]:
        """Returns what `truncated` does, for the ids of a text or a pair."""
        if second is None:
            room = self._room(self._single, self.max_length)
            return self._single.row(self._cut(first, room))[0], len(first) > room
        room = self._room(self._pair, self.max_length)
        cut = len(first) + len(second) > room
        if cut:
            shorter = min(len(first), len(second), room // 2)
            longer = room - shorter
            keep = (shorter, longer) if len(first) <= len(second) else (longer, shorter)
            first, second = self._cut(first, keep[0]), self._cut(second, keep[1])
        return self._pair.row(first, second)[0], cut

    def windows(
        self, text: str, question: str | None = None, *, max_seq_len: int | None = None, stride: int | None = None
    ) -> tuple[Tokens, list[Window]]:
        """Cuts a text of any length into overlapping windows, each beside the whole question if there is one.

        `max_seq_len` is the length of a window in tokens, with special tokens and question (None: the model's length).
        `stride` is the overlap of two adjacent windows in tokens, as in transformers. Raises UsageError if
        `max_seq_len` is larger than the model's length, or the question leaves no room for text.
        """
        question_ids = None if question is None else self.tokens(question, "question").ids
        tokens = self.tokens(text, "text" if question is None else "context")
        return tokens, self.windows_of_ids(tokens.ids, question_ids, max_seq_len=max_seq_len, stride=stride)

    def windows_of_ids(
        self,
        ids: list[int],
        question: list[int] | None = None,
        *,
        max_seq_len: int | None = None,
        stride: int | None = None,
    ) -> list[Window]:
        """Returns the windows of `windows`, for the ids of a text and of a question."""
        length = self._window_length(max_seq_len)
        template, question_ids = (self._single, []) if question is None else (self._pair, [question])
        room = self._room(template, length, *question_ids)
        step = room - self._stride(stride, length, room)
        starts = range(0, max(len(ids) - room + step, 1), step)
        ends = [min(start + room, len(ids)) for start in starts]
        # In an overlap, tokens left of the middle have more context in the first window, the others in the second. The
        # ends of the text belong to the first and the last window.
        seams = [0, *((start + end) // 2 for start, end in zip(starts[1:], ends[:-1], strict=True)), len(ids)]
        windows = []
        for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
            sequences = [*question_ids, ids[start:end]]
            if self.settings.context_first:
                sequences.reverse()
            row, begins = template.row(*sequences)
            begin = begins[0 if self.settings.context_first else -1]
            windows.append(
                Window(row.ids, row.type_ids, begin, start, end - start, seams[number], seams[number + 1]),
            )
        return windows

    def _cut(self, ids: list[int], length: int) -> list[int]:
        return ids[max(len(ids) - length, 0) :] if self.settings.truncation_side == "left" else ids[:length]

    def _no_embedding(self, ids: list[int], vocab_size: int, name: str) -> BundleError:
        missing = {self.tokenizer.id_to_token(number): number for number in ids if number >= vocab_size}
        return BundleError(
            f"The {name} has {listed(missing)}, but the model has {vocab_size} word embeddings, and "
            f"{self._path} has {self.tokenizer.get_vocab_size()} tokens. "
            f"{embedding_advice(self.tokenizer, vocab_size, tokenizer_option=self.tokenizer_option)}"
        )

    def _no_token(self, text: str) -> BundleError:
        return BundleError(
            f"{self._path} cannot encode {text!r}: its vocabulary has no unknown token. "
            "Save the checkpoint's tokenizer again."
        )

    def _window_length(self, max_seq_len: int | None) -> int:
        if max_seq_len is None:
            return self.max_length
        if not 0 < max_seq_len <= self.max_length:
            raise UsageError(
                f"max_seq_len is {max_seq_len}, but the model takes 1 to {self.max_length} tokens. Give one of those."
            )
        return max_seq_len

    def _room(self, template: Template, length: int, *question_ids: list[int]) -> int:
        """Returns the number of text tokens that fit in a row beside special tokens and question."""
        taken, specials = sum(map(len, question_ids)), len(template.special_ids)
        room = length - specials - taken
        if room < 1:
            what = f"The question has {taken} tokens and" if question_ids else "A text has"
            larger = "a larger max_seq_len" if length < self.max_length else "a model of more tokens"
            advice = f"Shorten the question, or use {larger}." if question_ids else f"Use {larger}."
            raise UsageError(
                f"{what} {specials} special ones, which leave no room in a row of {length} tokens. {advice}"
            )
        return room

    @staticmethod
    def _stride(stride: int | None, length: int, room: int) -> int:
        if stride is None:
            default = min(DEFAULT_STRIDE, length // 2)
            # A long question can leave less room than the default overlap; windows must still advance.
            return default if default < room else room // 2
        if not 0 <= stride < room:
            raise UsageError(f"stride is {stride}, but a window holds {room} tokens of text. Give 0 to {room - 1}.")
        return stride


def _word_spans(encoding: Any) -> list[tuple[int, int]]:
    """Returns the [start, end) characters of each token's word, or of the token itself if it is in no word."""
    spans: dict[int, tuple[int, int]] = {}
    for word, (start, end) in zip(encoding.word_ids, encoding.offsets, strict=True):
        if word is not None:
            spans[word] = (min(start, spans[word][0]), max(end, spans[word][1])) if word in spans else (start, end)
    return [
        spans[word] if word is not None else offset
        for word, offset in zip(encoding.word_ids, encoding.offsets, strict=True)
    ]
