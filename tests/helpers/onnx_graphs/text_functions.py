"""The text functions run beside `tokenizers`, and difficult texts for both."""

from __future__ import annotations

import codecs
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnxruntime
from built_kernels import LIBRARY
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from graphs.functions.text.function import outputs, text_model
from graphs.functions.text.tables.row_options import Form, RowOptions
from graphs.functions.text.tables.settings import read_settings
from graphs.functions.text.tables.tables import Tables, make_tables

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
STRATEGIES = {1: "longest_first", 2: "only_first", 3: "only_second"}
LIMIT = 10**6
NORMALIZERS: dict[str, dict[str, bool | None]] = {
    "uncased": {},
    "cased": {"lowercase": False},
    "accents kept": {"strip_accents": False},
    "cased, accents stripped": {"lowercase": False, "strip_accents": True},
    "not cleaned, CJK not apart": {"clean_text": False, "handle_chinese_chars": False},
}


def span(first: int, last: int, step: int = 1) -> list[str]:
    return [chr(point) for point in range(first, last, step)]


# Alphabets of the texts on which vocabularies are trained.
ALPHABETS = {
    "latin": [*"abcdefghijklmnopqrstuvwxyz", *"ABCDEFGHIJ", *"éüßñçÅ"],
    "hangul": span(0xAC00, 0xD7A4, 91),
    "cjk": span(0x4E00, 0x9FFF, 311),
    "devanagari": span(0x904, 0x94E),
    "arabic": span(0x621, 0x653),
}

# Groups of difficult characters and pieces of text.
GROUPS = [
    [*span(0x300, 0x36F), *"\u0591\u05b0\u0651\u093f\u093c\u094d\u0e31\u1b44\u0345\u0344"],
    [*span(0xAC00, 0xD7A4, 37), *span(0x1100, 0x1200)],
    [*"👩🔬👨👧🏳🌈❤", "\u200d", "\ufe0f", "👩\u200d🔬"],
    span(0x600, 0x700),
    [*span(0x4E00, 0x9FFF, 91), *"﨎豈𠀀𪜀", "\U0002b820", "\U0002f800"],
    [*"éÉßİıſΣςǅﬁÅ…½²ªЙйѐ", "e\u0301", "\u212b"],
    [*"!?.,'\"-_#$@[]()<>=+^`~|\\/、。「」¿§"],
    [*span(0, 0x20), *"\x7f\x80\xa0\xad\u200b\u2028\u2029\u202e\u3000\ufeff\ufffd\ue000\u0378", "\U0010ffff"],
    [" ", "\n", "\t", "  ", "\u3000"],
    [*SPECIAL, "[[UNK]", "[PAD]]", "[mask]", "[MASK", "##", "##s"],
    [*"abcdefgh 0123456789"],
    ["the", "un", "affable", "tion", "s", "ing", "zq", "x" * 99, "ab" * 50, "a" * 101],
    span(0x900, 0x97F),
]
EDGES = (
    *("", " ", "   \n", "\u0301", "\0", "\0\0a\0", "[MASK]", "a" * 100, "a" * 101, "é" * 100, "e\u0301" * 101),
    *("x" * 3000, "!" * 3000, " [MASK] ", "\ufffd", "\u5317" * 50, "[" * 500),
)


def difficult_texts(count: int, seed: int = 0) -> Iterator[str]:
    """Yields edge cases, then random mixtures of difficult characters."""
    yield from EDGES
    rng = np.random.default_rng(seed)
    for _ in range(count):
        groups = [GROUPS[i] for i in rng.choice(len(GROUPS), rng.integers(1, 6))]
        pieces = (groups[rng.integers(len(groups))] for _ in range(rng.integers(0, 60)))
        yield "".join(group[rng.integers(len(group))] for group in pieces)


def difficult_bytes(count: int, seed: int = 0) -> Iterator[bytes]:
    """Yields byte strings that are mostly invalid UTF-8."""
    rng = np.random.default_rng(seed)
    choices = bytes.fromhex("204162808f909fa0bfc0c2c3e0e1edeeeff0f1f3f4f5ff")
    for _ in range(count):
        yield bytes(choices[i] for i in rng.integers(0, len(choices), rng.integers(0, 14)))


def alphabet_text(words: int, *alphabets: str, seed: int = 0) -> str:
    """Returns random words, each of one alphabet, in which syllables recur."""
    rng = np.random.default_rng(seed)
    syllables = [
        ["".join(rng.choice(ALPHABETS[name], rng.integers(1, 4))) for _ in range(60)] for name in alphabets or ALPHABETS
    ]
    chosen = (syllables[rng.integers(len(syllables))] for _ in range(words))
    return " ".join("".join(rng.choice(group, rng.integers(1, 4))) for group in chosen)


def trained(*alphabets: str, size: int = 900, options: Mapping[str, bool | None] | None = None) -> Tokenizer:
    """Returns a BERT tokenizer that is trained on random words of these alphabets; all of them without any."""
    tokenizer = Tokenizer(models.WordPiece({}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(**(options or {}))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=SPECIAL, show_progress=False)
    tokenizer.train_from_iterator([alphabet_text(4000, *alphabets)], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer


Spans = list[tuple[int, int]]


@dataclass(frozen=True)
class Row:
    """One row without padding."""

    ids: list[int]
    types: list[int]
    sequences: list[int]
    offsets: Spans
    words: Spans

    def spans(self) -> Iterator[tuple[int, tuple[int, int], tuple[int, int]]]:
        """Yields the sequence, the bytes and the word's bytes of each token."""
        yield from zip(self.sequences, self.offsets, self.words, strict=True)


class Tried:
    """A tokenizer, and the functions that are made from it. The tokenizer must not change afterwards.

    All that is computed with a body is computed with the native kernel, too, where it is built, and compared.
    """

    def __init__(self, tokenizer: Tokenizer, options: RowOptions | None = None, tables: Tables | None = None) -> None:
        self.tokenizer = tokenizer
        self.options = options or RowOptions(limit=LIMIT)
        self._tables = tables
        self._sessions: dict[Form, list[onnxruntime.InferenceSession]] = {}

    @cached_property
    def tables(self) -> Tables:
        return self._tables or make_tables(read_settings(self.tokenizer))

    def sessions(self, form: Form) -> list[onnxruntime.InferenceSession]:
        """Returns a session with the body, and, where the native kernels are built, one with the kernel."""
        if form not in self._sessions:
            model = text_model(form, self.tables, self.options).SerializeToString()
            self._sessions[form] = [text_session(model), *([text_session(model, native=True)] if LIBRARY else [])]
        return self._sessions[form]

    def compute(self, form: Form, feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the outputs by name, after a check that body and kernel return the same."""
        found, *native = (
            dict(zip(outputs(form), session.run(None, feed), strict=True)) for session in self.sessions(form)
        )
        for other in native:
            check_equal(other, found)
        return found

    def run(
        self,
        texts: Sequence[str | bytes],
        pairs: Sequence[str | bytes] | None = None,
        *,
        windows: bool = False,
        max_length: int = LIMIT,
        stride: int = -1,
    ) -> dict[str, np.ndarray]:
        """Returns the outputs of a batch by name."""
        form = {
            (False, False): Form.TEXT,
            (True, False): Form.PAIR,
            (False, True): Form.WINDOWS,
            (True, True): Form.PAIR_WINDOWS,
        }[pairs is not None, windows]
        feed = {"max_length": np.array(max_length)} | dict(zip(("text", "row_splits"), joined(texts), strict=True))
        if pairs is not None:
            feed |= dict(zip(("pair", "pair_splits"), joined(pairs), strict=True))
        if windows:
            feed["stride"] = np.array(stride)
        return self.compute(form, feed)

    def rows(
        self, texts: Sequence[str | bytes], pairs: Sequence[str | bytes] | None = None, max_length: int = LIMIT
    ) -> list[Row]:
        """Returns the rows of a batch, without padding."""
        return unpadded(self.run(texts, pairs, max_length=max_length))

    def expected(
        self, texts: Sequence[str | bytes], pairs: Sequence[str | bytes] | None = None, max_length: int | None = None
    ) -> list[Row]:
        """Returns the rows that `tokenizers` makes of a batch."""
        truncation = int(self.options.truncation)
        whole = [] if max_length is None else self.expected(texts, pairs)
        if max_length is not None and truncation:
            direction = "left" if self.options.cut_left else "right"
            self.tokenizer.enable_truncation(max_length, strategy=STRATEGIES[truncation], direction=direction)
        else:
            self.tokenizer.no_truncation()
        found = list[Row]()
        for row in zip(texts, *([pairs] if pairs is not None else []), strict=True):
            decoded = [decode(text) for text in row]
            encoding = self.tokenizer.encode(*(text for text, _ in decoded))
            places = [[*begins, end] for _, (begins, end) in decoded]
            offsets = [
                (0, 0) if which is None else (begin_of(places[which], span), end_of(decoded[which], span))
                for which, span in zip(encoding.sequence_ids, encoding.offsets, strict=True)
            ]
            words: dict[tuple[int | None, int | None], tuple[int, int]] = {}
            keys = list(zip(encoding.sequence_ids, encoding.word_ids, strict=True))
            for key, (begin, end) in zip(keys, offsets, strict=True):
                old = words.get(key, (begin, end))
                words[key] = min(begin, old[0]), max(end, old[1])
            if whole:  # a word of which only a part is left is still the whole one
                spans = {(which, span): word for which, span, word in whole[len(found)].spans()}
                words = {
                    key: spans[key[0], offset] for key, offset in zip(keys, offsets, strict=True) if key[0] is not None
                }
            found.append(
                Row(
                    encoding.ids,
                    encoding.type_ids,
                    [-1 if which is None else which for which in encoding.sequence_ids],
                    offsets,
                    [(0, 0) if key[0] is None else words[key] for key in keys],
                )
            )
        return found


def text_session(model: bytes, *, native: bool = False) -> onnxruntime.InferenceSession:
    """Returns a session of one thread that computes the function's body, or the native kernel."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    if native:
        options.register_custom_ops_library(str(LIBRARY))
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def check_equal(native: Mapping[str, np.ndarray], body: Mapping[str, np.ndarray]) -> None:
    """Fails where an output of the kernel is not that of the body."""
    for name, expected in body.items():
        assert native[name].dtype == expected.dtype, name
        np.testing.assert_array_equal(native[name], expected, err_msg=f"{name}, kernel and body", strict=True)


def unpadded(found: dict[str, np.ndarray]) -> list[Row]:
    rows = []
    for row, mask in enumerate(found["attention_mask"]):
        length = int(mask.sum())
        assert mask[:length].all()
        columns = ("input_ids", "token_type_ids", "sequence_ids")
        spans = ([tuple(pair) for pair in found[name][row, :length].tolist()] for name in ("offsets", "word_offsets"))
        rows.append(Row(*(found[name][row, :length].tolist() for name in columns), *spans))
    return rows


def joined(texts: Sequence[str | bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the bytes of all texts, and their row splits."""
    data = [text.encode() if isinstance(text, str) else text for text in texts]
    return np.frombuffer(b"".join(data), np.uint8), np.cumsum([0, *map(len, data)]).astype(np.int64)


def decode(text: str | bytes) -> tuple[str, tuple[list[int], int]]:
    """Returns a text, invalid pieces replaced; the first byte of each of its characters, and the number of bytes."""
    data = text.encode() if isinstance(text, str) else text
    ends: dict[int, int] = {}

    def replace(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeDecodeError)
        ends[error.start] = error.end
        return "\ufffd", error.end

    codecs.register_error("mbert_spans", replace)
    decoded, begins, place = data.decode(errors="mbert_spans"), list[int](), 0
    for character in decoded:
        begins.append(place)
        place = ends.get(place) or place + len(character.encode())
    assert place == len(data)
    assert decoded == data.decode(errors="replace")
    return decoded, (begins, place)


def begin_of(places: list[int], span: tuple[int, int]) -> int:
    return places[span[0]]


def end_of(decoded: tuple[str, tuple[list[int], int]], span: tuple[int, int]) -> int:
    begins, end = decoded[1]
    return [*begins, end][span[1]]


def sorts(text: str, clean: bool) -> bool:
    """Returns whether NFD changes the order of a text's characters: `tokenizers` then loses track of their offsets."""
    kept = normalizers.BertNormalizer(
        clean_text=clean, handle_chinese_chars=False, strip_accents=False, lowercase=False
    )
    text = kept.normalize_str(text)
    return unicodedata.normalize("NFD", text) != "".join(unicodedata.normalize("NFD", character) for character in text)


def first_difference(found: Sequence[Row], expected: Sequence[Row], sorted_rows: Sequence[bool] = ()) -> str:
    """Returns a description of the first row that differs; empty if all are equal.

    In `sorted_rows`, the offsets may differ.
    """
    assert len(found) == len(expected)
    for number, (row, other) in enumerate(zip(found, expected, strict=True)):
        differ = number < len(sorted_rows) and sorted_rows[number]
        for field in ("ids", "types", "sequences") if differ else ("ids", "types", "sequences", "offsets", "words"):
            if getattr(row, field) != getattr(other, field):
                return f"row {number}: {field} {getattr(row, field)}, expected {getattr(other, field)}"
    return ""
