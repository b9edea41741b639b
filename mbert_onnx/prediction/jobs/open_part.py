"""Open part: the files of a job into which results are written, until they are large or old enough."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, suppress

import pyarrow as pa

from mbert_onnx.prediction.jobs.manifest import Part
from mbert_onnx.prediction.storage import Location, WriteError, atomic_stream, reason_of, write_bytes
from mbert_onnx.prediction.types import BadRow, Position, Result
from mbert_onnx.prediction.writing.formats import OutputFormat, Writer, open_writer


class OpenPart:
    """The part that is written.

    Args:
        files: Its rows, and its bad rows.
        folder: The folder of parts.
        form: The format of the rows.
        schema: Their columns; None for JSON Lines whose objects are kept as they are.
        advice: The end of messages about a disk that does not take it.
        is_first: Whether it is the first part of the output, which has the header.
    """

    def __init__(
        self,
        files: tuple[Location, Location],
        folder: Location,
        form: OutputFormat,
        schema: pa.Schema | None,
        *,
        advice: str,
        is_first: bool,
    ) -> None:
        self._closing = ExitStack()
        rows, self._errors = files
        self._folder = folder
        self._advice = advice
        self._stream = self._closing.enter_context(atomic_stream(rows, folder, self._advice))
        self._name = rows.name
        self._writer: Writer = open_writer(form, self._stream, schema, is_first=is_first)
        self._since = time.monotonic()
        self._bad: list[BadRow] = []
        self._rows = self._truncated = self._tokens = self._bytes_read = 0
        self._end = Position()
        self.is_whole = True

    @property
    def count(self) -> int:
        """Number of rows, with the bad ones."""
        return self._rows + len(self._bad)

    @property
    def seconds(self) -> float:
        """Age in seconds."""
        return time.monotonic() - self._since

    def write(self, result: Result) -> None:
        # An interrupt in the middle leaves a part that is not whole, and is discarded.
        self.is_whole = False
        try:
            self._writer.write(result)
        except (OSError, pa.ArrowInvalid) as error:
            raise self._failure(error) from error
        self._bad += result.bad
        self._rows += result.rows.num_rows
        self._truncated += result.truncated
        self._tokens += result.tokens
        self._end, self._bytes_read = result.end, result.bytes_read
        self.is_whole = True

    def finish(self) -> Part:
        """Puts the part's files in place."""
        lines = (
            json.dumps({"file": row.file, "line": row.line, "reason": row.reason}, ensure_ascii=False)
            for row in self._bad
        )
        bad = "".join(f"{line}\n" for line in lines).encode()
        try:
            if bad:
                write_bytes(self._errors, self._folder, bad, self._advice)
            self._writer.close()
            size = self._stream.tell()
            self._closing.close()
        except (OSError, pa.ArrowInvalid) as error:
            self.discard()
            raise self._failure(error) from error
        except BaseException:
            self.discard()
            raise
        end, read = self._end, self._bytes_read
        return Part(self._rows, len(self._bad), self._truncated, self._tokens, end, read, size, len(bad))

    def discard(self) -> None:
        """Deletes what was written."""
        with suppress(OSError, ValueError, pa.ArrowInvalid):
            self._writer.close()  # else it would write what it holds when it is collected
        with suppress(_Discarded):
            self._closing.__exit__(_Discarded, _Discarded(), None)

    def _failure(self, error: Exception) -> WriteError:
        return WriteError(f"{self._name} cannot be written ({reason_of(error)}); {self._advice}")


class _Discarded(Exception):  # noqa: N818 - not an error
    """Ends the block of a part that is not kept."""
