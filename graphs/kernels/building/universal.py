"""Universal files of Apple's systems: the code of several processors in one file (Mach-O's fat format).

`lipo` writes them on macOS; ziglang has no such tool.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

MAGIC = 0xCAFEBABE
# Code begins at multiples of the largest page, 16 KB.
ALIGNMENT_BITS = 14
# Mach-O's numbers of a processor and of its subtype.
PROCESSORS = {"x86_64": (0x01000007, 3), "aarch64": (0x0100000C, 0)}


def universal_file(parts: Mapping[str, bytes]) -> bytes:
    """Returns the file that holds several ones, by processor: Mach-O files, or archives of them."""
    header = struct.pack(">II", MAGIC, len(parts))
    start = len(header) + 20 * len(parts)
    body = b""
    for processor, part in parts.items():
        body += bytes(-(start + len(body)) % (1 << ALIGNMENT_BITS))
        header += struct.pack(">5I", *PROCESSORS[processor], start + len(body), len(part), ALIGNMENT_BITS)
        body += part
    return header + body
