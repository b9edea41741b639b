"""Protobuf's wire format: the fields of a serialized message, found without parsing or copying their content."""

from __future__ import annotations

import mmap
from collections.abc import Iterator

Buffer = bytes | mmap.mmap

VARINT, BYTES = 0, 2
"""Wire types of numbers, and of strings, bytes and messages."""

FIXED = {1: 8, 5: 4}
"""Wire types of values of a fixed size, and that size in bytes."""

LONGEST = 10
"""Bytes of the longest varint, of 64 bits."""

MORE = 1 << 7
"""Set in each byte of a varint but its last one."""


def fields(data: Buffer, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yields the fields of the message in data[start:end], in their order in the buffer.

    Each is its number in the message's definition, and three offsets in the buffer: where it begins, where its value
    begins, and where it ends.

    Raises ValueError where these bytes are not a message.
    """
    at = start
    while at < end:
        key, content = data[at], at + 1
        if key >= MORE:
            key, content = read_varint(data, at, end)
        wire_type = key & 7
        if wire_type == BYTES:
            length, content = read_varint(data, content, end)
            stop = content + length
        elif wire_type == VARINT:
            _, stop = read_varint(data, content, end)
        elif wire_type in FIXED:
            stop = content + FIXED[wire_type]
        else:
            raise ValueError(f"a field has the wire type {wire_type}")
        if stop > end:
            raise ValueError("a field is longer than its message")
        yield key >> 3, at, content, stop
        at = stop


def read_varint(data: Buffer, at: int, end: int) -> tuple[int, int]:
    """Returns a varint and the offset after it. Raises ValueError where it has no end before `end`."""
    value = 0
    for index, place in enumerate(range(at, min(end, at + LONGEST))):
        byte = data[place]
        value |= (byte & ~MORE) << 7 * index
        if byte < MORE:
            return value, place + 1
    raise ValueError("a varint does not end")


def varint(value: int) -> bytes:
    """Returns the encoding of a number."""
    encoded = bytearray()
    while value >= MORE:
        encoded.append(value % MORE | MORE)
        value >>= 7
    return bytes([*encoded, value])


def prefix(number: int, length: int) -> bytes:
    """Returns the key and the length that precede a field's content of so many bytes."""
    return varint(number << 3 | BYTES) + varint(length)


def field(number: int, content: bytes) -> bytes:
    """Returns the encoding of a field of type string, bytes or message."""
    return prefix(number, len(content)) + content
