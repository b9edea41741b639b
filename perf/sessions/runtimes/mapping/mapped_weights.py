"""Sessions of onnxruntime whose weights are pages of the model file, which no other copy of them precedes.

onnxruntime parses a file as a whole and copies its initializers, but maps initializers that are external data of
another file. So it gets the model without its weights, which refers to the model file as their external data.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import onnxruntime as ort

from perf.sessions.runtimes.mapping.protobuf_wire import Buffer, field, fields, read_varint

FOLDER_OPTION = "session.model_external_initializers_file_folder_path"

SMALLEST = mmap.PAGESIZE
"""Bytes of the smallest initializer that is mapped: a copy of a smaller one takes less time and memory."""

GRAPH, INITIALIZER = 7, 5
"""Fields of ONNX's ModelProto and GraphProto."""

DATA_TYPE, RAW_DATA, EXTERNAL_DATA, DATA_LOCATION = 2, 9, 13, 14
"""Fields of ONNX's TensorProto."""

ELEMENT_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
"""ONNX's element types by number, from float (1) to bfloat16 (16), and the size of an element."""

LOCATION = b"location"
"""The key of the name of another file in a reference to it."""

EXTERNAL = b"\x70\x01"
"""The field data_location = EXTERNAL."""


def open_mapped(path: Path, options: ort.SessionOptions, **arguments: Any) -> ort.InferenceSession:
    """Opens a session with weights mapped from the file; one with copies where the file or the system rules that out.

    The file may be replaced while the session is open, but not be written to: onnxruntime reads weights that no kernel
    packed, such as embeddings, from it. On Windows, where an open mapping would prevent a replacement, weights are
    copied.

    Args:
        path: The `.onnx` file.
        options: The session's options, to which an entry is added.
        arguments: Passed to `onnxruntime.InferenceSession`.

    Raises what `onnxruntime.InferenceSession` raises for the path.
    """
    # onnxruntime refuses external data outside of the folder, where a link may lead.
    real = path.resolve()
    try:
        before = real.stat()
        model = without_weights(real) if os.name == "posix" else None
    except (OSError, ValueError):
        model = None
    if model is not None:
        try:
            options.add_session_config_entry(FOLDER_OPTION, str(real.parent))
            session = ort.InferenceSession(model, options, **arguments)
            # onnxruntime opened the file by its name, which may be that of another one by now.
            if _identity(real.stat()) == _identity(before):
                return session
        except Exception:  # onnxruntime's errors have no common class; the same session without a mapping tells why
            pass
    return ort.InferenceSession(str(path), options, **arguments)


def without_weights(path: Path) -> bytes | None:
    """Returns the serialized model, in which large initializers are external data in the file itself.

    None where the file has no initializer that can be mapped: of at least `SMALLEST` bytes, and with a value that
    begins at a multiple of the size of its elements. None, too, where values are in other files: onnxruntime looks for
    those beside the path that it is given, which may be a link to a file in another folder.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not an ONNX model.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        parts: list[bytes] = []
        copied = 0
        for number, start, content, end in fields(data, 0, len(data)):
            if number == GRAPH:
                graph = _graph_without_weights(data, content, end, path.name)
                if graph is None:
                    return None
                parts += [data[copied:start], field(GRAPH, graph)]
                copied = end
        return b"".join([*parts, data[copied:]])


def _graph_without_weights(data: Buffer, begin: int, stop: int, file: str) -> bytes | None:
    """Returns the graph in data[begin:stop] without the values that can be mapped.

    None where there are none, or where values are in other files.
    """
    parts: list[bytes] = []
    copied = begin
    for number, start, content, end in fields(data, begin, stop):
        if number != INITIALIZER:
            continue
        if end - content <= SMALLEST:
            # A reference to another file is small. Only few messages hold the key of one, which is quick to find.
            if LOCATION in data[content:end] and _is_external(data, content, end):
                return None
        else:
            reference = _reference(data, content, end, file)
            if reference is not None:
                parts += [data[copied:start], field(INITIALIZER, reference)]
                copied = end
    return b"".join([*parts, data[copied:stop]]) if parts else None


def _is_external(data: Buffer, begin: int, stop: int) -> bool:
    return any(number == EXTERNAL_DATA for number, *_ in fields(data, begin, stop))


def _reference(data: Buffer, begin: int, stop: int, file: str) -> bytes | None:
    """Returns the initializer in data[begin:stop] with its value as external data; None if it must be copied."""
    parts: list[bytes] = []
    element = offset = length = 0
    for number, start, content, end in fields(data, begin, stop):
        if number in (EXTERNAL_DATA, DATA_LOCATION) or (number == RAW_DATA and length):
            return None
        if number == RAW_DATA:
            offset, length = content, end - content
            continue
        if number == DATA_TYPE:
            element = ELEMENT_BYTES.get(read_varint(data, content, end)[0], 0)
        parts.append(data[start:end])
    if length < SMALLEST or not element or offset % element:
        return None
    entries = {"location": file, "offset": str(offset), "length": str(length)}
    external = [
        field(EXTERNAL_DATA, field(1, key.encode()) + field(2, value.encode())) for key, value in entries.items()
    ]
    return b"".join([*parts, *external, EXTERNAL])


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
