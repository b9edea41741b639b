"""Runner of in-memory models in onnxruntime, without writing their weights to a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime

from graphs.execution.inputs.filled import filled
from graphs.execution.types import Feed, Outputs, Runner
from graphs.model.quiet import quiet_options

# Weights of more bytes than this are handed to onnxruntime in memory; smaller ones are part of the serialized graph.
SMALL_WEIGHT = 1024

# The file name of such weights. onnxruntime requires one, and never opens it.
IN_MEMORY = "in_memory"


def run(model: ir.Model, feed: Feed, also: Mapping[str, ir.DataType] | None = None) -> Outputs:
    """Runs a model on one feed; see `runner`."""
    return runner(model, also)(feed)


def runner(model: ir.Model, also: Mapping[str, ir.DataType] | None = None, *, optimized: bool = False) -> Runner:
    """Returns a function that runs a model's nodes as they are, without onnxruntime's optimisations.

    Args:
        model: Any model that onnxruntime runs; it is not modified.
        also: Values of the main graph to return besides the outputs, and their types.
        optimized: Whether onnxruntime applies its default optimisations, as for users.

    Returns:
        A function from inputs to the outputs and those values, by name. It holds the model's weights. Inputs that a
        feed lacks, such as labels, are filled: see `filled`.

    This function and the returned one raise onnxruntime's errors.
    """
    proto, weights = _without_weights(model)
    present = {output.name for output in proto.graph.output}
    for name, dtype in (also or {}).items():
        if name not in present:
            proto.graph.output.add(name=name).type.tensor_type.elem_type = int(dtype)
    options = quiet_options()
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # For a few runs, packing the weights costs more than it saves.
    options.add_session_config_entry("session.disable_prepacking", "1")
    # The session reads these arrays, so they must live as long as it does.
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
    if weights:
        options.add_external_initializers(list(weights), values)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in proto.graph.output]
    inputs = session.get_inputs()

    def call(feed: Feed, _held: object = (values, weights)) -> Outputs:
        return dict(zip(names, session.run(names, filled(feed, inputs)), strict=True))

    return call


def run_file(path: Path, feed: Feed, own_names: Mapping[str, str] | None = None) -> Outputs:
    """Runs a file with onnxruntime's default optimisations, as users do.

    Args:
        path: The file.
        feed: Inputs by name; inputs that it lacks are filled, as by `runner`.
        own_names: The file's own names of inputs, by the feed's names, where they differ.

    Raises onnxruntime's errors.
    """
    session = onnxruntime.InferenceSession(path, quiet_options(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    renamed = {(own_names or {}).get(name, name): array for name, array in feed.items()}
    return dict(zip(names, session.run(names, filled(renamed, session.get_inputs())), strict=True))


def _without_weights(model: ir.Model) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """Returns the model without its large weights, and these weights by name."""
    kept: dict[ir.Value, ir.TensorProtocol] = {}
    weights: dict[str, np.ndarray] = {}
    try:
        for value in [value for graph in model.graphs() for value in graph.initializers.values()]:
            tensor, name = value.const_value, value.name or ""
            if tensor is None:
                continue
            if value.graph is model.graph and tensor.nbytes > SMALL_WEIGHT and tensor.dtype.numpy().kind in "fiu":
                kept[value] = tensor
                weights[name] = np.ascontiguousarray(tensor.numpy())
                shape = ir.Shape(tensor.shape.numpy())
                value.const_value = ir.ExternalTensor(IN_MEMORY, 0, tensor.nbytes, tensor.dtype, shape=shape, name=name)
            elif isinstance(tensor, ir.ExternalTensor):  # onnxruntime does not know the folder
                kept[value] = tensor
                value.const_value = ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=name)
        # onnxruntime drops initializers that nothing reads, and then refuses values for them.
        unread = {v.name for v in kept if v.name in weights and not v.uses() and not v.is_graph_output()}
        proto = ir.to_proto(model)
        found = [tensor for tensor in proto.graph.initializer if tensor.name not in unread]
        del proto.graph.initializer[:]
        proto.graph.initializer.extend(found)
        return proto, {name: array for name, array in weights.items() if name not in unread}
    finally:
        for value, tensor in kept.items():
            value.const_value = tensor
