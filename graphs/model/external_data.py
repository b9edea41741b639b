"""External data: the tensors that an `.onnx` file keeps in other files, read once under onnxruntime's rule.

The rule: a location is relative, and what it resolves to, links included, is in the folder of the model's path as given
or in that of its resolved path. The second is for caches such as the Hugging Face hub's, in which a model and its data
are links into a folder of blobs. A model can therefore not make a command read, and copy, other files of its user.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import IO, Any

import onnx
import onnx_ir as ir

from graphs.errors import GraphError

# The most bytes that are read, which no `.onnx` of one file can exceed (protobuf's limit); a MobileBERT has 100 MB.
MOST_BYTES = 2**31

# Tensors of at most this many bytes are always read: shapes and axes, which shape inference needs.
SMALL_BYTES = 1024

# The longest location that a message repeats in full.
LONGEST_NAME = 120

# The entries of a tensor that are numbers of bytes, and the most digits of one.
NUMBERS = ("offset", "length")
MOST_DIGITS = 18

# The key of `ir.Model.meta` with the sizes of the data files by path.
FILES = "mbert.external_files"


class ExternalDataError(GraphError):
    """Raised for data in another file that cannot or must not be read."""


@dataclass(frozen=True)
class FileState:
    """Identity, size and time of change of a file; they differ if it was replaced or written to."""

    device: int
    inode: int
    size: int
    changed_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> FileState:
        """Takes the state from what the file system returned."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def external_bytes(model: ir.Model) -> int:
    """Returns the total size of the data files of a model that `read_model` read."""
    return sum(model.meta.get(FILES, {}).values())


def external_files(model: ir.Model) -> list[Path]:
    """Returns the data files of a model that `read_model` read."""
    return [Path(file) for file in model.meta.get(FILES, {})]


def load_external_data(model: ir.Model, path: Path, *, values: bool = True) -> None:
    """Replaces the external tensors of a model, also in subgraphs, attributes and functions, by tensors in memory.

    Args:
        model: The model, as it was read from `path`; it is modified.
        path: Its file.
        values: Whether tensors of more than 1 KiB are read; if not, they are checked and stay external.

    Raises ExternalDataError for data outside of the model's folder, missing, incomplete or changing.
    """
    places = [(tensor, replace) for tensor, replace in tensors_in(model) if isinstance(tensor, ir.ExternalTensor)]
    total = sum(max(_size_of(tensor), 0) for tensor, _ in places)
    if values and total > MOST_BYTES:
        raise ExternalDataError(
            f"{path} has {total:,} bytes of weights in other files; expected at most {MOST_BYTES:,}"
        )
    files: dict[str, _DataFile] = {}
    try:
        for tensor, replace in places:
            location = os.fsdecode(tensor.location)  # protobuf returns bytes for what is not UTF-8
            if location not in files:
                files[location] = _DataFile(path, location)
            file = files[location]
            file.check(tensor)
            if values or tensor.nbytes <= SMALL_BYTES:
                replace(_in_memory(tensor, file.read(tensor)))
        for file in files.values():
            file.check_unchanged()
        model.meta[FILES] = {file.path: file.state.size for file in files.values()}
    finally:
        for file in files.values():
            file.close()


def check_numbers(path: Path) -> None:
    """Raises ExternalDataError for a tensor of a model whose offset or length is not a number of bytes.

    onnx_ir does not read such a file, and names neither it nor, in some cases, the tensor.
    """
    try:
        proto = onnx.load(path, load_external_data=False)
    except Exception:  # not an ONNX model
        return
    for tensor in _tensor_protos(proto):
        entries = {entry.key: entry.value for entry in tensor.external_data}
        for key in NUMBERS:
            value = entries.get(key, "0")
            # A text that is not UTF-8 is bytes.
            if isinstance(value, bytes) or not value.isdecimal() or len(value) > MOST_DIGITS:
                place = f"the {key} of the tensor {_shown(tensor.name)} in {_shown(entries.get('location', ''))}"
                raise ExternalDataError(
                    f"{path}: {place} is {_shown(value)}; expected a number of bytes, at least 0: export it again"
                )


def _tensor_protos(message: Any) -> Iterator[onnx.TensorProto]:
    """Yields the tensors in a protobuf message, at any depth."""
    if isinstance(message, onnx.TensorProto):
        yield message
    elif hasattr(message, "ListFields"):
        for _, value in message.ListFields():
            yield from _tensor_protos(value)
    elif isinstance(message, Iterable) and not isinstance(message, str | bytes):
        for part in message:
            yield from _tensor_protos(part)


def _shown(text: str | bytes) -> str:
    """Returns text of a file as messages show it."""
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    shown = text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}…"
    return "".join(character if character.isprintable() else "?" for character in shown)


class _DataFile:
    """An open data file; it is opened once, so that all tensors come from the same one."""

    def __init__(self, model: Path, location: str) -> None:
        self._model = model
        self._found = f"{model} keeps its weights in {_shown(location)}, which is"
        if not location or "\0" in location:
            raise ExternalDataError(f"{model} has weights in another file, and does not name it: export it again")
        if Path(location).is_absolute() or PureWindowsPath(location).anchor:
            raise self._refusal("an absolute path; expected a file in its folder: save it again with its weights there")
        try:
            self.path = Path(os.path.realpath(model.parent / location))
            folders = {Path(os.path.realpath(model.parent)), Path(os.path.realpath(model)).parent}
            if not any(self.path.is_relative_to(folder) for folder in folders):
                raise self._refusal(
                    "outside of its folder; onnxruntime refuses that, too: save it again with its weights beside it"
                )
            if self.path.is_dir():
                raise self._refusal("a folder; expected a file: copy the weights there again")
            if not self.path.exists():
                raise self._refusal("not there; put it beside the model")
            if not self.path.is_file():  # opening a pipe would wait for its other end
                raise self._refusal("not a regular file; copy the weights there again")
            self._file: IO[bytes] = open(self.path, "rb", buffering=0, opener=_open)  # noqa: SIM115
        except OSError as error:
            raise self._refusal(f"not readable ({error.strerror or error}); check its name and permissions") from error
        found = os.fstat(self._file.fileno())
        self.state = FileState.of(found)
        if not stat.S_ISREG(found.st_mode):
            self.close()
            raise self._changed()

    def check(self, tensor: ir.ExternalTensor) -> None:
        """Raises ExternalDataError for a tensor that is not in the file as a whole."""
        size, offset = _size_of(tensor), tensor.offset or 0
        if size < 0 or offset < 0:
            raise self._refusal(f"not read for {tensor.name}: its size is {size}, its offset {offset}: export it again")
        if tensor.length is not None and tensor.length != size:
            raise self._refusal(
                f"said to have {tensor.length:,} bytes for {tensor.name}, whose shape needs {size:,}: export it again"
            )
        if self.state.size < offset + size:
            raise self._refusal(
                f"too short: {tensor.name} is {size:,} bytes from byte {offset:,} on, and the file has "
                f"{self.state.size:,}; copy it again, or export the model again"
            )

    def read(self, tensor: ir.ExternalTensor) -> bytes:
        """Returns a tensor's bytes."""
        self._file.seek(tensor.offset or 0)
        parts, missing = [], tensor.nbytes
        while missing:
            part = self._file.read(missing)
            if not part:
                raise self._changed()
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def check_unchanged(self) -> None:
        """Raises ExternalDataError if something was written to the file since it was opened."""
        if FileState.of(os.fstat(self._file.fileno())) != self.state:
            raise self._changed()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _refusal(self, text: str) -> ExternalDataError:
        return ExternalDataError(f"{self._found} {text}")

    def _changed(self) -> ExternalDataError:
        return self._refusal("being written: it changed while it was read; run the command again when it is complete")


def _open(path: str, flags: int) -> int:
    """Opens a resolved path, which must not be a link any more."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))


def _size_of(tensor: ir.ExternalTensor) -> int:
    """Returns a tensor's size in bytes. Raises ExternalDataError for a type that has none, such as strings."""
    try:
        return int(tensor.nbytes)
    except Exception as error:  # onnx_ir raises several classes
        raise ExternalDataError(
            f"the tensor {tensor.name} is in another file and of the type {tensor.dtype}: export the model again"
        ) from error


def _in_memory(tensor: ir.ExternalTensor, data: bytes) -> ir.TensorProtocol:
    proto = onnx.TensorProto(
        name=tensor.name or "", dims=tensor.shape.numpy(), data_type=int(tensor.dtype), raw_data=data
    )
    return ir.serde.deserialize_tensor(proto)


Replace = Callable[[ir.TensorProtocol], None]


def tensors_in(model: ir.Model) -> Iterator[tuple[ir.TensorProtocol, Replace]]:
    """Yields each tensor, also of subgraphs, attributes and functions, with a function that replaces it by another."""
    functions = list(model.functions.values())
    graphs = [*model.graphs(), *(graph for function in functions for graph in function.subgraphs())]
    for value in [value for graph in graphs for value in graph.initializers.values()]:
        if value.const_value is not None:
            yield value.const_value, _in_value(value)
    owners: list[ir.Graph | ir.Function] = [model.graph, *functions]
    for owner in owners:
        for node in ir.traversal.RecursiveGraphIterator(owner):
            for attribute in list(node.attributes.values()):
                yield from _in_attribute(node, attribute)


def _in_value(value: ir.Value) -> Replace:
    def replace(tensor: ir.TensorProtocol) -> None:
        value.const_value = tensor

    return replace


def _in_attribute(node: ir.Node, attribute: ir.Attr) -> Iterator[tuple[ir.TensorProtocol, Replace]]:
    if attribute.is_ref() or attribute.type not in (ir.AttributeType.TENSOR, ir.AttributeType.TENSORS):
        return
    is_list = attribute.type == ir.AttributeType.TENSORS
    tensors = list(attribute.value) if is_list else [attribute.value]

    def at(index: int) -> Replace:
        def replace(tensor: ir.TensorProtocol) -> None:
            tensors[index] = tensor
            value = tuple(tensors) if is_list else tensor
            node.attributes[attribute.name] = ir.Attr(attribute.name, attribute.type, value)

        return replace

    for index, tensor in enumerate(list(tensors)):
        yield tensor, at(index)
