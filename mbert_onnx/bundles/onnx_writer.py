"""Writes an `.onnx` file: atomically, after a check that it may be written there; its weights aligned in memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import onnx_ir as ir

from mbert_onnx.bundles.atomic import atomic_file
from mbert_onnx.errors import BundleError
from perf.sessions.runtimes.mapping.mapped_weights import GRAPH, INITIALIZER, RAW_DATA, SMALLEST
from perf.sessions.runtimes.mapping.protobuf_wire import field, fields, prefix

# In bytes, a cache line: no value of a file that is mapped into memory begins within an element of its type.
ALIGNMENT = 64
# Of ONNX's GraphProto. Where a message has a string twice, protobuf keeps the last one.
DOC_STRING = 10


def check_file_destination(output: Path, overwrite: bool) -> None:
    """Raises BundleError if `output` may not be written; called before the work, so that none is lost."""
    if output.is_dir():
        raise BundleError(f"{output} is a folder; give the name of an .onnx file, such as {output / 'model.onnx'}")
    if output.suffix != ".onnx":
        raise BundleError(f"{output} does not end in .onnx; choose another --output")
    if output.exists() and not overwrite:
        raise BundleError(f"{output} exists; pass --overwrite to replace it, or choose another --output")
    if not output.parent.is_dir():
        raise BundleError(f"{output.parent} is not a folder; create it, or choose another --output")
    if not os.access(output.parent, os.W_OK | os.X_OK):
        raise BundleError(f"{output.parent} is not writable; choose another --output")


@contextlib.contextmanager
def writing_file(output: Path, overwrite: bool) -> Iterator[Path]:
    """Yields a path to write to, which becomes `output` when the block ends, and is deleted if it fails.

    Raises BundleError as `check_file_destination`, and where the disk does not take it.
    """
    # Checked again before the rename: another program had time to put something there.
    check = partial(check_file_destination, output, overwrite)
    with atomic_file(output, BundleError, advice="choose another --output", check=check) as beside:
        yield beside


def save_model(model: ir.Model, path: Path) -> None:
    """Writes a model in one file, in which the values of large initializers begin at multiples of `ALIGNMENT`.

    So they can be used where they are when the file is mapped into memory.
    """
    data = ir.to_proto(model).SerializeToString()
    with path.open("wb") as file:
        file.writelines(_aligned(data))


def _aligned(data: bytes) -> list[bytes]:
    """Returns the parts of a serialized model with large initializers aligned."""
    for number, start, content, end in fields(data, 0, len(data)):
        if number != GRAPH:
            continue
        # The graph's padding depends on the size of its prefix, and the prefix on the size of the graph.
        for longer in range(2):
            prefix_bytes = content - start + longer
            graph = _aligned_graph(data, content, end, start + prefix_bytes)
            if longer and len(_prefix(graph)) < prefix_bytes:
                graph.insert(0, _padding(ALIGNMENT))
            if len(_prefix(graph)) == prefix_bytes:
                return [data[:start], _prefix(graph), *graph, data[end:]]
    return [data]


def _aligned_graph(data: bytes, begin: int, stop: int, position: int) -> list[bytes]:
    """Returns the parts of the graph in data[begin:stop] with padding, for a graph that is written at a position.

    The padding is a doc_string of spaces, which the graph's own one, or an empty one, at the end replaces.
    """
    parts: list[bytes] = []
    doc_string = field(DOC_STRING, b"")
    before = position
    for number, start, content, end in fields(data, begin, stop):
        value = _large_value(data, content, end) if number == INITIALIZER else None
        if value is not None and (gap := -(position + value - start) % ALIGNMENT):
            parts.append(_padding(gap))
            position += len(parts[-1])
        if number == DOC_STRING:
            doc_string = data[start:end]
        parts.append(data[start:end])
        position += end - start
    return [*parts, doc_string] if position - before > stop - begin else parts


def _padding(gap: int) -> bytes:
    """Returns a doc_string of `gap` bytes, or of `ALIGNMENT` more where that is too few for a field."""
    return field(DOC_STRING, b" " * ((gap - len(field(DOC_STRING, b""))) % ALIGNMENT))


def _prefix(graph: list[bytes]) -> bytes:
    return prefix(GRAPH, sum(map(len, graph)))


def _large_value(data: bytes, begin: int, stop: int) -> int | None:
    """Returns the offset of the value of the initializer in data[begin:stop]; None for a small or other one."""
    if stop - begin < SMALLEST:
        return None
    return next((content for number, _, content, _ in fields(data, begin, stop) if number == RAW_DATA), None)
