"""Costs of a graph: multiply-accumulates, memory of activations, bytes of weights."""

from __future__ import annotations

import math

import onnx
import onnx_ir as ir
import onnx_ir.passes.common as common_passes

from graphs.model.constant_folding import fold_small_constants

# Initializers of up to this many numbers may be shapes, which shape inference needs; larger ones are weights.
SHAPE_CONSTANT = 64

# The operators that are matrix products.
PRODUCTS = ("MatMul", "Gemm", "MatMulInteger", "FusedMatMul", "FusedGemm")

# Dimensions whose name contains one of these are lengths; other dynamic ones are batches.
LENGTH_NAMES = ("seq", "length")

# The types of ids.
INTEGERS = (ir.DataType.INT64, ir.DataType.INT32)


def sized(model: ir.Model, seq_len: int) -> ir.Model:
    """Returns a copy with batch 1, this length, inlined functions, all shapes that onnx can infer, and no weights."""
    copy = model.clone()
    if copy.functions:
        common_passes.InlinePass()(copy)
    graph = copy.graph
    lengths = _lengths(graph)
    for value in graph.inputs:
        if value.shape is not None:
            value.shape = ir.Shape([_size(dim, seq_len, lengths) for dim in value.shape])
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
    # Sizes that are computed from the inputs' sizes are constants now; onnx's inference needs them folded.
    fold_small_constants(copy)
    return ir.from_proto(onnx.shape_inference.infer_shapes(ir.to_proto(copy), data_prop=True))


def _lengths(graph: ir.Graph) -> set[str]:
    """Returns the names of dimensions that are lengths: by their names, else the last ones of ids of a text."""
    dims = {value: list(value.shape or ()) for value in graph.inputs}
    names = {str(dim.value) for found in dims.values() for dim in found if not isinstance(dim, int) and dim.value}
    lengths = {name for name in names if any(part in name.lower() for part in LENGTH_NAMES)}
    if lengths:
        return lengths
    last = [found[-1] for value, found in dims.items() if len(found) > 1 and value.dtype in INTEGERS]
    return {str(dim.value) for dim in last if not isinstance(dim, int) and dim.value}


def _size(dim: int | ir.SymbolicDim, seq_len: int, lengths: set[str]) -> int:
    if isinstance(dim, int):
        return dim
    return seq_len if dim.value in lengths else 1


def macs(model: ir.Model) -> int | None:
    """Counts the multiply-accumulates of all matrix products of a sized model; None if a shape is unknown."""
    total = 0
    for node in model.graph:
        if node.op_type not in PRODUCTS:
            continue
        left, result = node.inputs[0], node.outputs[0]
        left_shape = None if left is None else _static(left)
        result_shape = _static(result)
        if left_shape is None or result_shape is None:
            return None
        inner = left_shape[-2] if node.attributes.get_int("transA", 0) else left_shape[-1]
        total += math.prod(result_shape) * inner
    return total


def peak_bytes(model: ir.Model) -> int | None:
    """Returns the most bytes of live tensors, in the order of a sized model's nodes; None if a shape is unknown."""
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


def weight_bytes(model: ir.Model) -> int:
    """Returns the bytes of all initializers that are read."""
    read = [v for v in model.graph.initializers.values() if v.uses() or v.is_graph_output()]
    return sum(v.const_value.nbytes for v in read if v.const_value is not None)


def _static(value: ir.Value) -> list[int] | None:
    if value.shape is None:
        return None
    sizes = [size for size in value.shape if isinstance(size, int)]
    return sizes if len(sizes) == len(value.shape) else None
