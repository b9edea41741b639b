"""Job: writes results into parts, from which the same command continues after it was killed, and joins them.

    OUT.parts/
      part-00000.jsonl               rows with their answers
      part-00000.errors.jsonl        rows that could not be processed, if there are any
      manifest.json                  the finished parts, and the position in the input behind each
      lock                           held while a process writes

A part counts once the manifest lists it, and the manifest is replaced in one step. So every row is written once,
whenever the process is killed: what is not in a part is computed again, and no part is joined twice.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import filelock
import pyarrow as pa

from mbert_onnx.bundles.atomic import PARTIAL
from mbert_onnx.errors import DataError, UsageError
from mbert_onnx.prediction.jobs.manifest import Manifest, Part, difference
from mbert_onnx.prediction.storage import Location, WriteError, atomic_stream, reason_of, write_bytes
from mbert_onnx.prediction.types import BadRow, Position, Result
from mbert_onnx.prediction.writing.formats import OutputFormat, Writer, join, open_writer
from mbert_onnx.text.name_lists import name_list

PARTS, ERRORS = ".parts", ".errors.jsonl"
MANIFEST, LOCK = "manifest.json", "lock"
# A part is finished after so many rows or seconds: what is lost at most if the process is killed.
PART_ROWS = 2**16
PART_SECONDS = 20.0

CONTINUE = "free some space, and give the same command again: it continues after the finished parts"


class Job:
    """The output of a prediction. Use it as a context manager: it is locked inside.

    Args:
        output: The file to write.
        form: Its format.
        schema: Its columns; None for JSON Lines whose objects are kept as they are.
        record: What the job is, for the manifest.
        overwrite: Whether a finished output may be replaced, and another unfinished job be discarded.

    Raises UsageError for an output that is finished, or of which another job is unfinished, without `overwrite`;
    DataError where another process writes it, and where it cannot be written.
    """

    def __init__(
        self,
        output: Location,
        form: OutputFormat,
        schema: pa.Schema | None,
        record: Mapping[str, Any],
        *,
        overwrite: bool = False,
    ) -> None:
        self.output = output
        self.errors = output.beside(ERRORS)
        self._form = form
        self._schema = schema
        self._record = json.loads(json.dumps(record))  # as it comes back from the manifest
        self._overwrite = overwrite
        self._folder = output.beside(PARTS)
        self._lock = filelock.FileLock(str(Path(self._folder.path) / LOCK)) if output.is_local else None
        self._manifest = Manifest(self._record)
        self._part: _OpenPart | None = None
        self._is_saved = True

    def __enter__(self) -> Job:
        self._check_output()
        self._folder.make_folder()
        self._acquire()
        try:
            self._manifest = self._opened()
            self._clean()
            self._save()
        except BaseException:
            with suppress(DataError):
                self._release(remove=not (self._folder / MANIFEST).exists())
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._part is not None:
                # Of an interrupted job the rows since the last part are kept, too; of a full disk, not.
                if self._part.is_whole and not (kind is not None and issubclass(kind, WriteError)):
                    with suppress(WriteError):
                        self._finish_part()
                else:
                    self._part.discard()
                    self._part = None
            with suppress(DataError):
                if not self._is_saved:  # interrupted while it was written
                    self._save()
                self._clean()
        finally:
            self._release(remove=self._manifest.is_finished or not self._manifest.parts)

    @property
    def is_finished(self) -> bool:
        """True where the output was in place already."""
        return self._manifest.is_finished

    @property
    def is_complete(self) -> bool:
        """True where all rows are in parts."""
        return self._manifest.is_complete

    @property
    def parts(self) -> list[Part]:
        """The finished parts."""
        return self._manifest.parts

    @property
    def position(self) -> Position:
        """The position in the input behind the last finished part."""
        return self.parts[-1].end if self.parts else Position()

    def write(self, result: Result) -> None:
        """Writes a result; they have to come in order. Raises WriteError where the disk does not take it."""
        if self._part is None:
            names = self._names(len(self.parts))
            self._part = _OpenPart(names, self._folder, self._form, self._schema, is_first=not self.parts)
        self._part.write(result)
        if self._part.is_due:
            self._finish_part()

    def finish(self) -> None:
        """Joins the parts to the output, puts it in place, and removes them."""
        if self._part is not None:
            self._finish_part()
        if not self.parts:
            # Without a row there is a header at least.
            self._part = _OpenPart(self._names(0), self._folder, self._form, self._schema, is_first=True)
            self._finish_part()
        if not self._manifest.is_complete:
            self._manifest.is_complete = True
            self._save()
        numbers = range(len(self.parts))
        files = [self._names(number) for number in numbers]
        bad = [errors for (_, errors), part in zip(files, self.parts, strict=True) if part.bad]
        if bad:
            with atomic_stream(self.errors, self._folder, CONTINUE) as stream:
                join(OutputFormat("jsonl", is_gzipped=False), bad, stream, None)
        else:
            self.errors.delete()
        with atomic_stream(self.output, self._folder, CONTINUE) as stream:
            join(self._form, [rows for rows, _ in files], stream, self._schema)
        self._manifest.is_finished = True
        self._save()

    def _check_output(self) -> None:
        if self.output.is_folder():
            raise UsageError(f"--output is {self.output.name}, a folder; expected a file: choose another name")
        is_begun = (self._folder / MANIFEST).exists()
        if self.output.exists() and not is_begun and not self._overwrite:
            raise UsageError(f"{self.output.name} exists; pass --overwrite to replace it, or choose another --output")
        others = [name for name in self._folder.children() if not _is_own(name)] if not is_begun else []
        if others:
            raise DataError(
                f"{self._folder.name} has {name_list(others)}, which are not of a job; choose another --output"
            )

    def _opened(self) -> Manifest:
        """Returns the manifest of the unfinished job, or that of a new one."""
        place = self._folder / MANIFEST
        new = Manifest(self._record, replaces=self._overwrite)
        if not place.exists():
            return new
        found = Manifest.of(place.read(), place.name)
        other = difference(found.job, self._record)
        if other is None:
            exists = self.output.exists()
            if found.is_finished and exists:
                return found
            if exists and not (found.replaces or found.is_complete or self._overwrite):
                raise UsageError(
                    f"{self.output.name} exists, and was not there when this job began; pass --overwrite to replace it "
                    "when the job is finished"
                )
            return new if found.is_finished else found
        if self._overwrite:
            return new
        if found.is_finished:
            raise UsageError(f"{self.output.name} exists; pass --overwrite to replace it, or choose another --output")
        raise UsageError(
            f"{self._folder.name} has another unfinished job: {other}; pass --overwrite to discard it, or choose "
            "another --output"
        )

    def _names(self, number: int) -> tuple[Location, Location]:
        """Returns the files of a part: its rows, and its bad rows."""
        name = f"part-{number:05d}"
        return self._folder / f"{name}{self._form.suffix}", self._folder / f"{name}{ERRORS}"

    def _finish_part(self) -> None:
        assert self._part is not None
        part, self._part = self._part, None
        finished = part.finish()
        self._is_saved = False
        self._manifest.parts.append(finished)
        self._save()

    def _save(self) -> None:
        self._is_saved = False
        write_bytes(self._folder / MANIFEST, self._folder, self._manifest.to_json(), CONTINUE)
        self._is_saved = True

    def _clean(self) -> None:
        """Removes files of parts that the manifest does not list."""
        known, there = {LOCK, MANIFEST}, set(self._folder.children())
        for number, part in enumerate(self.parts):
            files = self._names(number)[: 2 if part.bad else 1]
            names = {file.path.rpartition("/")[2] for file in files}
            if not names <= there and not self._manifest.is_finished:
                # Somebody deleted it: it and those behind it are computed again.
                self._manifest.parts = self.parts[:number]
                self._manifest.is_complete = False
                break
            known |= names
        for name in there - known:
            if _is_own(name):
                (self._folder / name).delete()

    def _acquire(self) -> None:
        if self._lock is None:
            return
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise DataError(
                f"{self.output.name} is being written by another process; wait for it, or choose another --output"
            ) from None
        except OSError as error:
            raise WriteError(
                f"{self._folder.name} cannot be written ({error.strerror}); choose another --output"
            ) from error

    def _release(self, *, remove: bool) -> None:
        """Releases the lock; with `remove`, removes the files of this module and the folder, if it is empty then.

        The manifest is removed last, since it says that the others may go.
        """
        if remove:
            with suppress(DataError):
                names = [name for name in self._folder.children() if _is_own(name) and name != LOCK]
                for name in sorted(names, key=lambda name: name == MANIFEST):
                    (self._folder / name).delete()
        if self._lock is None:
            if remove:
                with suppress(DataError, OSError, pa.ArrowInvalid):
                    if not self._folder.children():
                        self._folder.filesystem.delete_dir(self._folder.path)
            return
        if not remove:
            self._lock.release()
            return
        lock = Path(self._lock.lock_file)
        # Deleted while it is locked, so that no other process can hold a lock that is no longer there; Windows does not
        # delete a file that is open.
        actions = (lock.unlink, self._lock.release) if sys.platform != "win32" else (self._lock.release, lock.unlink)
        for action in (*actions, lock.parent.rmdir):
            with suppress(OSError):
                action()


def _is_own(name: str) -> bool:
    """Returns whether a file in the folder of parts is one that this module writes."""
    return name in (LOCK, MANIFEST) or name.startswith((PARTIAL, "part-"))


class _OpenPart:
    """The part that is written."""

    def __init__(
        self,
        files: tuple[Location, Location],
        folder: Location,
        form: OutputFormat,
        schema: pa.Schema | None,
        *,
        is_first: bool,
    ) -> None:
        self._closing = ExitStack()
        rows, self._errors = files
        self._folder = folder
        self._stream = self._closing.enter_context(atomic_stream(rows, folder, CONTINUE))
        self._name = rows.name
        self._writer: Writer = open_writer(form, self._stream, schema, is_first=is_first)
        self._since = time.monotonic()
        self._bad: list[BadRow] = []
        self._rows = self._truncated = self._tokens = self._bytes_read = 0
        self._end = Position()
        self.is_whole = True

    @property
    def is_due(self) -> bool:
        """True where the part is large or old enough to be finished."""
        return self._rows + len(self._bad) >= PART_ROWS or time.monotonic() - self._since >= PART_SECONDS

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
        try:
            if self._bad:
                lines = (
                    json.dumps({"file": row.file, "line": row.line, "reason": row.reason}, ensure_ascii=False)
                    for row in self._bad
                )
                write_bytes(self._errors, self._folder, "".join(f"{line}\n" for line in lines).encode(), CONTINUE)
            self._writer.close()
            self._closing.close()
        except (OSError, pa.ArrowInvalid) as error:
            self.discard()
            raise self._failure(error) from error
        except BaseException:
            self.discard()
            raise
        return Part(self._rows, len(self._bad), self._truncated, self._tokens, self._end, self._bytes_read)

    def discard(self) -> None:
        """Deletes what was written."""
        with suppress(OSError, ValueError, pa.ArrowInvalid):
            self._writer.close()  # else it would write what it holds when it is collected
        with suppress(_Discarded):
            self._closing.__exit__(_Discarded, _Discarded(), None)

    def _failure(self, error: Exception) -> WriteError:
        return WriteError(f"{self._name} cannot be written ({reason_of(error)}); {CONTINUE}")


class _Discarded(Exception):  # noqa: N818 - not an error
    """Ends the block of a part that is not kept."""
