"""Simplification of the attention mask: four nodes, once for all layers."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common as common_passes
import onnxruntime

from graphs.ir.constants import add_initializer, float_constant
from graphs.ir.masks import is_padding_bias, lowest_half, masked_scores
from graphs.ir.rewrite import Rewrite
from graphs.model.quiet import quiet_options
from graphs.model.sizes import shape_of

# The largest value that a mask may add at padding (transformers 4 and before used −1e4, others the lowest number, or
# −inf).
LARGEST_AT_PADDING = -9999.0

# The largest number that a mask may add at tokens, the same for all of a row; a larger one would round the scores.
LARGEST_SHIFT = 1e-3

# The batches and lengths of the masks that are tried; the lengths distinguish a window or triangle from padding.
TRIED = ((1, 1), (3, 1), (1, 5), (3, 7), (2, 33), (2, 129), (1, 1025))

# The second dimension of a mask of three dimensions.
CHOICES = 2

# A failure on longer masks than this is ignored, since a graph may be built for no more tokens.
LONG_ENOUGH = 129


class SimplifyMask(Rewrite):
    """Computes the mask, 0 for tokens and half of the lowest number for padding, in four nodes.

    Before::

        attention_mask ── Cast ── … Range, Expand, GatherND, And, Where (exporters make up to thirty of it) ──┐
        scores ───────────────────────────────────────────────────────────────────────────────────────────────┴─ Add

    After::

        attention_mask ── Cast ── Unsqueeze ── 1 − ── · lowest/2 ──┐
        scores ────────────────────────────────────────────────────┴─ Add

    A mask is recognised by its values: the nodes between `attention_mask` and the Add run on masks of several sizes.
    They must give 0 where the mask is 1, and `LARGEST_AT_PADDING` or less where it is 0, the same for each row of
    scores. A number that is added to all scores of a row is dropped, since softmax cancels it: transformers' models in
    TensorFlow add 1e-9. A row without a token is not compared: it becomes finite, where it may have been NaN. Masks
    consist of 0 and 1, as in transformers. Masked scores with other readers than softmax are not modified. For multiple
    choice, with an input [batch, choices, length], the mask is the output of the Reshape to rows.
    """

    def rewrite(self, model: ir.Model) -> None:
        written: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}
        seen: dict[ir.Value, ir.Value | None] = {}
        for node in list(model.graph):
            self.matches += _drop_shift(node)
            add = masked_scores(node)
            if add is None or not _only_softmax_reads(add.outputs[0]):
                continue
            for index, bias in enumerate(add.inputs):
                if bias is None or is_padding_bias(bias):
                    continue
                if bias not in seen:
                    seen[bias] = self._source(model, add, bias)
                mask = seen[bias]
                if mask is None or bias.dtype is None:
                    continue
                key = (mask, bias.dtype)
                if key not in written:
                    written[key] = _write(model.graph, mask, bias.dtype)
                add.replace_input_with(index, written[key])
                self.matches += 1
        if self.matches:
            common_passes.RemoveUnusedNodesPass()(model)

    def _source(self, model: ir.Model, add: ir.Node, bias: ir.Value) -> ir.Value | None:
        """Returns the mask [rows, length] from which `bias` is computed; None for any other bias."""
        found = _inputs_behind(bias)
        if found is None or len(found) != 1:
            return None
        given = found.pop()
        mask = _as_rows(given, bias)
        if mask is None or given.dtype not in (ir.DataType.INT64, ir.DataType.INT32):
            return None
        reason = _differs(model, given, bias)
        if reason:
            self.miss(add, f"the tensor added to the scores is not a padding mask: {reason}")
            return None
        return mask


def _drop_shift(softmax: ir.Node) -> bool:
    """Makes a softmax read scores without the number that is added to all of them; returns whether there was one."""
    x = softmax.inputs[0] if softmax.op_type == "Softmax" and softmax.domain == "" else None
    add = None if x is None else x.producer()
    if x is None or add is None or add.op_type != "Add" or add.domain != "":
        return False
    for scores, number in (add.inputs, reversed(add.inputs)):
        shift = float_constant(number)
        if scores is None or shift is None or shift.size != 1 or not np.isfinite(shift).all():
            continue
        if scores.shape is not None and shift.ndim <= len(scores.shape):
            softmax.replace_input_with(0, scores)
            if not x.uses() and not x.is_graph_output() and add.graph is not None:
                add.graph.remove(add, safe=True)  # else it would count as another reader of the scores
            return True
    return False


def _as_rows(given: ir.Value, bias: ir.Value) -> ir.Value | None:
    """Returns an input [rows, length], or the value that reshapes an input [batch, choices, length] to that."""
    shape = shape_of(given)
    if shape is None or len(shape) == 2:
        return None if shape is None else given
    if len(shape) != 3 or shape[-1] is None:
        return None
    for node in _nodes_behind(bias):
        rows = shape_of(node.outputs[0])
        if node.op_type == "Reshape" and node.inputs[0] is given and rows is not None and rows[1:] == shape[2:]:
            return node.outputs[0]
    return None


def _only_softmax_reads(scores: ir.Value) -> bool:
    return not scores.is_graph_output() and all(use.node.op_type == "Softmax" for use in scores.uses())


def _write(graph: ir.Graph, mask: ir.Value, dtype: ir.DataType) -> ir.Value:
    """Inserts the four nodes after the mask's node, or before all nodes if the mask is an input."""
    wide = None if mask.shape is None else ir.Shape([mask.shape[0], 1, 1, mask.shape[1]])
    one = add_initializer(graph, "one", np.array(1.0, dtype=dtype.numpy()))
    axes = add_initializer(graph, "mask_axes", np.array([1, 2], dtype=np.int64))
    padding = add_initializer(graph, "padding", np.array(lowest_half(dtype), dtype=dtype.numpy()))
    kind = ir.TensorType(dtype)
    nodes: list[ir.Node] = []

    def node(op_type: str, inputs: list[ir.Value], shape: ir.Shape | None, **attributes: int) -> ir.Value:
        output = ir.Value(shape=shape, type=kind)
        nodes.append(ir.node(op_type, inputs, attributes=attributes, outputs=[output]))
        return output

    real = node("Cast", [mask], mask.shape, to=int(dtype))
    real = node("Unsqueeze", [real, axes], wide)
    result = node("Mul", [node("Sub", [one, real], wide), padding], wide)
    producer = mask.producer()
    if producer is None:
        graph.insert_before(next(iter(graph)), nodes)
    else:
        graph.insert_after(producer, nodes)
    return result


def _inputs_behind(value: ir.Value) -> set[ir.Value] | None:
    """Returns the graph inputs whose numbers, not only shapes, a value depends on; None if that is unknown."""
    found, seen, waiting = set[ir.Value](), set[ir.Value](), [value]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        node = current.producer()
        if node is None:
            if current.is_graph_input():
                found.add(current)
            elif not current.is_initializer():
                return None
        elif node.op_type != "Shape":
            if any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values()):
                return None
            waiting += [x for x in node.inputs if x is not None]
    return found


def _differs(model: ir.Model, given: ir.Value, bias: ir.Value) -> str | None:
    """Runs the nodes between an input and a bias; returns why it is not a padding mask, or None if it is one."""
    session = _session(model, bias)
    if session is None:
        return "the nodes before it read other tensors, or do not run alone"
    for sizes in _tried(given):
        real = _random_mask(math.prod(sizes[:-1]), sizes[-1])
        feed = {
            value.name: real.reshape(sizes).astype(_numpy_type(value.type))
            if value.name == given.name
            else np.zeros(_shape_like(value.shape, given, sizes), dtype=_numpy_type(value.type))
            for value in session.get_inputs()
        }
        try:
            found = session.run(None, feed)[0]
        except Exception as error:  # onnxruntime's errors have no common class
            if sizes[-1] > LONG_ENOUGH:
                continue
            return f"it does not run alone on a mask of {list(sizes)}: {str(error).splitlines()[0]}"
        reason = _compare(found, real)
        if reason:
            return reason
    return None


def _random_mask(rows: int, length: int) -> np.ndarray:
    """Returns a random mask with at least one token in each row, since rows without a token are not compared."""
    rng = np.random.default_rng(length)
    real = rng.integers(0, 2, (rows, length))
    real[np.arange(rows), rng.integers(0, length, rows)] = 1
    return real


def _compare(found: np.ndarray, real: np.ndarray) -> str | None:
    """Returns the first difference of a bias from that of a padding mask; None if there is none.

    It may have any one number at the tokens of a row, which softmax cancels.
    """
    rows, length = real.shape
    if found.ndim > 4 or (found.shape or (1,))[-1] not in (1, length):
        return f"its shape is {list(found.shape)} for a mask of {[rows, length]}"
    found = np.broadcast_to(found, np.broadcast_shapes(found.shape, (rows, 1, 1, length)))
    wide = np.broadcast_to(real[:, None, None, :], found.shape)
    shift = np.where(wide == 1, found, -np.inf).max(axis=-1, keepdims=True)
    if (found != shift)[wide == 1].any() or not (np.abs(shift) <= LARGEST_SHIFT).all():
        return "it changes the scores of tokens"
    found = found - shift
    if not (found[wide == 0] <= LARGEST_AT_PADDING).all():
        return f"it lets padding in, with {found[wide == 0].max():g}; expected at most {LARGEST_AT_PADDING:g}"
    return None


def _session(model: ir.Model, bias: ir.Value) -> onnxruntime.InferenceSession | None:
    graph = model.graph
    nodes = _nodes_behind(bias)
    needed = {x for node in nodes for x in node.inputs if x is not None}
    inputs = [v for v in graph.inputs if v in needed and not v.is_initializer()]
    if any(v.dtype is None or v.shape is None for v in inputs):
        return None
    for value in [*needed, bias]:
        if value.name is None:
            return None
    part = onnx.GraphProto(name="mask")
    part.input.extend(ir.to_proto(v) for v in inputs)
    kept = set(nodes)
    part.node.extend(ir.to_proto(node) for node in graph if node in kept)
    for value in needed:
        if value.is_initializer() and value.const_value is not None:
            tensor = ir.to_proto(value.const_value)
            tensor.name = str(value.name)
            part.initializer.append(tensor)
    part.output.add(name=bias.name).type.tensor_type.elem_type = int(bias.dtype or ir.DataType.FLOAT)
    imports = [onnx.helper.make_opsetid(domain, version) for domain, version in model.opset_imports.items()]
    proto = onnx.helper.make_model(part, opset_imports=imports, ir_version=min(model.ir_version, 10))
    try:
        return onnxruntime.InferenceSession(
            proto.SerializeToString(), quiet_options(), providers=["CPUExecutionProvider"]
        )
    except Exception:  # onnxruntime's errors have no common class
        return None


def _nodes_behind(value: ir.Value) -> list[ir.Node]:
    nodes, waiting = dict[ir.Node, None](), [value.producer()]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in nodes:
            nodes[node] = None
            waiting += [x.producer() for x in node.inputs if x is not None]
    return list(nodes)


def _tried(given: ir.Value) -> Iterator[tuple[int, ...]]:
    """Returns the sizes to try for an input whose last dimension is the length; fixed dimensions keep their size."""
    dims = shape_of(given) or []
    tried = [(rows, length) if len(dims) == 2 else (rows, CHOICES, length) for rows, length in TRIED]
    yield from dict.fromkeys(
        tuple(dim if isinstance(dim, int) else size for dim, size in zip(dims, sizes, strict=True)) for sizes in tried
    )


def _shape_like(dims: list[int | str | None], given: ir.Value, sizes: tuple[int, ...]) -> list[int]:
    """Returns a shape for another input: the mask's for one of the same rank, else with dynamic dimensions of 1."""
    if len(dims) == len(sizes):
        return list(sizes)
    named = dict(zip(map(str, shape_of(given) or []), sizes, strict=False))
    return [dim if isinstance(dim, int) else named.get(str(dim), 1) for dim in dims]


def _numpy_type(name: str) -> np.dtype:
    return onnx.helper.tensor_dtype_to_np_dtype(
        onnx.TensorProto.DataType.Value(name.removeprefix("tensor(").removesuffix(")").upper())
    )
