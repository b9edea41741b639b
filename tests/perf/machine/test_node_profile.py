"""Where the time goes: nodes are told apart by whatever an exporter has left, and their times add up."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import transformers
from perf_models import token_model
from small_models import randomize, small_config
from third_party_exports import export_with_torch_export, export_with_torchscript

import mbert_onnx
from perf.errors import PerfError
from perf.machine import node_profile as blocks
from perf.machine.node_profile import ATTENTION, BLOCKS, EMBEDDINGS, ENCODER, FFN, REST, block_times, node_blocks

LAYERS = 2
IDS = np.ones((1, 8), np.int64)
FEED = {"input_ids": IDS, "attention_mask": IDS, "token_type_ids": np.zeros_like(IDS)}

# Of each layer: two bottlenecks, three projections and the output; the value is no product with weights.
ATTENTION_PRODUCTS = 6 * LAYERS
# Of each layer: three networks of two products, and the output bottleneck.
FFN_PRODUCTS = 7 * LAYERS


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    model = randomize(transformers.MobileBertForQuestionAnswering(small_config("default"))).eval()
    outputs = ["start_logits", "end_logits"]
    export_with_torchscript(model, folder / "torchscript.onnx", outputs)
    export_with_torch_export(model, folder / "torch_export.onnx", outputs)
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(folder / "torchscript.onnx", folder / "torchscript_int8.onnx")
    quantize_dynamic(folder / "torch_export.onnx", folder / "torch_export_int8.onnx")
    mbert_onnx.optimize(folder / "torchscript.onnx", folder / "ours.onnx")
    mbert_onnx.optimize(folder / "torchscript.onnx", folder / "ours_no_functions.onnx", functions=False)
    return folder


def graph_of(text: str) -> ir.Graph:
    """A graph in ONNX's text syntax; what is declared between < and > are weights."""
    proto = onnx.parser.parse_model('<ir_version: 8, opset_import: ["": 18]>' + text)
    for weight in proto.graph.value_info:
        shape = [dim.dim_value for dim in weight.type.tensor_type.shape.dim]
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(shape, np.float32), weight.name))
    return ir.from_proto(proto).graph


def products(path: Path, tmp_path: Path, library: Path | None = None) -> dict[str, int]:
    """How many products with weights each block has, once onnxruntime has optimized the file."""
    options = blocks._options(1, library)
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    ort.InferenceSession(str(path), options)
    graph = ir.load(tmp_path / "optimized.onnx").graph
    found = Counter[str]()
    for node, block in zip(graph, node_blocks(graph), strict=True):
        weights = [value for value in node.inputs if value is not None and value.is_initializer()]
        if any(word in node.op_type for word in ("MatMul", "Gemm")) and weights:
            found[block] += 1
    return dict(found)


@pytest.mark.parametrize("name", ["torchscript", "torch_export", "torchscript_int8", "torch_export_int8"])
def test_every_product_of_an_export_is_in_its_block(exported: Path, tmp_path: Path, name: str) -> None:
    assert products(exported / f"{name}.onnx", tmp_path) == {
        EMBEDDINGS: 1,  # of the trigrams
        ATTENTION: ATTENTION_PRODUCTS,
        FFN: FFN_PRODUCTS,
        REST: 1,  # the answer's
    }


@pytest.mark.parametrize("name", ["ours", "ours_no_functions"])
def test_so_is_every_product_of_ours(exported: Path, tmp_path: Path, name: str) -> None:
    merged = 3 * LAYERS  # both bottlenecks and the value are one; query and key are one; the output
    assert products(exported / f"{name}.onnx", tmp_path) == {
        EMBEDDINGS: 1,
        ATTENTION: merged,
        FFN: FFN_PRODUCTS,
        REST: 1,
    }


@pytest.mark.skipif(mbert_onnx.kernels().library is None, reason="there are no native kernels here")
def test_whole_blocks_are_told_where_our_kernels_compute_them(exported: Path, tmp_path: Path) -> None:
    library = mbert_onnx.kernels().library
    assert {ATTENTION, FFN}.isdisjoint(products(exported / "ours.onnx", tmp_path, library))
    graph = ir.load(tmp_path / "optimized.onnx").graph
    found = {
        node.op_type: block for node, block in zip(graph, node_blocks(graph), strict=True) if node.domain == "mbert"
    }
    kinds = {"BottleneckAttention": ATTENTION, "StackedFFN": FFN, "Encoder": ENCODER, "Embeddings": EMBEDDINGS}
    assert found
    assert found.items() <= kinds.items()
    assert set(block_times(exported / "ours.onnx", FEED, threads=1, library=library, runs=2)) == set(BLOCKS)


def test_times_add_up_to_those_of_all_kernels(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[float]] = {}
    real = blocks._profile

    def watched(*asked: object) -> dict[str, list[float]]:
        seen.update(real(*asked))  # type: ignore[arg-type]
        return seen

    monkeypatch.setattr(blocks, "_profile", watched)
    found = block_times(exported / "torchscript.onnx", FEED, threads=1, runs=3)
    assert {len(times) for times in seen.values()} == {4}  # a first run, and three
    assert sum(found.values()) == pytest.approx(sum(float(np.median(times[1:])) for times in seen.values()) / 1e3)
    assert all(found[block] > 0 for block in (EMBEDDINGS, ATTENTION, FFN, REST))


def test_the_first_run_and_a_hiccup_do_not_count(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_profile", lambda *_: {"n0": [9e6, 1000.0, 1000.0, 9e6], "other": [5.0] * 4})
    assert sum(block_times(exported / "torchscript.onnx", FEED, threads=1, runs=3).values()) == 1.0


def test_layers_that_are_one_operator_are_a_block_of_their_own() -> None:
    graph = graph_of(
        """
        g (float[1, 8] x, float[1, 8] mask) => (float[1, 8] y)
        <float[8, 8] "encoder.layer.0.attention.self.query.weight", float[9, 8] "embeddings.table">
        {
            embedded = mbert.Embeddings (x, "embeddings.table")
            last = mbert.EncoderInt8 (embedded, mask, "encoder.layer.0.attention.self.query.weight")
            scores = MatMul (last, "embeddings.table")
            y = Relu (scores)
        }"""
    )
    assert node_blocks(graph) == [EMBEDDINGS, ENCODER, REST, REST]


def test_nodes_without_a_name_belong_to_what_they_read() -> None:
    graph = graph_of(
        """
        g (float[1, 8] x, float[1, 8] mask) => (float[1, 8] y)
        <float[8, 8] "encoder.layer.0.attention.self.query.weight",
         float[8, 8] "encoder.layer.0.ffn.0.output.dense.weight">
        {
            a = MatMul (x, "encoder.layer.0.attention.self.query.weight")
            masked = Neg (mask)
            scores = Add (a, masked)
            soft = Softmax (scores)
            f = MatMul (soft, "encoder.layer.0.ffn.0.output.dense.weight")
            y = Add (f, soft)
        }
        """
    )
    assert node_blocks(graph) == [ATTENTION, REST, ATTENTION, ATTENTION, FFN, FFN]


def test_a_product_whose_weights_have_no_name_belongs_to_its_bias() -> None:
    graph = graph_of(
        """
        g (float[1, 8] x) => (float[1, 8] y)
        <float[8, 8] val_1, float[8] "m.encoder.layer.3.attention.output.dense.bias", float[8, 8] val_2,
         float[8] "m.encoder.layer.3.ffn.0.intermediate.dense.bias">
        {
            a = MatMul (x, val_1)
            b = Add (a, "m.encoder.layer.3.attention.output.dense.bias")
            c = MatMul (b, val_2)
            y = Add (c, "m.encoder.layer.3.ffn.0.intermediate.dense.bias")
        }
        """
    )
    assert node_blocks(graph) == [ATTENTION, ATTENTION, FFN, FFN]


def test_a_head_that_reads_the_embeddings_again_is_no_embedding() -> None:
    graph = graph_of(
        """
        g (int64[4] ids) => (float[4, 9] y)
        <float[9, 8] "embeddings.word.weight", float[8, 9] "embeddings.word.weight_T",
         float[8, 8] "encoder.layer.0.output.dense.weight">
        {
            e = Gather ("embeddings.word.weight", ids)
            f = MatMul (e, "encoder.layer.0.output.dense.weight")
            y = MatMul (f, "embeddings.word.weight_T")
        }
        """
    )
    assert node_blocks(graph) == [EMBEDDINGS, FFN, REST]


def test_what_cannot_be_told_is_the_rest(tmp_path: Path) -> None:
    found = block_times(token_model(tmp_path / "m.onnx"), {"input_ids": IDS}, threads=1, runs=2)
    assert found[REST] > 0
    assert found[EMBEDDINGS] == found[ATTENTION] == found[FFN] == 0.0
    assert json.dumps(found)  # plain numbers, as a report has them


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    model = token_model(tmp_path / "m.onnx")
    before = sorted(tmp_path.iterdir())
    block_times(model, {"input_ids": IDS}, threads=1, runs=1)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("content", [None, b"no model"])
def test_a_file_that_is_no_model_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PerfError, match=r"cannot profile .*m\.onnx: onnxruntime ") as caught:
        block_times(path, {"input_ids": IDS}, threads=1)
    assert "\n" not in str(caught.value)


def test_so_is_a_feed_that_the_model_does_not_take(tmp_path: Path) -> None:
    with pytest.raises(PerfError, match="input_ids"):
        block_times(token_model(tmp_path / "m.onnx"), {"other": IDS}, threads=1)
