"""Tests of torch's threads while a checkpoint is converted."""

from __future__ import annotations

import os

import psutil
import pytest
import torch

from mbert_onnx.model.torch_threads import idle_cores, idle_threads


@pytest.mark.parametrize(
    ("busy", "threads"), [([0.0, 0.0, 0.0, 0.0], 4), ([100.0, 90.0, 0.0, 5.0], 2), ([100.0] * 4, 1)]
)
def test_torch_uses_idle_cores_only(busy: list[float], threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda **_: busy)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    try:
        with idle_threads():
            assert torch.get_num_threads() == threads
        assert torch.get_num_threads() == 8
    finally:
        torch.set_num_threads(before)


def test_cores_of_other_processes_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda **_: [0.0] * 16)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 15}, raising=False)
    assert idle_cores() == 2


def test_fewer_threads_than_cores_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda **_: [0.0] * 16)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with idle_threads():
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
