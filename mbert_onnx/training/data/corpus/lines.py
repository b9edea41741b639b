"""Lines of a text file, read one at a time, so that a corpus need not fit in memory."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from mbert_onnx.errors import DataError

GZIP_START = b"\x1f\x8b"
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yields each line, without its line end, with its number from 1. The file is UTF-8 and may be gzipped.

    Raises DataError, which names the file and if possible the line, for a file that cannot be read.
    """
    try:
        with path.open("rb") as file:
            packed = file.peek(len(GZIP_START)).startswith(GZIP_START)
            with gzip.open(file) if packed else file as lines:
                for number, line in enumerate(lines, 1):
                    yield number, _decoded(path, number, line)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; expected a file of texts. Correct the path.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; expected a file of texts. Name one in it.") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} is gzipped, but damaged ({error}). Copy it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}). Check its permissions.") from error


def kind_of(path: Path) -> str:
    """Returns the extension that decides the format, in lower case and without `.gz`.

    Raises DataError for a path that does not exist or is a folder, whose extension would say nothing.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder; expected a file of texts. Name one in it.")
    if not path.exists():
        raise DataError(f"{path} does not exist; expected a file of texts. Correct the path.")
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _decoded(path: Path, number: int, line: bytes) -> str:
    if number == 1:
        if line.startswith(UTF16):
            raise DataError(f"{path} is UTF-16, expected UTF-8. Convert it: iconv -f UTF-16 -t UTF-8.")
        line = line.removeprefix(codecs.BOM_UTF8)
    if b"\0" in line:
        raise DataError(f"{path}, line {number} has a NUL byte, so it is not text. Expected UTF-8.")
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, line {number} is not UTF-8: its byte {error.start + 1} is 0x{line[error.start]:02x}. "
            "Convert the file, from Latin-1 for example: iconv -f LATIN1 -t UTF-8."
        ) from error
