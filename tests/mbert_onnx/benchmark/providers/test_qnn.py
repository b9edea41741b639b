"""Qualcomm's neural processor, as its simulator computes it (HTP: floats in half precision): `make test-providers`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hot_checkpoints
import numpy as np
import onnx
import onnxruntime
import pytest
from onnxruntime.tools.onnx_model_utils import fix_output_shapes, make_dim_param_fixed

from mbert_onnx import export
from mbert_onnx.bundles.inputs import Shapes
from mbert_onnx.bundles.model_file import TextModel, TextReader
from mbert_onnx.bundles.types import Feed
from mbert_onnx.conversion.comparison.accuracy import Comparison
from mbert_onnx.conversion.precision import read_texts
from mbert_onnx.conversion.verification.model_check import run_torch
from mbert_onnx.model.checkpoint import load_checkpoint
from mbert_onnx.model.tokenizer_files import write_tokenizer
from perf.peers.transformers_export import export_transformers
from perf.providers import plugin
from perf.providers.known import QNN

pytest.importorskip("onnxruntime_qnn", reason="`make test-providers` installs it")

pytestmark = pytest.mark.full

PROVIDER = "QNNExecutionProvider"
# A Snapdragon 8 Gen 2; without a chip's number, the simulator refuses MobileBERT.
OPTIONS = {"backend_type": "htp", "soc_model": "43"}
LENGTH = 128
TEXTS = 2


@pytest.fixture(scope="module")
def devices() -> list[Any]:
    """The simulator. Its library is registered once in a process, whichever test asks first."""
    return plugin.devices(QNN)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The full-size random model, as a folder."""
    folder = tmp_path_factory.mktemp("qnn") / "checkpoint"
    loaded = load_checkpoint("random")
    hot_checkpoints.save(loaded.model, folder)
    write_tokenizer(None, folder, loaded.config.vocab_size, loaded.config.max_position_embeddings)
    return folder


@pytest.fixture(scope="module")
def feeds(checkpoint: Path) -> list[Feed]:
    """Texts that nothing was calibrated on."""
    loaded = load_checkpoint(checkpoint)
    shapes = Shapes(batch=1, seq_len=LENGTH)
    file, config = checkpoint / "tokenizer.json", loaded.config
    reader = TextReader(loaded.task, file, config.vocab_size, config.max_position_embeddings)
    texts = read_texts(None, TextModel("random", shapes, reader, is_random=True))
    return texts.held_out[:TEXTS]


def error(file: Path, checkpoint: Path, feeds: list[Feed], devices: list[Any]) -> tuple[float, list[str], int]:
    """The centred error to torch in float64; the operators that another provider took; the parts that QNN took."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if devices:
        options.add_provider_for_devices(devices, OPTIONS)
    session = onnxruntime.InferenceSession(file, options)
    parts = session.get_provider_graph_assignment_info()
    elsewhere = [node.op_type for part in parts if part.ep_name != PROVIDER for node in part.get_nodes()]
    loaded = load_checkpoint(checkpoint)
    judge = loaded.model.double()
    comparison = Comparison(loaded.task)
    names = [value.name for value in session.get_outputs()]
    dtypes = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
    for feed in feeds:
        given = {value.name: feed[value.name].astype(dtypes[value.type]) for value in session.get_inputs()}
        wanted = run_torch(judge, {name: array.astype(np.int64) for name, array in feed.items()})
        comparison.add(dict(zip(names, session.run(names, given), strict=True)), wanted, feed["attention_mask"])
    return comparison.error(), elsewhere, sum(part.ep_name == PROVIDER for part in parts)


def test_half_precision_there_costs_no_more_than_transformers_own_export_does(
    checkpoint: Path, feeds: list[Feed], devices: list[Any], tmp_path: Path
) -> None:
    ours = export(checkpoint, tmp_path / "b", target="mobile", seq_len=LENGTH).model
    found, elsewhere, parts = error(ours, checkpoint, feeds, devices)
    assert (elsewhere, parts) == ([], 1)

    task = load_checkpoint(checkpoint).task
    names = tuple(output.name for output in task.outputs)
    export_transformers(checkpoint, task.architecture, names, tmp_path / "dynamic.onnx")
    model = onnx.load(tmp_path / "dynamic.onnx")
    for axis, size in (("batch", 1), ("sequence", LENGTH)):
        make_dim_param_fixed(model.graph, axis, size)
    fix_output_shapes(model)
    onnx.save(model, tmp_path / "theirs.onnx")
    theirs, *_ = error(tmp_path / "theirs.onnx", checkpoint, feeds, devices)
    print(f"centred error on HTP: ours {found:.1e}, transformers' own export {theirs:.1e}")
    assert 1e-4 < found <= theirs


def test_8_bits_are_one_partition_and_cost_what_they_cost_on_a_cpu(
    checkpoint: Path, feeds: list[Feed], devices: list[Any], tmp_path: Path
) -> None:
    file = export(checkpoint, tmp_path / "b", target="mobile", seq_len=LENGTH, precision="int8", min_agreement=0).model
    found, elsewhere, parts = error(file, checkpoint, feeds, devices)
    assert parts == 1
    assert sorted(elsewhere) == ["Cast", "Gather"]  # the table of int8 rows, which HTP does not look up
    usual, *_ = error(file, checkpoint, feeds, [])
    print(f"centred error of int8: on HTP {found:.1e}, on the CPU {usual:.1e}")
    assert found <= 1.2 * usual <= 0.1
