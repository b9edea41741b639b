"""`litert:` and `litert-int8:`: a checkpoint converted to LiteRT, in float32 and in dynamic int8."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import hot_checkpoints
import numpy as np
import pytest
from exported_checkpoints import Exports

from mbert_onnx import bench
from mbert_onnx.model.checkpoint import load_checkpoint
from mbert_onnx.model.tokenizer_files import write_tokenizer
from perf.errors import PerfError, PerfUsageError
from perf.machine import footprint
from perf.peers.checkpoint_converters import CHECKPOINT_CONVERTERS
from perf.providers import CPU, KNOWN
from perf.sessions.types import no_progress

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed here; `make test-peers` runs these")

from perf.sessions.runtimes import litert_session

pytestmark = pytest.mark.xdist_group("litert")  # one process installs its environment

AZURE = next(provider for provider in KNOWN if provider.name == "azure")
SHORT: dict[str, Any] = {"threads": [1, 2], "budget": 0.1}


def test_both_are_timed_beside_ours(exported: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint, "LOADS", 1)
    checkpoint = exported().checkpoint
    models = [str(exported().bundle), f"litert:{checkpoint}", f"litert-int8:{checkpoint}", f"torch:{checkpoint}"]
    _, float32, int8, torch = bench(models, seq_lens=[8, 12], **SHORT).subjects
    assert float32.runtime.startswith("LiteRT 2.")
    assert float32.runtime.endswith("(XNNPACK)")
    assert float32.difference is not None
    assert float32.difference < 1e-4
    assert float32.error is None
    assert int8.error is not None
    assert 1e-3 < int8.error < 1
    assert int8.file.size_bytes < float32.file.size_bytes
    assert int8.notes[0] == "ai-edge-quantizer: dynamic_wi8_afp32"
    assert "a file of its own for each length" in int8.notes[-1]
    assert torch.difference is not None
    assert torch.difference < 1e-4
    assert "FULLY_CONNECTED" in float32.placement.operators["LiteRT"]
    assert litert_session.DELEGATE not in float32.placement.operators["LiteRT"]


def test_a_file_that_it_cannot_load_is_an_error_of_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    with pytest.raises(PerfUsageError, match=r"broken\.tflite runs in LiteRT on the CPU, not on azure"):
        litert_session.open_session(broken, AZURE, 1)
    with pytest.raises(PerfError, match=r"no file .*none\.tflite"):
        litert_session.open_session(tmp_path / "none.tflite", CPU, 1)
    with pytest.raises(PerfError, match=r"LiteRT 2[0-9.]+ cannot load .*broken\.tflite: ") as caught:
        litert_session.open_session(broken, CPU, 1)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_it_cannot_convert_is_an_error_of_one_line(
    exported: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = replace(CHECKPOINT_CONVERTERS["litert"], program=Path(__file__).with_name("none.py"))
    monkeypatch.setitem(CHECKPOINT_CONVERTERS, "litert", missing)
    with pytest.raises(PerfError, match=r"litert-torch fails on .* with exit 2: ") as caught:
        bench(f"litert:{exported().checkpoint}", seq_lens=[4], **SHORT)
    assert "\n" not in str(caught.value)


def test_outputs_stay_valid_after_the_next_run(exported: Exports, tmp_path: Path) -> None:
    from mbert_onnx.benchmark.models.from_checkpoint import save

    saved = save("litert", str(exported().checkpoint), tmp_path, task=None, seed=0)
    files = CHECKPOINT_CONVERTERS["litert"].convert(
        saved.folder,
        saved.task.architecture,
        saved.outputs,
        tmp_path,
        seq_lens=[4],
        batch=1,
        progress=no_progress,
    )
    session = litert_session.open_session(files[4], CPU, 1)
    ids = np.array([[1, 2, 3, 4]], np.int32)
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    kept = session.run(None, feed)[0]
    before = kept.copy()
    session.run(None, {**feed, "input_ids": ids[:, ::-1].copy()})
    np.testing.assert_array_equal(kept, before)


@pytest.mark.full
@pytest.mark.parametrize("make", ["tame", "hot_channels", "hot_inner_channels", "hot_hidden", "hot_token"])
def test_our_kernels_damage_no_more_than_litert(make: str, tmp_path: Path) -> None:
    """Compares the centred errors of int8 at full size and 128 tokens, each against its own float model."""
    model = "random"
    if make != "tame":
        model = str(tmp_path / "hot")
        tame = load_checkpoint("random")
        hot_checkpoints.save(getattr(hot_checkpoints, make)(tame.model, 0), Path(model))
        write_tokenizer(None, Path(model), tame.config.vocab_size, tame.config.max_position_embeddings)
    options: dict[str, Any] = {"seq_lens": [128], "threads": [2], "budget": 0.1}
    ours, theirs = bench([f"native:int8:{model}", f"litert-int8:{model}"], **options).subjects
    print(f"{make}: centred error {ours.error:.2g} with our kernels, {theirs.error:.2g} in LiteRT")
    assert ours.error is not None
    assert theirs.error is not None
    assert ours.error <= theirs.error or np.isnan(theirs.error)
