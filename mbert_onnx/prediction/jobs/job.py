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
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import filelock
import pyarrow as pa

from mbert_onnx.bundles.atomic import PARTIAL
from mbert_onnx.errors import DataError, UsageError
from mbert_onnx.prediction.jobs.folder import (
    ERRORS,
    FIRST_LINE,
    LOCK,
    MANIFEST,
    PARTS,
    is_own,
    lists_bad_rows,
    part_name,
)
from mbert_onnx.prediction.jobs.manifest import Manifest, Part, difference
from mbert_onnx.prediction.jobs.open_part import OpenPart
from mbert_onnx.prediction.storage import Location, WriteError, atomic_stream, write_bytes, writing
from mbert_onnx.prediction.types import Position, Result
from mbert_onnx.prediction.writing.formats import OutputFormat, join
from mbert_onnx.text.name_lists import name_list

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
        self._listed: int | None = None  # how many parts manifests of this output have listed
        self._part: OpenPart | None = None
        self._is_saved = True

    def __enter__(self) -> Job:
        self._check_output()
        self._folder.make_folder()
        try:
            self._acquire()
        except WriteError:
            self._remove_folder()
            raise
        try:
            self._check_names()
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
            self._part = self._new_part()
        self._part.write(result)
        if self._part.count >= PART_ROWS or self._part.seconds >= PART_SECONDS:
            self._finish_part()

    def finish(self) -> None:
        """Joins the parts to the output, puts it in place, and removes them."""
        if self._part is not None:
            self._finish_part()
        if not self.parts:
            # Without a row there is a header at least.
            self._part = self._new_part()
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
        if self.errors.is_folder():
            raise UsageError(
                f"{self.errors.name} is a folder, and its name that of the bad rows; choose another --output"
            )
        if self._folder.is_file():
            raise UsageError(f"{self._folder.name} is a file, and its name that of the parts; choose another --output")
        if self.errors.exists() and not lists_bad_rows(self.errors.read(FIRST_LINE)):
            raise UsageError(
                f"{self.errors.name} exists, and is no list of bad rows, whose name it has; choose another --output"
            )
        if (self._folder / MANIFEST).exists():
            return
        self._check_free()
        others = sorted(name for name, size in self._folder.children().items() if not self._is_own(name, size))
        if others:
            raise DataError(
                f"{self._folder.name} has {name_list(others)}, not written by a job; choose another --output"
            )

    def _check_free(self) -> None:
        """Raises UsageError where a file would be replaced without `overwrite`."""
        taken = self._existing()
        if taken is not None and not self._overwrite:
            raise UsageError(f"{taken.name} exists; pass --overwrite to replace it, or choose another --output")

    def _existing(self) -> Location | None:
        return next((place for place in (self.output, self.errors) if place.exists()), None)

    def _check_names(self) -> None:
        """Creates a file with the longest name that is needed at the end, so that one that is too long fails now."""
        if self.output.is_local:
            longest = self._folder / f"{PARTIAL}{self._base}{ERRORS}"
            with writing(self.output.name):
                longest.filesystem.open_output_stream(longest.path, compression=None).close()
                longest.delete()

    def _opened(self) -> Manifest:
        """Returns the manifest of the unfinished job, or that of a new one."""
        place = self._folder / MANIFEST
        new = Manifest(self._record, replaces=self._overwrite)
        if not place.exists():
            return new
        found = Manifest.of(place.read(), place.name)
        self._listed = len(found.parts)
        other = difference(found.job, self._record)
        if other is None:
            if found.is_finished and self.output.exists():
                return found
            taken = self._existing()
            if taken is not None and not (found.replaces or found.is_complete or self._overwrite):
                raise UsageError(
                    f"{taken.name} exists, and was not there when this job began; pass --overwrite to replace it "
                    "when the job is finished"
                )
            return new if found.is_finished else found
        if not found.parts:  # nothing of the other job is lost
            self._check_free()
            return new
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
        name = part_name(number)
        return self._folder / f"{name}{self._form.suffix}", self._folder / f"{name}{ERRORS}"

    def _new_part(self) -> OpenPart:
        number = len(self.parts)
        return OpenPart(
            self._names(number), self._folder, self._form, self._schema, advice=CONTINUE, is_first=number == 0
        )

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
        self._listed = max(self._listed or 0, len(self.parts))
        self._is_saved = True

    def _clean(self) -> None:
        """Removes files of parts that the manifest does not list."""
        known, there = {LOCK, MANIFEST}, self._folder.children()
        for number, part in enumerate(self.parts):
            files = zip(self._names(number), (part.size, part.bad_size), strict=True)
            sizes = {file.path.rpartition("/")[2]: size for file, size in list(files)[: 2 if part.bad else 1]}
            if any(there.get(name) != size for name, size in sizes.items()) and not self._manifest.is_finished:
                # It was deleted or cut: it and those behind it are computed again.
                self._manifest.parts = self.parts[:number]
                self._manifest.is_complete = False
                break
            known |= sizes.keys()
        for name, size in there.items():
            if name not in known and self._is_own(name, size):
                (self._folder / name).delete()

    @property
    def _base(self) -> str:
        return self.output.path.rpartition("/")[2]

    def _is_own(self, name: str, size: int) -> bool:
        return is_own(name, size, self._base, self._listed)

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
                found = self._folder.children().items()
                names = [name for name, size in found if self._is_own(name, size) and name != LOCK]
                for name in sorted(names, key=lambda name: name == MANIFEST):
                    (self._folder / name).delete()
        if self._lock is None:
            if remove:
                self._remove_folder()
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

    def _remove_folder(self) -> None:
        """Removes the folder of parts, if it is empty."""
        with suppress(DataError, OSError, pa.ArrowInvalid):
            if not self._folder.children():
                self._folder.filesystem.delete_dir(self._folder.path)
