"""All code points, each in several surroundings: the tokens of a Tokenize node beside those of `tokenizers`.

What `tokenizers` returns is kept as one digest per block, so that a tokenizer that was checked before is checked in
half the time. A block whose digest differs is encoded by `tokenizers`, whatever the digest says.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np

from mbert_onnx.conversion.verification.tokens.differences import ADVICE
from mbert_onnx.conversion.verification.tokens.node import TokenizeNode
from mbert_onnx.conversion.verification.tokens.reference import Reference
from mbert_onnx.conversion.verification.tokens.rows import Tokens
from mbert_onnx.conversion.verification.tokens.texts import Texts
from mbert_onnx.errors import VerificationError

# Texts around a code point. Each begins with a space, so that they are apart from each other in one text.
SURROUNDINGS = {
    " {}": "between spaces",
    " a{}b": "between the letters a and b",
    " a{}!": "after the letter a, before an exclamation mark",
}
# All code points but surrogates, which UTF-8 cannot have.
POINTS = np.concatenate([np.arange(0xD800), np.arange(0xE000, 0x110000)])
# Code points with one digest.
BLOCK = 4096
# Units of a row: less than three tokens each, with special ones beside them, in all but few scripts.
MOST_UNITS = 192
UNIT_TOKENS, OTHER_TOKENS = 3, 8
# Threads: most of the time is spent where Python waits for onnxruntime and `tokenizers`.
MOST_THREADS = 4


@dataclass(frozen=True)
class Observed:
    """The tokens of a text: their ids [tokens], and their bytes in it [tokens, 2]."""

    ids: np.ndarray
    spans: np.ndarray

    @cached_property
    def digest(self) -> str:
        """A hash of all."""
        found = hashlib.sha256(self.ids.astype("<i4").tobytes())
        found.update(self.spans.astype("<i4").tobytes())
        return found.hexdigest()

    @classmethod
    def joined(cls, parts: Sequence[Observed], begins: Sequence[int]) -> Observed:
        """Returns the tokens of parts of a text that begin at these bytes."""
        spans = [part.spans + begin for part, begin in zip(parts, begins, strict=True)]
        return cls(np.concatenate([part.ids for part in parts]), np.concatenate(spans))


def check_code_points(
    nodes: Sequence[TokenizeNode],
    reference: Reference,
    digests: Sequence[str] | None = None,
    points: np.ndarray = POINTS,
) -> list[str]:
    """Compares the tokens of all code points. Returns the digests of the blocks, to be kept for the next check.

    Args:
        nodes: The nodes.
        reference: The tokenizer.
        digests: The digests that a check of the same tokenizer returned, one for each block; None without one.
        points: The code points; default: all.

    Raises VerificationError, which names the code point, its surroundings and the ids, for the first difference.
    """
    known: Sequence[str | None] = [None] * block_count(points) if digests is None else digests

    def check(number: int) -> str:
        return _check_block(nodes, reference, points[number * BLOCK : (number + 1) * BLOCK], known[number])

    with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS)) as pool:
        try:
            return list(pool.map(check, range(len(known))))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def block_count(points: np.ndarray) -> int:
    """Returns the number of blocks, and of digests, of code points."""
    return -(-len(points) // BLOCK)


def _check_block(nodes: Sequence[TokenizeNode], reference: Reference, points: np.ndarray, digest: str | None) -> str:
    units = [around.format(chr(point)) for point in points.tolist() for around in SURROUNDINGS]
    found = [_observe(node, units) for node in nodes]
    if digest is not None and all(one.digest == digest for one in found):
        return digest
    texts = Texts.of(["".join(units)])
    tokens = reference.tokens(texts)
    expected = Observed(tokens.ids, tokens.spans)
    for node, one in zip(nodes, found, strict=True):
        if one.digest != expected.digest:
            _explain(node, reference, units, points, one, expected)
    return expected.digest


def _observe(node: TokenizeNode, units: Sequence[str]) -> Observed:
    """Returns the tokens of units, one after the other, as a node returns them in rows of a few units each."""
    room = (node.limit - OTHER_TOKENS) // UNIT_TOKENS
    if node.form.has_pair and not node.form.has_windows:
        room //= 2
    size = min(max(room, 1), MOST_UNITS)
    rows = [units[begin : begin + size] for begin in range(0, len(units), size)]
    return _joined(_rows(node, rows), rows)


def _rows(node: TokenizeNode, rows: list[Sequence[str]]) -> list[Observed]:
    """Returns the tokens of each row. One that is truncated is run again, in halves."""
    texts = Texts.of(["".join(row) for row in rows])
    parts = list(_runs(node, texts))
    found, cut = [part for part, _ in parts], [is_cut for _, is_cut in parts]
    again = [number for number, row in enumerate(rows) if cut[number] and len(row) > 1]
    halves = [
        half
        for number in again
        for half in (rows[number][: len(rows[number]) // 2], rows[number][len(rows[number]) // 2 :])
    ]
    of_halves = _rows(node, halves) if halves else []
    for place, number in enumerate(again):
        found[number] = _joined(of_halves[2 * place : 2 * place + 2], halves[2 * place : 2 * place + 2])
    return found


def _runs(node: TokenizeNode, texts: Texts) -> Iterator[tuple[Observed, bool]]:
    """Yields the tokens of each text, and whether some were cut off. A pair without windows has two of the texts."""
    if not node.form.has_pair:
        first, _, cut = node.tokens(texts)
        yield from _split(first, len(texts), cut[:, 0])
    elif node.form.has_windows:
        other = Texts.of(["a"] * len(texts))
        given = (texts, other) if node.windowed == 0 else (other, texts)
        first, [second], cut = node.tokens(*given)
        yield from _split(first if node.windowed == 0 else second, len(texts), cut[:, node.windowed])
    else:
        half = -(-len(texts) // 2)
        strings = [*texts.strings, ""]
        first, [second], cut = node.tokens(Texts.of(strings[:half]), Texts.of(strings[half : 2 * half]))
        yield from _split(first, half, cut[:, 0])
        yield from _split(second, len(texts) - half, cut[:, 1])


def _split(tokens: Tokens, count: int, cut: np.ndarray) -> Iterator[tuple[Observed, bool]]:
    ends = np.searchsorted(tokens.texts, np.arange(count + 1))
    for number in range(count):
        part = slice(ends[number], ends[number + 1])
        yield Observed(tokens.ids[part], tokens.spans[part]), bool(cut[number])


def _joined(parts: Sequence[Observed], rows: Sequence[Sequence[str]]) -> Observed:
    sizes = [len("".join(row).encode()) for row in rows]
    return Observed.joined(parts, list(accumulate(sizes, initial=0))[:-1])


def _explain(
    node: TokenizeNode,
    reference: Reference,
    units: Sequence[str],
    points: np.ndarray,
    found: Observed,
    expected: Observed,
) -> None:
    """Raises the error for the first unit whose tokens differ; returns if all are equal, as far as rows hold them."""
    begins = np.array(list(accumulate((len(unit.encode()) for unit in units), initial=0)))
    limits = [np.searchsorted(one.spans[:, 0], begins) for one in (found, expected)]
    for number in range(len(units)):
        ids, spans = (
            [getattr(one, what)[of[number] : of[number + 1]] for one, of in zip((found, expected), limits, strict=True)]
            for what in ("ids", "spans")
        )
        if np.array_equal(*ids) and np.array_equal(*spans):
            continue
        if _is_cut(node, units[number], reference):
            continue
        point = int(points[number // len(SURROUNDINGS)])
        where = list(SURROUNDINGS.values())[number % len(SURROUNDINGS)]
        differ, what = (spans, "offsets") if np.array_equal(*ids) else (ids, "ids")
        shown = [
            " ".join(str(value) for value in (one - begins[number] if what == "offsets" else one).tolist()) or "none"
            for one in differ
        ]
        raise VerificationError(
            f"{node.name}: U+{point:04X} {where} gives the {what} {shown[0]}, expected {shown[1]} as of `tokenizers`; "
            f"{ADVICE}"
        )


def _is_cut(node: TokenizeNode, unit: str, reference: Reference) -> bool:
    """Returns whether a row is too short for the tokens of one unit, which then cannot all be seen."""
    needed = len(reference.tokens(Texts.of([unit])).ids) + reference.special(pair=node.form.has_pair)
    return needed > node.limit and not node.form.has_windows
