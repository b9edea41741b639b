"""Mutations of bytes: what a bad copy, another program, or an attacker makes of a file of any format."""

from __future__ import annotations

import re
from random import Random

# Bytes at which readers behave in another way: lengths, signs, quotes, separators, byte order marks, invalid UTF-8.
TOKENS = (
    b"\x00",
    b"\xff",
    b"\xff" * 8,
    b"\x7f" * 4,
    b"\x80\x80\x80\x80\x10",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xc0\xaf",
    b'"',
    b"\\",
    b"\\ud800",
    b"\n",
    b"\r",
    b"\t",
    b",",
    b";",
    b"{",
    b"}",
    b"[" * 2000,
    b'{"a":' * 2000,
    b"NaN",
    b"1e999",
    b"-1",
    b"null",
    b"9" * 5000,
    b"../secret.bin",
    b"/etc/passwd",
    b"\x1b[31m",
    b"\x1f\x8b\x08",
    "\u202e\u2028\u0130ß".encode(),
)
NUMBERS = (b"0", b"-1", b"1", b"2147483648", b"18446744073709551616", b"1" * 400, b"0.5", b"1e400", b"-0")
NUMBER = re.compile(rb"-?\d+(\.\d+)?")

# Most mutations of one input; mostly one or two, since the first fault is often the only one that is reported.
MOST = 6
# Longest run of bytes that is removed, copied or overwritten.
RUN = 64


def mutated_bytes(data: bytes, random: Random) -> bytes:
    """Returns a copy with one to six random changes."""
    for _ in range(min(int(random.expovariate(0.7)) + 1, MOST)):
        data = random.choice(CHANGES)(data, random)
    return data


def _flip(data: bytes, random: Random) -> bytes:
    changed = bytearray(data)
    if changed:
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _overwrite(data: bytes, random: Random) -> bytes:
    start, size = _span(data, random)
    return data[:start] + random.randbytes(size) + data[start + size :]


def _truncate(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _behead(data: bytes, random: Random) -> bytes:
    return data[random.randrange(min(len(data), RUN) + 1) :]


def _remove(data: bytes, random: Random) -> bytes:
    start, size = _span(data, random)
    return data[:start] + data[start + size :]


def _repeat(data: bytes, random: Random) -> bytes:
    start, size = _span(data, random)
    return data[:start] + data[start : start + size] * random.choice((2, 3, 50)) + data[start + size :]


def _insert(data: bytes, random: Random) -> bytes:
    start = random.randrange(len(data) + 1)
    return data[:start] + random.choice(TOKENS) + data[start:]


def _replace(data: bytes, random: Random) -> bytes:
    start, size = _span(data, random)
    return data[:start] + random.choice(TOKENS) + data[start + size :]


def _edit_number(data: bytes, random: Random) -> bytes:
    found = list(NUMBER.finditer(data))
    if not found:
        return _flip(data, random)
    match = random.choice(found)
    return data[: match.start()] + random.choice(NUMBERS) + data[match.end() :]


def _span(data: bytes, random: Random) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, random.randrange(min(len(data) - start, RUN) + 1)


CHANGES = (_flip, _flip, _overwrite, _truncate, _behead, _remove, _repeat, _insert, _replace, _edit_number)
