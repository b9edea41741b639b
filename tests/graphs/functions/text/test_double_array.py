"""Double arrays contain their tries, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from graphs.functions.text.tables.double_array import FREE, DoubleArray, double_array

Entries = dict[tuple[int, ...], int]


def longest(array: DoubleArray, root: int, symbols: tuple[int, ...]) -> tuple[int, int]:
    """The id and the length of the longest entry that begins a sequence; length 0 without one."""
    base, last = array.roots[root], 0
    for symbol in symbols:
        slot = int(base) + symbol
        if array.check[slot] != symbol:
            break
        last, base = slot, array.base[slot]
    return int(array.ids[last]), int(array.lengths[last])


@pytest.mark.parametrize("seed", range(5))
def test_walks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    most = int(rng.choice([3, 40, 5000]))
    tries: list[Entries] = [
        {tuple(rng.integers(1, most, rng.integers(1, 6)).tolist()): int(rng.integers(0, 9999)) for _ in range(count)}
        for count in (0, 1, 300, 50)
    ]
    array = double_array(tries)
    assert array.check[0] == FREE
    assert len(array.check) > max(*array.base, *array.roots) + max(symbol for key in tries[2] for symbol in key)
    for root, entries in enumerate(tries):
        chosen = [key for other in tries for key in other]
        for symbols in [*chosen, *(tuple(rng.integers(0, most, 7).tolist()) for _ in range(100))]:
            known = [end for end in range(1, len(symbols) + 1) if symbols[:end] in entries]
            found = longest(array, root, symbols)
            assert found[1] == (known[-1] if known else 0)
            assert not known or found[0] == entries[symbols[: known[-1]]]


def test_no_entries() -> None:
    array = double_array([{}, {}])
    assert array.roots == (0, 0)
    assert longest(array, 0, (0,)) == (0, 0)
