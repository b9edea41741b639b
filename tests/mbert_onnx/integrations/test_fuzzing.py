"""Fuzzed readers of every input format: no traceback, no hang, no file outside of the input and the output."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers.fuzzing import campaign as campaigns
from tests.helpers.fuzzing.campaign import campaign
from tests.helpers.fuzzing.random_texts import chunk
from tests.helpers.fuzzing.readers import READERS, Reader

# Inputs of each reader in `make test`, by its share of a campaign; a reader with a share below 1 takes 10 ms an input.
FEW = 30
MANY = 4_000
FAST = [reader for reader in READERS if reader.weight > 1]


def fuzzed(reader: Reader, inputs: int, tmp_path: Path) -> None:
    result = campaign(reader, seed=0, inputs=inputs, work=tmp_path)
    assert not result.failures, str(result)
    assert result.accepted
    assert result.refused


@pytest.mark.parametrize("reader", FAST, ids=lambda reader: reader.name)
def test_few_inputs(reader: Reader, tmp_path: Path) -> None:
    fuzzed(reader, FEW, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_many_inputs(reader: Reader, tmp_path: Path) -> None:
    fuzzed(reader, round(MANY * min(reader.weight, 1)), tmp_path)


def opens_outside(_: Path, __: Path) -> None:
    Path("/etc/hostname").read_bytes()


def opens_beside(path: Path, _: Path) -> None:
    (path.parents[1] / "secret.bin").read_bytes()


def follows_a_link(path: Path, output: Path) -> None:
    link = output / "link"
    link.unlink(missing_ok=True)
    link.symlink_to("../secret.bin")
    link.read_bytes()


def writes_beside(path: Path, _: Path) -> None:
    path.with_name("new").write_bytes(b"")


def changes_the_input(path: Path, _: Path) -> None:
    os.utime(path)


def raises(_: Path, __: Path) -> None:
    raise KeyError("name")


def panics(_: Path, __: Path) -> None:
    os.write(2, b"thread 'main' panicked at a.rs:1:2\n")


def waits(_: Path, __: Path) -> None:
    time.sleep(5)


@pytest.mark.parametrize(
    ("read", "failure"),
    [
        (opens_outside, "outside of the input: open reads /etc/hostname"),
        (opens_beside, "outside of the input: open reads "),
        (follows_a_link, "outside of the input: open reads "),
        (writes_beside, "outside of the input: open writes "),
        (changes_the_input, "outside of the input: os.utime writes "),
        (raises, "KeyError: "),
        (panics, "on standard error: thread 'main' panicked"),
        (waits, "more than 0.2 s"),
    ],
)
def test_faults_are_found(
    read: Callable[[Path, Path], object], failure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaigns, "LONGEST_S", 0.2)
    calls: list[Path] = []

    def after_the_valid_file(path: Path, output: Path) -> None:
        calls.append(path)
        if len(calls) > 1:
            read(path, output)

    broken = Reader("broken", lambda: {"a.json": b"{}"}, ("a.json",), after_the_valid_file, 1)
    result = campaign(broken, seed=0, inputs=1, work=tmp_path / "work", keep=tmp_path / "kept")
    (found,) = result.failures
    assert found.startswith(failure)
    assert [path.name for path in tmp_path.glob("kept/*/a.json")] == ["a.json"]


def test_an_input_follows_from_its_seed_and_number(tmp_path: Path) -> None:
    seen: list[bytes] = []
    reader = Reader(
        "any", lambda: {"a.json": b'{"a": [1, "b"]}'}, ("a.json",), lambda p, _: seen.append(p.read_bytes()), 1
    )
    campaign(reader, seed=3, inputs=9, work=tmp_path)
    first, seen[:] = seen[1:], []
    campaign(reader, seed=3, inputs=4, work=tmp_path, first=5)
    assert first[5:] == seen[1:]
    assert len(set(first)) > 5


@pytest.mark.parametrize("number", [0, 1], ids=["single texts", "pairs"])
def test_random_texts_have_the_tokens_of_tokenizers(number: int) -> None:
    found = chunk(seed=0, number=number, path=None, count=20)
    assert not found.failures
    assert sum(found.texts.values()) == 20 * 12
