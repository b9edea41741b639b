"""Dot product of relaxed SIMD as any engine may compute it: a function of fixed SIMD in place of the instruction.

Engines choose whether the 8th bit of the second factor is a sign, and few processors show both choices to tests.
"""

from __future__ import annotations

from wasm_runtime import CODE, number_at

TYPES, FUNCTIONS = 1, 3
# i32x4.relaxed_dot_i8x16_i7x16_add_s. A call of a function whose index has two bytes is as long.
DOT = bytes([0xFD, 0x93, 0x02])
CALL = 0x10
MOST_FUNCTIONS = 1 << 14
V128 = 0x7B
SIGNATURE = bytes([0x60, 3, V128, V128, V128, 1, V128])

# Instructions of the function: the products of the lower and of the upper bytes, added in pairs, become locals 3 and 4;
# their neighbours are added, and the third operand.
GET, SET, END = 0x20, 0x21, 0x0B
EXTENDED_LOW = {True: bytes([0xFD, 0x87, 1]), False: bytes([0xFD, 0x89, 1])}  # by whether bytes are signed
EXTENDED_HIGH = {True: bytes([0xFD, 0x88, 1]), False: bytes([0xFD, 0x8A, 1])}
PAIRS, ADD, SHUFFLE = bytes([0xFD, 0xBA, 1]), bytes([0xFD, 0xAE, 1]), bytes([0xFD, 0x0D])
EVEN = bytes(lane + byte for lane in (0, 8, 16, 24) for byte in range(4))
ODD = bytes(lane + 4 for lane in EVEN)


def with_simulated_dot(module: bytes, is_signed: bool) -> bytes:
    """Returns a module whose dot products of bytes have a second factor that is signed or unsigned, and exact sums."""
    result, at = bytearray(module[:8]), 8
    kind = index = 0
    while at < len(module):
        section = module[at]
        size, at = number_at(module, at + 1)
        content = module[at : at + size]
        at += size
        count, _ = number_at(content, 0)
        if section == TYPES:
            kind = count
            content = _appended(content, SIGNATURE)
        elif section == FUNCTIONS:
            index = count
            assert index < MOST_FUNCTIONS
            content = _appended(content, _number(kind))
        elif section == CODE:
            assert DOT in content
            content = content.replace(DOT, bytes([CALL, index & 0x7F | 0x80, index >> 7]))
            body = _dot(is_signed)
            content = _appended(content, _number(len(body)) + body)
        result += bytes([section]) + _number(len(content)) + content
    return bytes(result)


def _dot(is_signed: bool) -> bytes:
    """Returns the body of the function: its locals and instructions."""
    code = bytes([1, 2, V128])
    for local, first, second in (
        (3, EXTENDED_LOW[True], EXTENDED_LOW[is_signed]),
        (4, EXTENDED_HIGH[True], EXTENDED_HIGH[is_signed]),
    ):
        code += bytes([GET, 0]) + first + bytes([GET, 1]) + second + PAIRS + bytes([SET, local])
    both = bytes([GET, 3, GET, 4]) + SHUFFLE
    return code + both + EVEN + both + ODD + ADD + bytes([GET, 2]) + ADD + bytes([END])


def _appended(content: bytes, element: bytes) -> bytes:
    """Returns a vector with one element more."""
    count, at = number_at(content, 0)
    return _number(count + 1) + content[at:] + element


def _number(value: int) -> bytes:
    """Returns a number as LEB128."""
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*result, value])
