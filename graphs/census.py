"""What a graph consists of, and what running it takes: nodes, parameters, multiply-accumulates, memory."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from onnxscript import optimizer

from graphs.reading import read_model

# Initializers of up to this many numbers may be shapes that the inference of shapes needs; larger ones are weights.
SHAPE_CONSTANT = 64

# Dimensions called so are lengths; other unknown ones are batches.
LENGTH_NAMES = ("seq", "length")


@dataclass(frozen=True)
class Port:
    """An input or output: its dimensions are numbers, or names of dynamic ones."""

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None


@dataclass(frozen=True)
class Census:
    """What a graph consists of.

    Args:
        parameters: Numbers in all initializers; a shared one counts once.
        weight_bytes: Their size.
        nodes: How many nodes there are of each type, the most frequent first, functions not counted into.
        macs: Multiply-accumulates of all matrix products at `batch` 1 and `seq_len` tokens; None if some shape could
            not be inferred.
        activation_bytes: The largest sum of tensors alive at one time, in the order of the nodes; None likewise. What
            a runtime allocates differs by its reuse of memory and its workspaces.
    """

    file_bytes: int
    opset: int
    ir_version: int
    producer: str
    inputs: list[Port]
    outputs: list[Port]
    parameters: int
    weight_bytes: int
    nodes: dict[str, int]
    seq_len: int
    macs: int | None
    activation_bytes: int | None

    @property
    def node_count(self) -> int:
        return sum(self.nodes.values())

    @property
    def macs_per_token(self) -> float | None:
        return None if self.macs is None else self.macs / self.seq_len

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "node_count": self.node_count, "macs_per_token": self.macs_per_token}


def take_census(path: Path, seq_len: int = 128) -> Census:
    """Counts a file's graph, with a dynamic length taken as `seq_len`.

    Raises GraphError for a file that cannot be read.
    """
    model = read_model(path)
    graph = model.graph
    inputs, outputs = [_port(v) for v in graph.inputs if not v.is_initializer()], [_port(v) for v in graph.outputs]
    tensors = [v.const_value for v in graph.initializers.values() if v.const_value is not None]
    external = {Path(t.path) for t in tensors if isinstance(t, ir.ExternalTensor)}
    nodes = Counter(f"{node.domain}.{node.op_type}" if node.domain else node.op_type for node in graph)
    ids = [port for port in inputs[:1] if port.dtype.startswith("int")]
    fixed = [size for port in ids for size in (port.shape or ())[-1:] if isinstance(size, int)]
    length = fixed[0] if fixed else seq_len
    parameters, weight_bytes = sum(t.size for t in tensors), sum(t.nbytes for t in tensors)
    shapes = _infer_shapes(model, length)
    return Census(
        file_bytes=path.stat().st_size + sum(p.stat().st_size for p in external),
        opset=model.opset_imports.get("", 0),
        ir_version=model.ir_version,
        producer=" ".join(filter(None, (model.producer_name, model.producer_version))),
        inputs=inputs,
        outputs=outputs,
        parameters=parameters,
        weight_bytes=weight_bytes,
        nodes=dict(nodes.most_common()),
        seq_len=length,
        macs=_macs(shapes),
        activation_bytes=_peak_bytes(shapes),
    )


def _port(value: ir.Value) -> Port:
    shape = (
        None if value.shape is None else tuple(s if isinstance(s, int) else str(s.value or "?") for s in value.shape)
    )
    return Port(value.name or "", "?" if value.dtype is None else value.dtype.name.lower(), shape)


def _infer_shapes(model: ir.Model, seq_len: int) -> ir.Model:
    """The model with batch 1, that length, and every shape that onnx can infer; its weights are taken out."""
    graph = model.graph
    for value in [*graph.inputs]:
        if value.shape is not None:
            value.shape = ir.Shape([_size(dim, seq_len) for dim in value.shape])
    for value in [*graph.outputs, *(output for node in graph for output in node.outputs)]:
        value.shape = None
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is not None and tensor.size > SHAPE_CONSTANT:
            value.shape, value.type = ir.Shape(tensor.shape.numpy()), ir.TensorType(tensor.dtype)
            value.const_value = None
            del graph.initializers[name]
            if value not in graph.inputs:
                graph.inputs.append(value)
    # Sizes that are computed from the inputs' are constants now, which is what the inference of onnx wants.
    optimizer.fold_constants_ir(model)
    return ir.from_proto(onnx.shape_inference.infer_shapes(ir.to_proto(model), data_prop=True))


def _size(dim: int | ir.SymbolicDim, seq_len: int) -> int:
    if isinstance(dim, int):
        return dim
    name = str(dim.value or "").lower()
    return seq_len if any(part in name for part in LENGTH_NAMES) else 1


def _macs(model: ir.Model) -> int | None:
    total = 0
    for node in model.graph:
        if node.op_type not in ("MatMul", "Gemm", "FusedMatMul", "FusedGemm"):
            continue
        left, result = node.inputs[0], node.outputs[0]
        left_shape = None if left is None else _static(left)
        result_shape = _static(result)
        if left_shape is None or result_shape is None:
            return None
        inner = left_shape[-2] if node.attributes.get_int("transA", 0) else left_shape[-1]
        total += math.prod(result_shape) * inner
    return total


def _peak_bytes(model: ir.Model) -> int | None:
    nodes = list(model.graph)
    last_use = {v: index for index, node in enumerate(nodes) for v in node.inputs if v is not None}
    last_use |= {output: len(nodes) for output in model.graph.outputs}
    alive, peak = 0, 0
    sizes: dict[ir.Value, int] = {}
    for index, node in enumerate(nodes):
        for output in node.outputs:
            shape = _static(output)
            if shape is None or output.dtype in (None, ir.DataType.STRING):
                return None
            sizes[output] = math.ceil(math.prod(shape) * output.dtype.itemsize)
            alive += sizes[output]
        peak = max(peak, alive)
        for value in {v for v in (*node.inputs, *node.outputs) if v in sizes}:
            if last_use.get(value, index) <= index:
                alive -= sizes.pop(value)
    return peak


def _static(value: ir.Value) -> list[int] | None:
    if value.shape is None:
        return None
    sizes = [size for size in value.shape if isinstance(size, int)]
    return sizes if len(sizes) == len(value.shape) else None
