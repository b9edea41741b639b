"""torch, as it is timed: transformers' own module, and what torch.compile makes of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from small_checkpoints import save_small

from perf.errors import PerfError, PerfUsageError
from perf.providers import CPU, KNOWN
from perf.sessions.inputs import declared_inputs, synthesise
from perf.sessions.runtimes import torch_compiled_session, torch_session
from perf.sessions.session import first_run

AZURE = next(provider for provider in KNOWN if provider.name == "azure")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torch")
    save_small(folder)
    return folder / "model.safetensors"


def test_it_says_what_transformers_says(weights: Path) -> None:
    session = torch_session.open_session(weights, CPU, 1)
    feed = synthesise("a", declared_inputs(session), batch=2, seq_len=5, vocab_size=20)
    assert set(feed) == {"input_ids", "attention_mask", "token_type_ids"}
    found = first_run("a", session, feed)
    with torch.inference_mode():
        expected = torch_session.load(weights, CPU)(**{name: torch.from_numpy(value) for name, value in feed.items()})
    assert list(found) == ["start_logits", "end_logits"]
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name].numpy())


def test_threads_are_those_of_the_session_that_runs(weights: Path) -> None:
    before = torch.get_num_threads()
    one, two = (torch_session.open_session(weights, CPU, threads) for threads in (1, 2))
    feed = synthesise("a", declared_inputs(one), batch=1, seq_len=3, vocab_size=20)
    try:
        for session in (one, two, one):
            session.run(None, feed)
            assert torch.get_num_threads() == session.threads
    finally:
        torch.set_num_threads(before)


def test_what_is_told_of_it(weights: Path) -> None:
    session = torch_session.open_session(weights, CPU, 1)
    assert torch_session.placement(session).operators["torch"]["Linear"] > 0
    assert torch_session.describe(session).startswith("torch 2.")
    with pytest.raises(PerfUsageError, match="runs in torch on the CPU, not on azure"):
        torch_session.open_session(weights, AZURE, 1)
    with pytest.raises(PerfError, match=r"no file .*none"):
        torch_session.open_session(weights.with_name("none"), CPU, 1)


def test_a_checkpoint_that_is_none_is_one_line(weights: Path, tmp_path: Path) -> None:
    shutil.copytree(weights.parent, tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(PerfError, match=r"transformers [0-9.]+ cannot load .*broken: ") as caught:
        torch_session.open_session(tmp_path / "broken" / "model.safetensors", CPU, 1)
    assert "\n" not in str(caught.value)


@pytest.mark.full
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_it_says_the_same(weights: Path) -> None:
    eager, compiled = torch_session.open_session(weights, CPU, 1), torch_compiled_session.open_session(weights, CPU, 1)
    for seq_len in (5, 9):
        feed = synthesise("a", declared_inputs(eager), batch=1, seq_len=seq_len, vocab_size=20)
        expected, found = first_run("a", eager, feed), first_run("a", compiled, feed)
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-5)
    assert "torch.compile" in torch_compiled_session.describe(compiled)
