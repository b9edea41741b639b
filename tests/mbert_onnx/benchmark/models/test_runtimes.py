"""Runtimes in environments of their own: their outputs on a small checkpoint are those of onnxruntime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from small_checkpoints import FLOAT32, save_small

from perf.errors import PerfError, PerfUsageError
from perf.peers.checkpoint_converters import CHECKPOINT_CONVERTERS, CheckpointConverter
from perf.peers.onnx_converters import ONNX_CONVERTERS, OnnxConverter
from perf.peers.onnx_shapes import fix_shapes
from perf.peers.transformers_export import export_transformers
from perf.sessions.types import Progress, no_progress
from perf.sessions.worker import Worker, WorkerSession

pytest.importorskip("ai_edge_litert", reason="installs gigabytes; `make test-peers` runs these")

HEAD = "MobileBertForQuestionAnswering"
OUTPUTS = ("start_logits", "end_logits")
LENGTHS = (8, 12)
PADDED = 5
"""Tokens of a text that is padded to its file's length."""


@dataclass(frozen=True)
class Peer:
    """A runtime: its name in messages, its environment, its converter, and the suffix of its files."""

    name: str
    python: Callable[[Progress], Path]
    convert: Callable[[Path, Path], dict[int, Path]]
    suffix: str


def from_onnx(name: str, converter: OnnxConverter) -> Peer:
    def convert(folder: Path, to: Path) -> dict[int, Path]:
        return converter.convert(folder / "model.onnx", to, seq_lens=LENGTHS, batch=1, progress=no_progress)

    return Peer(name, converter.python, convert, converter.suffix)


def from_torch(name: str, converter: CheckpointConverter) -> Peer:
    def convert(folder: Path, to: Path) -> dict[int, Path]:
        return converter.convert(folder, HEAD, OUTPUTS, to, seq_lens=LENGTHS, batch=1, progress=no_progress)

    return Peer(name, converter.python, convert, converter.suffix)


PEERS = {
    "mnn": from_onnx("MNN", ONNX_CONVERTERS["mnn"]),
    "executorch": from_torch("ExecuTorch", CHECKPOINT_CONVERTERS["executorch"]),
    "iree": from_onnx("IREE", ONNX_CONVERTERS["iree"]),
    "ncnn": from_torch("ncnn", CHECKPOINT_CONVERTERS["ncnn"]),
    "tvm": from_onnx("TVM", ONNX_CONVERTERS["tvm"]),
}
FROM_ONNX = ("mnn", "iree", "tvm")
ONE_POOL = ("executorch", "iree")
"""Runtimes that have one thread pool for each process."""


def grouped(peers: Iterable[str]) -> list[Any]:
    """Parameters of one peer go to one test process, which installs its environment and converts its files once."""
    return [pytest.param(peer, marks=pytest.mark.xdist_group(peer)) for peer in peers]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Saves a small checkpoint, and transformers' own export of it."""
    folder = tmp_path_factory.mktemp("checkpoint")
    save_small(folder, HEAD)
    export_transformers(folder, HEAD, OUTPUTS, folder / "model.onnx")
    return folder


@pytest.fixture(scope="module")
def files(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[int, Path]]:
    """Returns the function `files(peer)`, which converts one file for each of LENGTHS, once."""
    converted: dict[str, dict[int, Path]] = {}

    def convert(peer: str) -> dict[int, Path]:
        if peer not in converted:
            converted[peer] = PEERS[peer].convert(checkpoint, tmp_path_factory.mktemp(peer))
        return converted[peer]

    return convert


@contextmanager
def worker(peer: str) -> Iterator[Worker]:
    running = Worker(peer, PEERS[peer].python(no_progress))
    try:
        yield running
    finally:
        running.close()


def feed_of(session: WorkerSession, seq_len: int, seed: int, *, padded: bool) -> dict[str, np.ndarray]:
    """Returns random ids in two segments, with the types that the session declares."""
    mask = np.ones((1, seq_len), np.int64)
    if padded:
        mask[:, PADDED:] = 0
    values = {
        "input_ids": np.random.default_rng(seed).integers(0, 101, (1, seq_len)),
        "attention_mask": mask,
        "token_type_ids": np.arange(seq_len)[None] % 2,
    }
    declared = {item.name: item for item in session.get_inputs()}
    assert sorted(declared) == sorted(values)
    assert all(item.shape == (1, seq_len) for item in declared.values())
    types = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32}
    return {name: value.astype(types[declared[name].type]) for name, value in values.items()}


def error_of(found: np.ndarray, judge: np.ndarray) -> float:
    return float(np.linalg.norm(found - judge) / np.linalg.norm(judge - judge.mean()))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("peer", grouped(PEERS))
def test_its_outputs_are_those_of_onnxruntime(
    peer: str, threads: int, checkpoint: Path, files: Callable[[str], dict[int, Path]]
) -> None:
    judge = onnxruntime.InferenceSession(checkpoint / "model.onnx", providers=["CPUExecutionProvider"])
    with worker(peer) as running:
        for seq_len, file in files(peer).items():
            session = running.open(file, "cpu", threads)
            assert tuple(output.name for output in session.get_outputs()) == OUTPUTS
            for seed, padded in enumerate([False, True, False]):  # the last one after another text
                feed = feed_of(session, seq_len, seed, padded=padded)
                ids = {name: value.astype(np.int64) for name, value in feed.items()}
                found = session.run(None, feed)
                for value, right in zip(found, judge.run(list(OUTPUTS), ids), strict=True):
                    assert value.shape == right.shape
                    assert error_of(value, right) < FLOAT32
            assert session.describe().startswith(f"{PEERS[peer].name} ")
            assert sum(session.placement().nodes.values()) > 50


@pytest.mark.parametrize("peer", grouped(PEERS))
def test_a_file_that_it_cannot_load_is_an_error_of_one_line(
    peer: str, files: Callable[[str], dict[int, Path]], tmp_path: Path
) -> None:
    suffix = PEERS[peer].suffix
    file = files(peer)[LENGTHS[0]]
    broken = tmp_path / f"broken{suffix}"
    broken.write_bytes(b"no model")
    with worker(peer) as running:
        with pytest.raises(PerfError, match=rf"no file .*none\{suffix}"):
            running.open(tmp_path / f"none{suffix}", "cpu", 1)
        with pytest.raises(PerfUsageError, match=rf"{file.name} runs in {PEERS[peer].name} on the CPU, not on azure"):
            running.open(file, "azure", 1)
        if peer != "mnn":
            with pytest.raises(PerfError, match=r"cannot read .*broken\.json .*convert the model again"):
                running.open(broken, "cpu", 1)
            broken.with_suffix(".json").write_bytes(file.with_suffix(".json").read_bytes())
        with pytest.raises(PerfError, match=rf"{PEERS[peer].name} [0-9.a-z]+ cannot load .*broken\{suffix}") as caught:
            running.open(broken, "cpu", 1)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("peer", grouped(FROM_ONNX))
def test_an_operator_that_it_does_not_have_is_an_error_of_one_line(peer: str, checkpoint: Path, tmp_path: Path) -> None:
    model = onnx.load(checkpoint / "model.onnx")
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Reloo"
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(PerfError, match=rf"{PEERS[peer].name} fails on model\.onnx with exit 1: .*") as caught:
        PEERS[peer].convert(tmp_path, tmp_path)
    assert "Reloo" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("peer", grouped(["executorch", "ncnn"]))
def test_a_checkpoint_that_it_cannot_read_is_an_error_of_one_line(peer: str, tmp_path: Path) -> None:
    with pytest.raises(PerfError, match=rf"fails on {tmp_path.name} with exit 1: OSError: ") as caught:
        PEERS[peer].convert(tmp_path, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("peer", grouped(ONE_POOL))
def test_a_pool_of_another_size_is_refused(peer: str, files: Callable[[str], dict[int, Path]]) -> None:
    file = files(peer)[LENGTHS[0]]
    with worker(peer) as running:
        running.open(file, "cpu", 2)
        with pytest.raises(PerfError, match=r"has a pool of 2 threads .* cannot become 3: run each in a process"):
            running.open(file, "cpu", 3)


def test_shapes_that_are_fixed_already_are_not_changed(checkpoint: Path, tmp_path: Path) -> None:
    fix_shapes(checkpoint / "model.onnx", tmp_path / "8.onnx", batch=1, seq_len=8)
    shapes = [value.shape for value in onnxruntime.InferenceSession(tmp_path / "8.onnx").get_outputs()]
    assert shapes == [[1, 8], [1, 8]]
    with pytest.raises(PerfError, match=r"8\.onnx takes only 8 in input_ids, not 9"):
        fix_shapes(tmp_path / "8.onnx", tmp_path / "9.onnx", batch=1, seq_len=9)
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(PerfError, match=r"the shapes of broken\.onnx cannot be fixed: ") as caught:
        fix_shapes(tmp_path / "broken.onnx", tmp_path / "9.onnx", batch=1, seq_len=8)
    assert "\n" not in str(caught.value)
