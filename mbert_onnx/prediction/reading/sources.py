"""Sources: the input files of a prediction, found by their names, and their streams."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from mbert_onnx.errors import DataError, UsageError
from mbert_onnx.prediction.storage import SCHEME, Location, locate, reading
from mbert_onnx.text.name_lists import name_list

CSV, TSV, JSONL, PARQUET, LINES = "csv", "tsv", "jsonl", "parquet", "txt"
FORMATS = (CSV, TSV, JSONL, PARQUET, LINES)
SUFFIXES = {".csv": CSV, ".tsv": TSV, ".jsonl": JSONL, ".ndjson": JSONL, ".parquet": PARQUET, ".txt": LINES}
GZIP = ".gz"
GZIP_START = b"\x1f\x8b"
UTF16_STARTS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

STANDARD_INPUT, LOCAL_URI = "-", "file:"
# Names in a folder that Spark, Hive and other programs write for themselves.
HIDDEN = ("_", ".")
# Bytes that are read at once.
BUFFER = 2**18


@dataclass(frozen=True)
class Source:
    """An input file: its path or URI, its format, its size in bytes, and when it was changed, in ns since 1970.

    `options` are those of a URI.
    """

    name: str
    format: str
    size: int
    modified: int
    options: str = ""

    def location(self) -> Location:
        return locate(self.name + self.options)


def format_of(name: str) -> str | None:
    """Returns the format by the suffix of a file's name, which may have `.gz` behind it; None for another name."""
    lower = name.lower()
    found = SUFFIXES.get(Path(lower.removesuffix(GZIP)).suffix)
    return None if found == PARQUET and lower.endswith(GZIP) else found


def find_sources(inputs: Sequence[str | Path], form: str | None = None) -> list[Source]:
    """Returns the files that `inputs` name, and those in folders, sorted by name.

    Args:
        inputs: Paths or URIs of files and folders. Of a folder, files of other formats and hidden ones are left out.
        form: The format of all files, one of FORMATS; default: by their names.

    Raises UsageError for a name without a known suffix, for files of several formats, and for no file or one
    that is given twice; DataError for a file that does not exist or cannot be read.
    """
    if form is not None and form not in FORMATS:
        raise UsageError(f"--format is {form!r}; expected one of {', '.join(FORMATS)}")
    if not inputs:
        raise UsageError("there is no input; give one or more files")
    if any(str(one) == STANDARD_INPUT for one in inputs):
        raise UsageError("- is not supported: a job that continues reads its input again; write the rows to a file")
    sources = [source for one in inputs for source in _sources_at(locate(one), form)]
    places: set[str] = set()
    for source in sources:
        is_local = SCHEME not in source.name or source.name.startswith(LOCAL_URI)
        place = source.location().identity if is_local else source.name
        if place in places:
            raise UsageError(f"{source.name} is given twice; give each file once")
        places.add(place)
    odd = next((source for source in sources if (source.format == JSONL) != (sources[0].format == JSONL)), None)
    if odd is not None:
        raise UsageError(
            f"{sources[0].name} is {sources[0].format}, and {odd.name} is {odd.format}; expected either JSON Lines or "
            "tables: run the command for each"
        )
    return sources


def _sources_at(location: Location, form: str | None) -> list[Source]:
    info = location.info()
    if info.type == fs.FileType.NotFound:
        raise DataError(f"{location.name} does not exist; check the path")
    if info.type == fs.FileType.File:
        return [_source(location, info, form)]
    if info.type != fs.FileType.Directory:
        raise DataError(f"{location.name} is a pipe or device, which cannot be read again; give a file")
    with reading(location.name):
        found = location.filesystem.get_file_info(fs.FileSelector(location.path, recursive=True))
    base = location.path.rstrip("/")
    inside = sorted((info.path[len(base) + 1 :], info) for info in found if info.type == fs.FileType.File)
    taken = [
        _source(location / name, info, form)
        for name, info in inside
        if not any(part.startswith(HIDDEN) for part in name.split("/")) and (form or format_of(name))
    ]
    if not taken:
        others = f", only {name_list(name for name, _ in inside)}" if inside else ": it is empty"
        raise DataError(
            f"{location.name} has no file of a known format{others}; expected {', '.join(SUFFIXES)}: "
            "give another folder, or --format"
        )
    return taken


def _source(location: Location, info: Any, form: str | None) -> Source:
    found = form or format_of(location.name)
    if found is None:
        raise UsageError(
            f"{location.name} has none of the suffixes {', '.join(SUFFIXES)}, or {GZIP} after one of text; name its "
            "--format"
        )
    name = location.name if SCHEME in location.name else location.path
    return Source(name, found, int(info.size or 0), int(info.mtime_ns or 0), location.options)


class ByteStream:
    """The bytes of a text file, unpacked where it is gzipped, whatever its name.

    `bytes_read` is how many bytes of the file itself were read, for the progress.
    """

    def __init__(self, raw: Any, stream: io.BufferedReader) -> None:
        self._raw = raw
        self.stream = stream

    @property
    def bytes_read(self) -> int:
        return int(self._raw.tell())


@contextmanager
def open_bytes(source: Source) -> Iterator[ByteStream]:
    """Opens a text file. Raises DataError where it cannot be read, is UTF-16, or is damaged while it is read."""
    location = source.location()
    with reading(source.name):
        raw = location.filesystem.open_input_file(location.path)
        with raw:
            start = raw.read(len(GZIP_START))
            raw.seek(0)
            unpacked = pa.CompressedInputStream(raw, "gzip") if start == GZIP_START else raw
            stream = io.BufferedReader(unpacked, BUFFER)
            start = stream.peek(len(codecs.BOM_UTF8))
            if start.startswith(UTF16_STARTS):
                raise DataError(f"{source.name} is UTF-16, expected UTF-8; convert it: iconv -f UTF-16 -t UTF-8")
            if start.startswith(codecs.BOM_UTF8):
                stream.read(len(codecs.BOM_UTF8))
            yield ByteStream(raw, stream)
