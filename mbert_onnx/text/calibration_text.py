"""Texts on which a float model is measured before it is written in fp16 or int8.

On some of them (`fit`) the ranges of its activations are taken, on others (`held_out`) the damage. They come from a
user's file, `--calibrate FILE`, or are built in. The same file always gives the same texts.
"""

from __future__ import annotations

import codecs
import copy
import csv
import gzip
import io
import itertools
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mbert_onnx.errors import MbertError, UsageError
from mbert_onnx.text import builtin_sentences
from mbert_onnx.text.encoder import Row, TextEncoder, check_text
from mbert_onnx.text.tasks import (
    FEATURE_EXTRACTION,
    FILL_MASK,
    NEXT_SENTENCE_PREDICTION,
    PRETRAINING,
    QUESTION_ANSWERING,
    TOKEN_CLASSIFICATION,
    Task,
)

BUILT_IN = "built-in sentences"

# Ranges hardly grow any more after some dozens of texts, and each costs a run of the float model in which every
# activation is kept. The damage is a mean over tokens, which settles sooner.
MOST_FIT, MOST_HELD_OUT = 64, 32
# Every third text measures the damage, which gives 64 to 32.
HELD_OUT_EVERY = 3
# Below the first, what is measured depends on single texts; below the second, it may.
FEWEST, FEW = 8, 32
# What is read of a file, decompressed: twice SQuAD's training set. Nobody needs more for 96 texts.
MOST_BYTES = 2**26
# The same in lines, since each costs memory however short it is; MNLI's training set has 392,702.
MOST_LINES = 500_000
# What is kept of a text: 512 tokens, as many as MobileBERT takes, are some 2,500 characters, and 4,000 of Latin words.
MOST_CHARACTERS = 20_000
# Ordinary text of the vocabulary's language has below 1 % of unknown tokens, text in another script nearly 100 %.
MOST_UNKNOWN = 0.25
# A multiple choice where the graph does not fix how many: the fewest that are one.
CHOICES = 2
# Models that fill masks read them: one token in seven is near the 15 % of BERT's training.
MASK_EVERY = 7

# What columns and keys are called, in lower case, the first match counts. Of a question and its context, the context
# is the second text, as in training on SQuAD.
PAIRS = (
    ("question", "context"),
    ("question", "passage"),
    ("question", "sentence"),
    ("question1", "question2"),
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("text1", "text2"),
    ("text", "text_pair"),
    ("text", "pair"),
)
SINGLES = ("text", "sentence", "phrase", "review", "content", *dict.fromkeys(name for pair in PAIRS for name in pair))
EXPECTED = "text, sentence, phrase, question and context, sentence1 and sentence2, or premise and hypothesis"

# Tasks that read one text at a time: of a pair, both texts are texts of their own.
SINGLE_TASKS = (TOKEN_CLASSIFICATION, FILL_MASK, FEATURE_EXTRACTION)
# Tasks that are about two texts, where any two will do.
PAIR_TASKS = (NEXT_SENTENCE_PREDICTION, PRETRAINING)

GZIP_START = b"\x1f\x8b"
# How many keys of somebody's file, and how much of each, an error shows.
SHOWN_KEYS, SHOWN_CHARACTERS = 8, 30


class CalibrationError(MbertError):
    """A file that is no collection of texts, or whose texts tell nothing about the model."""

    def __init__(self, message: str) -> None:
        """`message` may quote a file: it is made one printable line."""
        line = " ".join(message.split())
        super().__init__("".join(character if character.isprintable() else "?" for character in line))


@dataclass(frozen=True, slots=True)
class CalibrationText:
    """A text, and for tasks that read two the one that comes second: of a question, its context."""

    text: str
    pair: str | None = None


@dataclass(frozen=True)
class CalibrationTexts:
    """What a model is measured on.

    Args:
        source: The file's name, or "built-in sentences".
        fit: What ranges are measured on; at most 64.
        held_out: What damage is measured on; at most 32, none of them in `fit`, nor about a context that is in `fit`.
        notes: What a user should know, a line each.
    """

    source: str
    fit: list[CalibrationText]
    held_out: list[CalibrationText]
    notes: list[str]


@dataclass(frozen=True)
class Feeds:
    """Texts as a model reads them.

    Args:
        feeds: One text each: `input_ids`, `attention_mask` and `token_type_ids`, int64 `[1, length]`, for multiple
            choice `[1, choices, length]`.
        tokens: How many tokens of text they have, neither special ones nor padding.
        unknown: The share of those that the vocabulary does not know, 0 to 1.
        notes: What a user should know, a line each.
        cut: How many texts are longer than the model and lost their end.
        dropped: How many texts are left out because they have no token at all.
    """

    feeds: list[dict[str, np.ndarray]]
    tokens: int
    unknown: float
    cut: int = 0
    dropped: int = 0
    notes: list[str] = field(default_factory=list)


def read_calibration(path: Path | None, task: Task) -> CalibrationTexts:
    """The texts of a file, or the built-in ones for None, as `task` reads them.

    The file may be `.txt` (a text a line), `.tsv` or `.csv` (with a header or without), `.jsonl`, or `.json` in SQuAD's
    layout, each also gzipped. Of a large one a sample is taken, evenly spread.

    Raises CalibrationError for a file that cannot be read as that, that has fewer than 8 different texts, or that has
    no pairs where `task` answers questions.
    """
    if path is None:
        note = "ranges were measured on built-in English sentences; --calibrate FILE with texts of your own is better"
        return _divided(BUILT_IN, BUILT_IN, _distinct(_for_task(_built_in(task), task)), [note], task)
    file = _read(path)
    found = _distinct(_texts_of(file))
    texts = _distinct(_for_task(found, task))
    if not found:
        raise CalibrationError(f"{path} has no text, expected at least {FEWEST}. Give a file with texts.")
    if not texts:
        raise CalibrationError(
            f"{path} has no question with a context, which {task.name} needs. "
            "Give a .jsonl or .tsv with question and context, or SQuAD's own .json."
        )
    if len(texts) < FEWEST:
        raise CalibrationError(
            f"{path} has {_count(len(texts), 'different text')}, expected at least {FEWEST}, better {FEW}. "
            "Add texts such as the model will read."
        )
    notes = list(file.notes)
    if len(texts) < FEW:
        notes.append(f"{path.name} has only {len(texts)} different texts; {FEW} or more give safer ranges")
    return _divided(path.name, str(path), texts, notes, task)


def read_first(path: Path, task: Task, count: int) -> list[CalibrationText]:
    """The first so many texts of a file, in its order, as `task` reads them; fewer where it has fewer.

    Raises CalibrationError for a file that cannot be read, or that has none.
    """
    texts = list(itertools.islice(_for_task(_texts_of(_read(path)), task), count))
    if not texts:
        raise CalibrationError(f"{path} has no text that {task.name} reads. Give a file with texts.")
    return texts


def encode(
    texts: Sequence[CalibrationText],
    tokenizer: TextEncoder,
    task: Task,
    *,
    seq_len: int | None,
    max_positions: int,
    choices: int | None,
    pad_token_id: int = 0,
) -> Feeds:
    """Texts as feeds, one for each.

    Args:
        texts: What `read_calibration` gave.
        tokenizer: The bundle's; its own `max_length` does not count here.
        task: For multiple choice, each text is followed by its pair and its neighbours, so that all choices are texts;
            for filling masks, every seventh token is one.
        seq_len: The length that the graph fixes; None where it is dynamic, and each text has its own length.
        max_positions: The most tokens that the model takes.
        choices: The number that the graph fixes; None where it is dynamic, or for a task without choices.
        pad_token_id: What fills up rows.

    Raises CalibrationError where more than a quarter of the tokens are unknown, or there are none, and whatever
    `TextEncoder.truncated` raises.
    """
    encoder = copy.copy(tokenizer)
    encoder.max_length = min(seq_len or max_positions, max_positions)
    usable = [text for text in texts if _has_tokens(encoder, text)]
    if not usable:
        raise CalibrationError("No calibration text has a token that the model reads. Give other texts.")
    specials = set(encoder.tokenizer.encode("").ids)
    unknown_id = encoder.tokenizer.token_to_id(encoder.unknown_token or "")
    feeds, total, unknown, cut = [], 0, 0, 0
    for number in range(len(usable)):
        rows = []
        cuts = []
        for first, second in _rows_of(usable, number, (choices or CHOICES) if task.has_choices else None):
            row, was_cut = encoder.truncated(first, second)
            places = [place for place, token in enumerate(row.ids) if token not in specials]
            total += len(places)
            unknown += row.ids.count(unknown_id)
            cuts.append(was_cut)
            rows.append(_masked(row, places, encoder) if task in (FILL_MASK, PRETRAINING) else row)
        cut += any(cuts)
        feeds.append(_feed(rows, seq_len, pad_token_id, task))
    share = unknown / max(total, 1)  # texts may be special tokens only
    if share > MOST_UNKNOWN:
        raise CalibrationError(
            f"{share:.0%} of the tokens of the calibration texts are {encoder.unknown_token}, expected at "
            f"most {MOST_UNKNOWN:.0%}: the model does not know their language or script. "
            "Give texts in the model's language, with --calibrate FILE."
        )
    dropped = len(texts) - len(usable)
    notes = []
    if cut:
        notes.append(f"{cut} of {len(texts)} calibration texts were cut to {encoder.max_length} tokens")
    if dropped:
        notes.append(f"{dropped} of {len(texts)} calibration texts were left out: the tokenizer drops all of them")
    return Feeds(feeds, total, share, cut, dropped, notes)


# The choice of texts


def _built_in(task: Task) -> list[CalibrationText]:
    pairs = [CalibrationText(*pair) for pair in builtin_sentences.questions()]
    if task is QUESTION_ANSWERING:
        return pairs
    singles = [CalibrationText(text) for text in builtin_sentences.texts()]
    contexts = {pair.pair: pair for pair in pairs}
    step = -(-len(singles) // len(contexts))
    texts: list[CalibrationText] = []
    for number, pair in enumerate(contexts.values()):
        texts += [*singles[number * step : (number + 1) * step], pair]
    return texts


def _for_task(texts: Iterable[CalibrationText], task: Task) -> Iterator[CalibrationText]:
    """The texts that the task can read, as it reads them."""
    for text in texts:
        if task in SINGLE_TASKS:
            yield CalibrationText(text.text)
            if text.pair is not None:
                yield CalibrationText(text.pair)
        elif task is not QUESTION_ANSWERING or text.pair is not None:
            yield text


def _distinct(texts: Iterable[CalibrationText]) -> list[CalibrationText]:
    return list(dict.fromkeys(texts))


def _spread(texts: list[CalibrationText], most: int) -> list[CalibrationText]:
    """At most so many of the texts, at equal distances."""
    count = min(most, len(texts))
    return [texts[number * len(texts) // count] for number in range(count)]


def _divided(source: str, where: str, texts: list[CalibrationText], notes: list[str], task: Task) -> CalibrationTexts:
    """A sample of the texts, in two parts. Texts about the same context are in the same part."""
    sample = _spread(texts, MOST_FIT + MOST_HELD_OUT)
    if len(sample) < len(texts):
        notes = [*notes, f"{len(sample)} of the {len(texts)} different texts in {source} are used, evenly spread"]
    # Of a question and its context, or a premise and its hypotheses, it is the longer one that others share.
    by_pair = sum(len(text.pair or "") for text in sample) > sum(len(text.text) for text in sample)
    groups: dict[str, int] = {}
    fit: list[CalibrationText] = []
    held_out: list[CalibrationText] = []
    for text in sample:
        shared = text.pair if by_pair and text.pair is not None else text.text
        number = groups.setdefault(shared, len(groups))
        (held_out if number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 else fit).append(text)
    if not held_out:
        raise CalibrationError(
            f"{where} has {len(texts)} pairs, but they share {_count(len(groups), 'context')}, expected at least "
            f"{HELD_OUT_EVERY}: one is kept apart to measure the damage. Add pairs with other contexts."
        )
    fit, held_out = _spread(fit, MOST_FIT), _spread(held_out, MOST_HELD_OUT)
    if task in PAIR_TASKS:
        fit, held_out = _with_neighbours(fit), _with_neighbours(held_out)
    return CalibrationTexts(source, fit, held_out, notes)


def _with_neighbours(texts: list[CalibrationText]) -> list[CalibrationText]:
    """Each text that has no pair is followed by the next one."""
    after = [*texts[1:], *texts[:1]]
    return [
        text if text.pair is not None else replace(text, pair=other.text)
        for text, other in zip(texts, after, strict=True)
    ]


# What the model reads


def _has_tokens(encoder: TextEncoder, text: CalibrationText) -> bool:
    """Whether the tokenizer leaves something: it drops control characters, and some letters' marks."""
    try:
        for part in (text.text, text.pair):
            if part is not None:
                encoder.tokens(part)
    except UsageError:
        return False
    return True


def _rows_of(texts: Sequence[CalibrationText], number: int, choices: int | None) -> Sequence[tuple[str, str | None]]:
    """The text of each row of a feed, and what follows it there."""
    text = texts[number]
    if choices is None:
        return [(text.text, text.pair)]
    after = [texts[(number + step) % len(texts)] for step in range(1, choices + 1)]
    endings = [] if text.pair is None else [text.pair]
    endings += [other.text if other.pair is None else other.pair for other in after]
    return [(text.text, ending) for ending in endings[:choices]]


def _masked(row: Row, places: list[int], encoder: TextEncoder) -> Row:
    """The row with masks at every seventh of the places, beginning in the middle of the first seven."""
    mask_id = encoder.tokenizer.token_to_id(encoder.mask_token)
    if mask_id is None:
        return row
    chosen = set(places[MASK_EVERY // 2 :: MASK_EVERY])
    return Row([mask_id if place in chosen else token for place, token in enumerate(row.ids)], row.type_ids)


def _feed(rows: list[Row], seq_len: int | None, pad_token_id: int, task: Task) -> dict[str, np.ndarray]:
    length = seq_len or max(map(len, rows))
    shape = (len(rows), length)
    feed = {
        "input_ids": np.full(shape, pad_token_id, np.int64),
        "attention_mask": np.zeros(shape, np.int64),
        "token_type_ids": np.zeros(shape, np.int64),
    }
    for place, row in enumerate(rows):
        feed["input_ids"][place, : len(row)] = row.ids
        feed["attention_mask"][place, : len(row)] = 1
        feed["token_type_ids"][place, : len(row)] = row.type_ids
    return {name: values[np.newaxis] if task.has_choices else values for name, values in feed.items()}


# Files


@dataclass(frozen=True)
class _File:
    """A file's content, decoded, with line feeds only; what is beyond 64 MB or 500,000 lines is left out."""

    path: Path
    content: str
    notes: list[str]

    @property
    def is_whole(self) -> bool:
        return not self.notes

    @property
    def lines(self) -> Iterator[tuple[int, str]]:
        """Lines that are not blank, with their numbers from 1."""
        return ((number, line) for number, line in enumerate(self.content.split("\n"), 1) if line.strip())


def _read(path: Path) -> _File:
    data = _bytes(path)
    if not data:
        raise CalibrationError(f"{path} is empty, expected at least {FEWEST} texts. Give a file with texts.")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise CalibrationError(f"{path} is UTF-16, expected UTF-8. Convert it: iconv -f UTF-16 -t UTF-8.")
    nul = data.find(0)
    if nul >= 0:
        raise CalibrationError(
            f"{path} is no text: its byte {nul} is NUL. Expected UTF-8; give a .txt, .tsv, .jsonl or .json."
        )
    notes = []
    if len(data) > MOST_BYTES:
        size = f"{MOST_BYTES // 2**20} MB"
        if _kind(path) == ".json":
            raise CalibrationError(f"{path} has more than {size}, and JSON cannot be read in part. Give a .jsonl.")
        notes.append(f"only the first {size} of {path.name} were read")
        # The last line is not whole; one that is all there is may be cut.
        data = data[:MOST_BYTES].rpartition(b"\n")[0] or data[:MOST_BYTES]
    try:
        content = codecs.getincrementaldecoder("utf-8")().decode(data, final=not notes)
    except UnicodeDecodeError as error:
        raise CalibrationError(
            f"{path} is not UTF-8: its byte {error.start} is 0x{data[error.start]:02x}. "
            "Convert it, from Latin-1 for example: iconv -f LATIN1 -t UTF-8."
        ) from error
    content = content.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not content.strip():
        raise CalibrationError(
            f"{path} has only blank lines, expected at least {FEWEST} texts. Give a file with texts."
        )
    lines = content.removesuffix("\n").split("\n", MOST_LINES)
    if len(lines) > MOST_LINES and _kind(path) != ".json":
        notes.append(f"only the first {MOST_LINES} lines of {path.name} were read")
        content = "\n".join(lines[:MOST_LINES])
    return _File(path, content, notes)


def _bytes(path: Path) -> bytes:
    """What is in a file, gzipped or not; no more than tells that it is too large."""
    try:
        if path.is_dir():
            raise CalibrationError(f"{path} is a folder, expected a file of texts. Give a .txt, .tsv, .jsonl or .json.")
        with path.open("rb") as file:
            if file.peek(len(GZIP_START)).startswith(GZIP_START):
                with gzip.open(file) as unpacked:
                    return unpacked.read(MOST_BYTES + 1)
            return file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise CalibrationError(f"{path} does not exist. Give --calibrate a file of texts.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CalibrationError(f"{path} is gzipped, but damaged ({error}). Copy it again.") from error
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = getattr(error, "strerror", None) or error
        raise CalibrationError(f"{path} cannot be read ({reason}). Give --calibrate a file of texts.") from error


def _kind(path: Path) -> str:
    """The extension that tells the format: in lower case, without `.gz`."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def _texts_of(file: _File) -> Iterator[CalibrationText]:
    """All texts of a file, blank ones left out."""
    readers = {".tsv": _from_tsv, ".csv": _from_csv, ".jsonl": _from_jsonl, ".json": _from_json}
    texts = readers.get(_kind(file.path), _from_lines)(file)
    return (text for text in texts if text.text)


def _text(value: object, pair: object, where: str) -> CalibrationText:
    """A text of a file, without the space around it; blank where `value` is. `where` is for errors."""
    parts = []
    for part in (value, pair):
        if part is not None and not isinstance(part, str):
            raise CalibrationError(
                f"{where}: the text is of type {type(part).__name__}, expected a string. Correct it or remove it."
            )
        stripped = (part or "").strip()[:MOST_CHARACTERS].strip()
        if stripped:
            try:
                check_text(stripped, "text")
            except UsageError as error:
                raise CalibrationError(f"{where}: {error}") from error
        parts.append(stripped)
    return CalibrationText(parts[0], parts[1] or None)


def _from_lines(file: _File) -> Iterator[CalibrationText]:
    return (_text(line, None, f"{file.path}, line {number}") for number, line in file.lines)


def _from_jsonl(file: _File) -> Iterator[CalibrationText]:
    for number, line in file.lines:
        where = f"{file.path}, line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise CalibrationError(f"{where} is no JSON ({_reason(error)}). Give one object a line.") from error
        yield _from_object(value, where)


def _from_json(file: _File) -> Iterator[CalibrationText]:
    """SQuAD's layout, or a list of objects as in `.jsonl`."""
    try:
        value = json.loads(file.content)
    except (ValueError, RecursionError) as error:
        line = f", line {error.lineno}," if isinstance(error, json.JSONDecodeError) else ""
        raise CalibrationError(
            f"{file.path}{line} is no JSON ({_reason(error)}). Correct it; with an object on each line, name it .jsonl."
        ) from error
    entries = value.get("data") if isinstance(value, dict) else value
    if not isinstance(entries, list):
        raise CalibrationError(
            f"{file.path} is JSON, but neither SQuAD's (data, paragraphs, qas) nor a list of objects with texts. "
            "Give one of those, or a .jsonl."
        )
    for number, entry in enumerate(entries, 1):
        where = f"{file.path}, entry {number}"
        if not (isinstance(entry, dict) and "paragraphs" in entry):
            yield _from_object(entry, where)
            continue
        try:
            pairs = [(qa["question"], part["context"]) for part in entry["paragraphs"] for qa in part["qas"]]
        except (TypeError, KeyError) as error:
            raise CalibrationError(
                f"{where} is not as in SQuAD: expected paragraphs with a context and qas, and qas with a question. "
                "Correct it, or give a .jsonl with question and context."
            ) from error
        yield from (_text(question, context, where) for question, context in pairs)


def _from_object(value: object, where: str) -> CalibrationText:
    """A JSON string, or an object with a text under a known key."""
    if isinstance(value, str):
        return _text(value, None, where)
    if not isinstance(value, dict):
        raise CalibrationError(
            f"{where} is a JSON {type(value).__name__}, expected an object. Give objects with a text."
        )
    values = {key.strip().lower(): item for key, item in value.items()}
    names = _known(values)
    if not names:
        raise CalibrationError(
            f"{where} has the keys {_shown(value)}, expected {EXPECTED}. Rename the key of the text."
        )
    return _text(values[names[0]], values[names[1]] if len(names) > 1 else None, where)


def _from_tsv(file: _File) -> Iterator[CalibrationText]:
    """Quotes in a TSV are most often a text's own (GLUE), so they neither join lines nor hide tabs."""
    return _from_table(
        file.path, [(number, [_unquoted(cell) for cell in line.split("\t")]) for number, line in file.lines]
    )


def _from_csv(file: _File) -> Iterator[CalibrationText]:
    reader = csv.reader(io.StringIO(file.content, newline=""))
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise CalibrationError(f"{file.path}, line {reader.line_num} is no CSV ({error}). Correct it.") from error
    # The end of what was read may be in the middle of a cell.
    return _from_table(file.path, rows if file.is_whole else rows[:-1])


def _from_table(path: Path, rows: list[tuple[int, list[str]]]) -> Iterator[CalibrationText]:
    """The columns that the header names; where there is none, the one with the longest texts."""
    if not rows:
        return
    first, header = rows[0]
    for number, row in rows:
        if len(row) != len(header):
            raise CalibrationError(
                f"{path}, line {number} has {_count(len(row), 'column')}, expected {len(header)} as in line {first}. "
                "Correct it, or give the texts one a line as .txt."
            )
    names = [cell.strip().lower() for cell in header]
    columns = [names.index(name) for name in _known(names)]
    if columns:
        rows = rows[1:]
    else:
        lengths = [sum(len(row[column]) for _, row in rows) for column in range(len(header))]
        columns = [lengths.index(max(lengths))]
        worded = sum(any(map(str.isalpha, row[columns[0]])) for _, row in rows)
        if 2 * worded < len(rows):
            raise CalibrationError(
                f"{path} has no column of texts: line {first} has {_shown(header)}. Give it a header with {EXPECTED}."
            )
    for number, row in rows:
        texts = [row[column] for column in columns]
        yield _text(texts[0], texts[1] if len(texts) > 1 else None, f"{path}, line {number}")


def _known(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the names under which the text is, and perhaps its pair; none where no name is known."""
    present = set(names)
    singles = ((name,) for name in SINGLES)
    return next((known for known in (*PAIRS, *singles) if present.issuperset(known)), ())


def _unquoted(cell: str) -> str:
    """A cell that is quoted as a whole, as pandas writes one with quotes inside."""
    inner = cell[1:-1]
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if quoted else cell


def _shown(names: Iterable[Any]) -> str:
    """Names out of a file, as many as fit in a line."""
    listed = list(names)
    shown = ", ".join(str(name)[:SHOWN_CHARACTERS] for name in listed[:SHOWN_KEYS])
    rest = len(listed) - SHOWN_KEYS
    return (shown or "(none)") + (f" and {rest} more" if rest > 0 else "")


def _reason(error: Exception) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
