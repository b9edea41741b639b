"""Inputs of a roofline: a model's multiply-accumulates, and the precision of its matrix products."""

from __future__ import annotations

from pathlib import Path

import onnx

from graphs.errors import GraphError
from graphs.reports.census import take_census
from mbert_onnx.bundles.proto_file import read_proto
from perf.machine.peaks import FLOAT32, INT8

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
    """Returns `int8` for an `.onnx` with matrices of 8 bits, `float32` for one without, "" for other files."""
    if file.suffix != ".onnx":
        return ""
    graph = read_proto(file).graph
    small = {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}
    has_small = any(tensor.data_type in small and len(tensor.dims) >= MATRIX for tensor in graph.initializer)
    return INT8 if has_small else FLOAT32
