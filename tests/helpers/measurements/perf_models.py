"""Tiny .onnx models for the tests of `perf`, one knob for each thing that a signature may hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Dim = int | str | None
VOCAB_SIZE = 50
WIDTH = 8


def token_model(
    path: Path,
    *,
    shape: Sequence[Dim] = ("batch", "seq"),
    integer: int = TensorProto.INT64,
    mask: int | None = None,
    extra: Sequence[str] = (),
    external: bool = False,
    seed: int = 0,
    rows: Mapping[int, float] | None = None,
) -> Path:
    """Writes Gather(table, input_ids) @ weight, and one identity for every further input; `rows` sets rows of it."""
    table = np.random.default_rng(seed).normal(size=(VOCAB_SIZE, WIDTH)).astype(np.float32)
    for row, value in (rows or {}).items():
        table[row] = value
    weights = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(np.eye(WIDTH, dtype=np.float32), "weight"),
    ]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["embedded"]),
        helper.make_node("MatMul", ["embedded", "weight"], ["logits"]),
    ]
    inputs = [helper.make_tensor_value_info("input_ids", integer, shape)]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [*shape, WIDTH])]
    others = dict.fromkeys(extra, integer) | ({"attention_mask": mask} if mask is not None else {})
    for name, element in others.items():
        inputs.append(helper.make_tensor_value_info(name, element, shape))
        outputs.append(helper.make_tensor_value_info(f"{name}_out", element, shape))
        nodes.append(helper.make_node("Identity", [name], [f"{name}_out"]))
    graph = helper.make_graph(nodes, "tokens", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path, save_as_external_data=external, location=f"{path.name}.data", size_threshold=0)
    return path
