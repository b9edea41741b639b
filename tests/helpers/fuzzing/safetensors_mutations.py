"""Mutations of safetensors files by structure: another header, with its length corrected or not."""

from __future__ import annotations

from random import Random

from tests.helpers.fuzzing.json_mutations import mutated_json

# A file starts with the length of its header, which is JSON, in eight bytes, little-endian.
LENGTH_BYTES = 8
LENGTHS = (0, 1, 7, 10**8, 2**31, 2**63, 2**64 - 1)


def mutated_safetensors(data: bytes, random: Random) -> bytes:
    """Returns a file with another header; sometimes with another length of the header only."""
    size = int.from_bytes(data[:LENGTH_BYTES], "little")
    header, numbers = data[LENGTH_BYTES : LENGTH_BYTES + size], data[LENGTH_BYTES + size :]
    if random.random() < 0.1:
        return random.choice((*LENGTHS, size + 1, size - 1)).to_bytes(LENGTH_BYTES, "little") + header + numbers
    header = mutated_json(header, random)
    return len(header).to_bytes(LENGTH_BYTES, "little") + header + numbers
