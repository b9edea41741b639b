"""Readers of text files (lines, TSV, CSV, JSON Lines, JSON) as calibration texts and benchmark texts.

The texts are found by the names of columns and keys (`text`, `question` and `context`, ...).
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mbert_onnx.errors import CalibrationError, UsageError
from mbert_onnx.text.encoder import check_text
from mbert_onnx.text.json_files import parse_json
from mbert_onnx.text.name_lists import name_list

# Largest part of a file that is read, in bytes after decompression: twice SQuAD's training set.
MAX_BYTES = 2**26
# Largest number of lines that are read, since even short lines take memory; MNLI's training set has 392,702.
MAX_LINES = 500_000
# Largest part of a text that is kept. MobileBERT's 512 tokens are 2,500 to 4,000 characters of Latin script.
MAX_CHARACTERS = 20_000
# Fewest texts of a file: with fewer, activation ranges depend on single texts.
FEWEST = 8

# Known names of columns and keys, in lower case; the first match is used. The context of a question is the second text,
# as in training on SQuAD.
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

GZIP_START = b"\x1f\x8b"
# Separators of a .csv: the comma, or what programs write where the comma is the decimal mark, as in most of Europe.
SEPARATORS = (",", ";", "\t", "|")
# Excel's first line that names the separator.
SEPARATOR_LINE = re.compile(r"(sep=(.))(?=\n)", re.IGNORECASE)
# Rows from which the separator of a table without known names is guessed.
GUESSED_ROWS = 100
# How many characters of a column's name a message shows; in a file without a header it is a whole text.
SHOWN_CHARACTERS = 30


@dataclass(frozen=True, slots=True)
class CalibrationText:
    """A text, and its second text for tasks that read pairs (a question's context)."""

    text: str
    pair: str | None = None


@dataclass(frozen=True)
class TextFile:
    """The decoded content of a file, with `\\n` line ends, cut after 64 MB or 500,000 lines.

    `notes` says what was cut, one line each.
    """

    path: Path
    content: str
    notes: list[str]

    @property
    def is_whole(self) -> bool:
        """True if nothing was cut."""
        return not self.notes

    @property
    def lines(self) -> Iterator[tuple[int, str]]:
        """The lines that are not blank, with their numbers from 1."""
        return ((number, line) for number, line in enumerate(self.content.split("\n"), 1) if line.strip())


def read_text_file(path: Path, option: str = "--calibrate") -> TextFile:
    """Reads and decodes a file, the value of `option`.

    Raises CalibrationError, which names the option, if it is missing, unreadable, empty or not UTF-8.
    """
    data = _bytes(path, option)
    if not data:
        raise CalibrationError(f"{path} is empty, expected at least {FEWEST} texts. Give a file with texts.")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise CalibrationError(f"{path} is UTF-16, expected UTF-8. Convert it: iconv -f UTF-16 -t UTF-8.")
    nul = data.find(0)
    if nul >= 0:
        raise CalibrationError(
            f"{path} is not text: its byte {nul} is NUL. Expected UTF-8; give a .txt, .tsv, .jsonl or .json."
        )
    notes = []
    if len(data) > MAX_BYTES:
        size = f"{MAX_BYTES // 2**20} MB"
        if _kind(path) == ".json":
            raise CalibrationError(f"{path} has more than {size}, and JSON cannot be read in part. Give a .jsonl.")
        notes.append(f"only the first {size} of {path.name} were read")
        # The last line is incomplete and is dropped, unless it is the only one.
        data = data[:MAX_BYTES].rpartition(b"\n")[0] or data[:MAX_BYTES]
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
    lines = content.removesuffix("\n").split("\n", MAX_LINES)
    if len(lines) > MAX_LINES and _kind(path) != ".json":
        notes.append(f"only the first {MAX_LINES} lines of {path.name} were read")
        content = "\n".join(lines[:MAX_LINES])
    return TextFile(path, content, notes)


def _bytes(path: Path, option: str) -> bytes:
    """Returns the decompressed content of a file, at most one byte more than the limit."""
    try:
        if path.is_dir():
            raise CalibrationError(f"{path} is a folder, expected a file of texts. Give a .txt, .tsv, .jsonl or .json.")
        with path.open("rb") as file:
            if file.peek(len(GZIP_START)).startswith(GZIP_START):
                with gzip.open(file) as unpacked:
                    return unpacked.read(MAX_BYTES + 1)
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise CalibrationError(f"{path} does not exist. Give {option} a file of texts.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise CalibrationError(f"{path} is gzipped, but damaged ({error}). Copy it again.") from error
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL character
        reason = getattr(error, "strerror", None) or error
        raise CalibrationError(f"{path} cannot be read ({reason}). Give {option} a file of texts.") from error


def _kind(path: Path) -> str:
    """Returns the extension that decides the format, in lower case and without `.gz`."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


def texts_of(file: TextFile) -> Iterator[CalibrationText]:
    """Yields all texts of a file that are not blank."""
    readers = {".tsv": _from_tsv, ".csv": _from_csv, ".jsonl": _from_jsonl, ".json": _from_json}
    texts = readers.get(_kind(file.path), _from_lines)(file)
    return (text for text in texts if text.text)


def _text(value: object, pair: object, where: str) -> CalibrationText:
    """Builds a text from two cells, without the space around them. `where` is the place that errors name."""
    parts = []
    for part in (value, pair):
        if part is not None and not isinstance(part, str):
            raise CalibrationError(
                f"{where}: the text is of type {type(part).__name__}, expected a string. Correct it or remove it."
            )
        stripped = (part or "").strip()[:MAX_CHARACTERS].strip()
        if stripped:
            try:
                check_text(stripped, "text")
            except UsageError as error:
                raise CalibrationError(f"{where}: {error}") from error
        parts.append(stripped)
    return CalibrationText(parts[0], parts[1] or None)


def _from_lines(file: TextFile) -> Iterator[CalibrationText]:
    return (_text(line, None, f"{file.path}, line {number}") for number, line in file.lines)


def _from_jsonl(file: TextFile) -> Iterator[CalibrationText]:
    for number, line in file.lines:
        where = f"{file.path}, line {number}"
        try:
            value = parse_json(line)
        except ValueError as error:
            advice = "Give one object a line." if isinstance(error, json.JSONDecodeError) else "Correct it."
            raise CalibrationError(f"{where} is not JSON ({_reason(error)}). {advice}") from error
        yield _from_object(value, where)


def _from_json(file: TextFile) -> Iterator[CalibrationText]:
    """Yields the texts of SQuAD's layout, or of a list of objects as in `.jsonl`."""
    try:
        value = parse_json(file.content)
    except ValueError as error:
        line, advice = "", ""
        if isinstance(error, json.JSONDecodeError):
            line, advice = f", line {error.lineno},", "; with one object a line, name it .jsonl"
        raise CalibrationError(f"{file.path}{line} is not JSON ({_reason(error)}). Correct it{advice}.") from error
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
    """Returns the text of a JSON string, or of an object with a text under a known key."""
    if isinstance(value, str):
        return _text(value, None, where)
    if not isinstance(value, dict):
        raise CalibrationError(
            f"{where} is a JSON {type(value).__name__}, expected an object. Give objects with a text."
        )
    values = {key.strip().lower(): item for key, item in value.items()}
    names = _known(values)
    if not names:
        keys = name_list(value, characters=SHOWN_CHARACTERS)
        raise CalibrationError(f"{where} has the keys {keys}, expected {EXPECTED}. Rename the key of the text.")
    return _text(values[names[0]], values[names[1]] if len(names) > 1 else None, where)


def _from_tsv(file: TextFile) -> Iterator[CalibrationText]:
    """Yields the texts of a TSV. Quotes are part of the text, as in GLUE: they neither join lines nor hide tabs."""
    return _from_table(
        file.path, [(number, [unquoted(cell) for cell in line.split("\t")]) for number, line in file.lines]
    )


def _from_csv(file: TextFile) -> Iterator[CalibrationText]:
    named = SEPARATOR_LINE.match(file.content)
    # The line stays, empty, so that the numbers of the others are right.
    content = file.content[named.end() :] if named else file.content
    separator = named[2] if named else _separator(content)
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=separator)
    try:
        rows = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise CalibrationError(f"{file.path}, line {reader.line_num} is not CSV ({error}). Correct it.") from error
    # A cut file may end inside a cell.
    return _from_table(file.path, rows if file.is_whole else rows[:-1])


def _separator(content: str) -> str:
    """Returns the first separator with which the header has a known name.

    Or else that with the most columns of those with which all rows are as long: a decimal comma is in each row, too.
    """
    tables = {separator: _first_rows(content, separator) for separator in SEPARATORS}
    for separator, rows in tables.items():
        if rows and _known(cell.strip().lower() for cell in rows[0]):
            return separator
    widths = {separator: {len(row) for row in rows} for separator, rows in tables.items()}
    columns = {separator: max(lengths) for separator, lengths in widths.items() if len(lengths) == 1 and lengths != {1}}
    return max(columns, key=lambda separator: columns[separator], default=SEPARATORS[0])


def _first_rows(content: str, separator: str) -> list[list[str]]:
    """Returns the first rows that are not blank; fewer where one cannot be parsed."""
    rows = []
    try:
        for row in csv.reader(io.StringIO(content, newline=""), delimiter=separator):
            if any(cell.strip() for cell in row):
                rows.append(row)
            if len(rows) == GUESSED_ROWS:
                break
    except csv.Error:
        pass  # reported where the whole file is read
    return rows


def _from_table(path: Path, rows: list[tuple[int, list[str]]]) -> Iterator[CalibrationText]:
    """Yields the texts of the columns named in the header, or of the column with the longest texts if none is known."""
    if not rows:
        return
    first, header = rows[0]
    for number, row in rows:
        if len(row) != len(header):
            raise CalibrationError(
                f"{path}, line {number} has {count_of(len(row), 'column')}, expected {len(header)} as in line {first}. "
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
            cells = name_list(header, characters=SHOWN_CHARACTERS)
            raise CalibrationError(
                f"{path} has no column of texts: line {first} has {cells}. Give it a header with {EXPECTED}."
            )
    for number, row in rows:
        texts = [row[column] for column in columns]
        yield _text(texts[0], texts[1] if len(texts) > 1 else None, f"{path}, line {number}")


def _known(names: Iterable[str]) -> tuple[str, ...]:
    """Returns the name of the text, and of its pair if there is one; an empty tuple if no name is known."""
    present = set(names)
    singles = ((name,) for name in SINGLES)
    return next((known for known in (*PAIRS, *singles) if present.issuperset(known)), ())


def unquoted(cell: str) -> str:
    """Removes the quotes around a cell that is quoted as a whole, as pandas writes cells with quotes inside."""
    inner = cell[1:-1]
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if quoted else cell


def _reason(error: Exception) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else str(error)


def count_of(number: int, what: str) -> str:
    """Returns a number with its noun: "1 text", "2 texts"."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
