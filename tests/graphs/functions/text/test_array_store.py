"""Arrays that are stored: computed once, and again where the file is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphs.functions.text.tables import array_store
from graphs.functions.text.tables.array_store import Arrays, ArrayStore


def computed(store: ArrayStore, key: str = "a") -> int:
    """Returns how often the arrays of a key are computed in two calls."""
    calls: list[str] = []

    def compute() -> Arrays:
        calls.append(key)
        return {"numbers": np.arange(9), "flags": np.array([True])}

    for _ in range(2):
        found = store.get("some", key, compute)
        assert found["numbers"].tolist() == list(range(9))
        assert found["flags"].dtype == bool
    return len(calls)


def test_arrays_are_computed_once_where_there_is_a_folder(tmp_path: Path) -> None:
    store = ArrayStore()
    assert computed(store) == 2
    store.folder = tmp_path / "new" / "folder"
    assert computed(store) == 1
    assert computed(store) == 0
    assert computed(store, "b") == 1


@pytest.mark.parametrize("spoil", [lambda data: b"", lambda data: data[:60], lambda data: data[:-40] + b"x" * 40])
def test_a_damaged_file_is_computed_again(tmp_path: Path, spoil: object) -> None:
    store = ArrayStore()
    store.folder = tmp_path
    computed(store)
    [file] = tmp_path.iterdir()
    whole = file.read_bytes()
    for damaged in (spoil(whole), whole.replace(whole[70:80], b"0123456789")):  # type: ignore[operator]
        file.write_bytes(damaged)
        assert computed(store) == 1


def test_few_files_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(array_store, "KEPT", 2)
    store = ArrayStore()
    store.folder = tmp_path
    for key in "abc":
        computed(store, key)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    store = ArrayStore()
    (tmp_path / "file").write_text("")
    store.folder = tmp_path / "file"
    assert computed(store) == 2
