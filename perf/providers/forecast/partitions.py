"""Partitions: connected groups of the nodes that a provider runs."""

from __future__ import annotations

from collections.abc import Collection

import onnx


class _Taken:
    """The interface of an operator table that onnxruntime's checker expects, with an answer for each node."""

    def __init__(self, outputs: Collection[str]) -> None:
        self._outputs = outputs

    def is_op_supported(self, node: onnx.NodeProto) -> bool:
        return node.output[0] in self._outputs


def count_partitions(graph: onnx.GraphProto, outputs: Collection[str]) -> int:
    """Counts the connected groups that onnxruntime would form of the nodes with these first outputs.

    onnxruntime's wheel has that grouping in Python, with operator tables that are coarser than our rules.
    """
    # Imported here because onnxruntime's tools import torch if it is installed, which takes seconds.
    from onnxruntime.tools.mobile_helpers.usability_checker import check_partitioning

    return int(check_partitioning(graph, _Taken(outputs), require_fixed_input_sizes=False).num_partitions)
