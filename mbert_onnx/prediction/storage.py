"""Storage: local paths and URIs (`s3://`, `gs://`, …) through the file systems of pyarrow, and atomic writes there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import fs

from mbert_onnx.bundles.atomic import PARTIAL
from mbert_onnx.errors import DataError, MbertError, UsageError

SCHEME = "://"


@dataclass(frozen=True)
class Location:
    """A file or folder: its name for messages, its file system and its path there.

    `options` are those of a URI, such as `?endpoint_override=…`; they are no part of the name.
    """

    name: str
    filesystem: Any
    path: str
    options: str = ""

    @property
    def is_local(self) -> bool:
        return isinstance(self.filesystem, fs.LocalFileSystem)

    @property
    def identity(self) -> str:
        """The same text for the same place, whatever its name: the kind of its file system, and its path there."""
        path = os.path.realpath(self.path) if self.is_local else self.path
        return f"{self.filesystem.type_name}:{path}"

    def beside(self, suffix: str) -> Location:
        """Returns the location whose name has `suffix` at the end."""
        return replace(self, name=self.name + suffix, path=self.path + suffix)

    def __truediv__(self, name: str) -> Location:
        return replace(self, name=f"{self.name.rstrip('/')}/{name}", path=f"{self.path.rstrip('/')}/{name}")

    def info(self) -> Any:
        """Returns pyarrow's FileInfo. Raises DataError where the file system cannot be asked."""
        with reading(self.name):
            return self.filesystem.get_file_info(self.path)

    def is_file(self) -> bool:
        return bool(self.info().type == fs.FileType.File)

    def is_folder(self) -> bool:
        return bool(self.info().type == fs.FileType.Directory)

    def exists(self) -> bool:
        return bool(self.info().type != fs.FileType.NotFound)

    def read(self, most: int | None = None) -> bytes:
        """Returns the content of a file, such as a small record, or its first bytes."""
        with reading(self.name), self.filesystem.open_input_stream(self.path, compression=None) as stream:
            return bytes(stream.read(most))

    def make_folder(self) -> None:
        with writing(self.name):
            self.filesystem.create_dir(self.path, recursive=True)

    def delete(self) -> None:
        """Deletes a file, if it is there."""
        with suppress(FileNotFoundError), writing(self.name):
            if self.is_file():
                self.filesystem.delete_file(self.path)

    def children(self) -> dict[str, int]:
        """Returns the files in a folder: their names, and their sizes in bytes; none where there is no folder."""
        with reading(self.name):
            found = self.filesystem.get_file_info(fs.FileSelector(self.path, allow_not_found=True))
        return {info.base_name: info.size for info in found if info.type == fs.FileType.File}


def locate(place: str | Path) -> Location:
    """Returns the location of a local path or URI. Raises UsageError for a URI that pyarrow cannot open."""
    text = str(place)
    if SCHEME not in text:
        return Location(text, fs.LocalFileSystem(), str(Path(text).absolute()))
    try:
        filesystem, path = fs.FileSystem.from_uri(text)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError, OSError) as error:
        raise UsageError(
            f"{text} cannot be opened ({reason_of(error)}); expected a local path, or a URI of pyarrow's file systems "
            "such as s3://BUCKET/FILE: correct it"
        ) from error
    name, mark, options = text.partition("?")
    return Location(name, filesystem, path, mark + options)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turns errors of reading `name` into DataError."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"{name} does not exist; check the path") from None
    except (OSError, pa.ArrowInvalid) as error:
        advice = "the URI, the network and the credentials" if SCHEME in name else "the file and its permissions"
        raise DataError(f"{name} cannot be read ({reason_of(error)}); {_advice(error, f'check {advice}')}") from error


@contextmanager
def writing(name: str, advice: str = "choose another --output") -> Iterator[None]:
    """Turns errors of writing `name` into WriteError, with what to do about them."""
    try:
        yield
    except MbertError:
        raise
    except (OSError, pa.ArrowInvalid) as error:
        raise WriteError(f"{name} cannot be written ({reason_of(error)}); {_advice(error, advice)}") from error


class WriteError(DataError):
    """An output that cannot be written, such as on a full disk."""


@contextmanager
def atomic_stream(location: Location, folder: Location, advice: str) -> Iterator[Any]:
    """Yields a binary stream, which becomes `location` when the block ends; deletes it on failure.

    Args:
        location: The file, which is replaced if it exists.
        folder: The folder for the file that is not complete yet, in the same file system.
        advice: The end of error messages: what to do.
    """
    partial = folder / f"{PARTIAL}{location.path.rpartition('/')[2]}"
    with writing(location.name, advice):
        stream = partial.filesystem.open_output_stream(partial.path, compression=None)
        try:
            yield stream
            stream.close()
            if partial.is_local:
                _sync(partial.path)
            partial.filesystem.move(partial.path, location.path)
        except BaseException:
            with suppress(OSError, pa.ArrowInvalid):
                stream.close()
            with suppress(OSError, pa.ArrowInvalid):
                partial.filesystem.delete_file(partial.path)
            raise


def write_bytes(location: Location, folder: Location, content: bytes, advice: str) -> None:
    """Writes a small file atomically; see `atomic_stream`."""
    with atomic_stream(location, folder, advice) as stream:
        stream.write(content)


def reason_of(error: BaseException) -> str:
    """Returns why a file cannot be used, in a few words: the system's, or else the first line of pyarrow's."""
    number = getattr(error, "errno", None)
    if number:
        return os.strerror(number)
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def _advice(error: BaseException, otherwise: str) -> str:
    """Returns what to do about an error of the system, or else what fits most errors at its place."""
    return "choose a shorter name" if getattr(error, "errno", None) == errno.ENAMETOOLONG else otherwise


def _sync(path: str) -> None:
    """Waits until a file is on the disk, so that no rename is before its content after a power failure."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
