"""Inputs of a roofline: a model's multiply-accumulates, and the precision of its matrix products."""

from __future__ import annotations

from pathlib import Path

import onnx

from graphs.errors import GraphError
from graphs.reports.census import take_census
from mbert_onnx.bundles.proto_file import read_proto
from perf.machine.peaks import FLOAT16, FLOAT32, INT8

MATRIX = 2
"""The rank of a weight; steps and zero points have a lower one."""


def count_macs(file: Path, seq_len: int) -> int | None:
    """Counts multiply-accumulates of one text of `seq_len` tokens; None for other files, or if shapes are unknown."""
    if file.suffix != ".onnx":
        return None
    try:
        census = take_census(file, seq_len)
    except GraphError:
        return None
    return census.macs if census.seq_len == seq_len else None


def precision_of(file: Path) -> str:
    """Returns the smallest type of an `.onnx`'s matrices: `int8`, `fp16` or `float32`; "" for other files."""
    if file.suffix != ".onnx":
        return ""
    graph = read_proto(file).graph
    types = {tensor.data_type for tensor in graph.initializer if len(tensor.dims) >= MATRIX}
    if types & {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}:
        return INT8
    return FLOAT16 if onnx.TensorProto.FLOAT16 in types else FLOAT32
