"""Into how many parts the nodes that a provider takes fall."""

from __future__ import annotations

from collections.abc import Collection

import onnx


class _Taken:
    """What onnxruntime's checker asks of an operator table, answered for each node."""

    def __init__(self, outputs: Collection[str]) -> None:
        self._outputs = outputs

    def is_op_supported(self, node: onnx.NodeProto) -> bool:
        return node.output[0] in self._outputs


def count_partitions(graph: onnx.GraphProto, outputs: Collection[str]) -> int:
    """The connected groups that onnxruntime makes of the nodes whose first outputs these are.

    Its wheel carries that grouping in Python, beside operator tables of its own, which are coarser than our rules.
    """
    # onnxruntime's tools import torch, where there is one: seconds that nobody who only imports this should wait for.
    from onnxruntime.tools.mobile_helpers.usability_checker import check_partitioning

    return int(check_partitioning(graph, _Taken(outputs), require_fixed_input_sizes=False).num_partitions)
