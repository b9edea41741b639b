"""A full-size int8 file after onnxruntime's optimizations: each product is one node, with the same outputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from graphs.model.opsets import OLDEST_OPSET, newest_opset
from mbert_onnx import export

pytestmark = pytest.mark.full

# 24 blocks of three products of the attention, eight of the feed-forward networks and one back to the stream; before
# them, that of the embeddings.
PRODUCTS = 24 * (3 + 8 + 1) + 1


@pytest.mark.parametrize(
    ("task", "opset", "functions", "more", "megabytes"),
    [
        ("question-answering", OLDEST_OPSET, True, 0, 30),
        ("question-answering", newest_opset(), False, 0, 30),
        ("fill-mask", newest_opset(), True, 3, 40),  # its dense layer; and the words, in two parts
    ],
)
def test_every_product_is_one_node(
    task: str, opset: int, functions: bool, more: int, megabytes: int, tmp_path: Path
) -> None:
    file = export("random", tmp_path / "b", task=task, precision="int8", opset=opset, functions=functions).model
    assert file.stat().st_size <= megabytes * 1e6

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node]
    assert kinds.count("DynamicQuantizeMatMul") == PRODUCTS + more
    assert not {"MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeLinear"} & set(kinds)

    # Rows of other lengths, padded.
    generator = np.random.default_rng(0)
    feed = {
        "input_ids": generator.integers(1000, 30000, (3, 40)),
        "attention_mask": (np.arange(40) < np.array([[40], [23], [5]])).astype(np.int64),
        "token_type_ids": np.zeros((3, 40), np.int64),
    }
    plain = onnxruntime.SessionOptions()
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    unfused = onnxruntime.InferenceSession(file, plain, providers=["CPUExecutionProvider"])
    real = feed["attention_mask"].astype(bool)
    for found, expected in zip(session.run(None, feed), unfused.run(None, feed), strict=True):
        spread = np.std(expected[real])
        assert np.abs(found - expected)[real].max() <= 0.05 * spread  # what is rounded to the other side
