"""The protobuf of a model file, without its weights; and whether a file is a text file."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import TYPE_CHECKING

from mbert_onnx.errors import BundleError, MbertError
from mbert_onnx.errors.requirements import require_beside

if TYPE_CHECKING:
    import onnx


def read_proto(path: Path) -> onnx.ModelProto:
    """Reads a model file without weights outside of it. Raises BundleError for one that is not an ONNX model."""
    import onnx  # imported here, because running a model does not need it

    from graphs.model.loading import not_a_model

    try:
        return onnx.load(path, load_external_data=False)
    except OSError:
        raise
    except Exception as error:  # protobuf's errors have no common class
        raise BundleError(not_a_model(path, " ".join(str(error).split()))) from error


# Numbers of fields: of ModelProto the graph; of GraphProto a node and an input; of NodeProto operator and domain; of
# ValueInfoProto name and type; of TypeProto the tensor type, of that the element type, and its value for bytes.
_GRAPH, _NODE, _INPUT, _OPERATOR, _DOMAIN, _NAME, _TYPE, _TENSOR, _ELEMENT, _UINT8 = 7, 1, 11, 4, 7, 1, 2, 1, 1, 2
# The input with the texts, the operators that tokenize it, and their domain.
TEXT_INPUT, TOKENIZE, DOMAIN = b"text", b"Tokenize", b"mbert"


def is_text_file(path: Path) -> bool:
    """Returns whether a model file is a text file: it takes a `text` of bytes, and a node of `mbert` tokenizes it.

    Only the file's structure is read, which takes a millisecond. False for a file that cannot be read, whose error is
    onnxruntime's to give.
    """
    try:
        require_beside("perf")
    except MbertError:  # a model also runs without `perf`
        return False
    from perf.sessions.runtimes.mapping.protobuf_wire import Buffer, fields

    def parts(data: Buffer, number: int, begin: int, end: int) -> list[tuple[int, int]]:
        return [(content, stop) for found, _, content, stop in fields(data, begin, end) if found == number]

    def text(data: Buffer, number: int, begin: int, end: int) -> bytes:
        return b"".join(data[content:stop] for content, stop in parts(data, number, begin, end)[-1:])

    def takes_bytes(data: Buffer, begin: int, end: int) -> bool:
        if text(data, _NAME, begin, end) != TEXT_INPUT:
            return False
        inner = [(begin, end)]
        for number in (_TYPE, _TENSOR, _ELEMENT):
            inner = [part for one in inner for part in parts(data, number, *one)]
        return any(data[place:stop] == bytes([_UINT8]) for place, stop in inner)

    def tokenizes(data: Buffer, begin: int, end: int) -> bool:
        return text(data, _DOMAIN, begin, end) == DOMAIN and text(data, _OPERATOR, begin, end).startswith(TOKENIZE)

    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            graphs = parts(data, _GRAPH, 0, len(data))
            return any(
                any(takes_bytes(data, *part) for part in parts(data, _INPUT, *graph))
                and any(tokenizes(data, *part) for part in parts(data, _NODE, *graph))
                for graph in graphs
            )
    except (OSError, ValueError, IndexError):
        return False
