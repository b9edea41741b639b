"""Graphs as ONNX text, compared by structure, and judged in float64 by the numbers they compute."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Mapping, Sequence
from typing import SupportsIndex

import numpy as np
import onnx
import onnx.reference
import onnx_ir as ir
import onnxruntime
from onnx import TensorProto, numpy_helper

OPSET = 18

# Dynamic dimensions, in feeds. All different, and none is a width that the tests use.
SIZES = {"b": 2, "s": 5, "n": 7, "T": 5}

# A rewritten graph may be this far from float64, or 4 times as far as the graph it was made from.
TOLERANCE = 1e-5

# One layer of a MobileBERT, for one head, with its mask: hidden_size 8, intra_bottleneck_size 4.
LAYER = """(float[n, 8] embeddings, float[1, n] mask) => (float[n, 8] hidden)
<float[8] g0, float[8] beta0,
 float[8, 4] "layer.0.input", float[4] input_bias, float[4] g1, float[4] beta1,
 float[8, 4] "layer.0.shared", float[4] shared_bias, float[4] g2, float[4] beta2,
 float[4, 4] "layer.0.query", float[4] query_bias, float[4, 4] "layer.0.key", float[4] key_bias,
 float[8, 4] "layer.0.value", float[4] value_bias, float[1] root,
 float[4, 4] "layer.0.attention", float[4] attention_bias, float[4] g3, float[4] beta3,
 float[4, 6] "layer.0.intermediate", float[6] intermediate_bias,
 float[6, 4] "layer.0.ffn", float[4] ffn_bias, float[4] g4, float[4] beta4,
 float[4, 8] "layer.0.output", float[8] output_bias, float[8] g5, float[8] beta5>
{
    scaled0 = Mul(embeddings, g0)
    x = Add(scaled0, beta0)
    bottleneck = Gemm(x, "layer.0.input", input_bias)
    scaled1 = Mul(bottleneck, g1)
    inner = Add(scaled1, beta1)
    bottleneck2 = Gemm(x, "layer.0.shared", shared_bias)
    scaled2 = Mul(bottleneck2, g2)
    shared = Add(scaled2, beta2)
    query = Gemm(shared, "layer.0.query", query_bias)
    key = Gemm(shared, "layer.0.key", key_bias)
    value = Gemm(x, "layer.0.value", value_bias)
    keys = Transpose(key)
    scaled_query = Div(query, root)
    scores = MatMul(scaled_query, keys)
    masked = Add(scores, mask)
    probabilities = Softmax(masked)
    context = MatMul(probabilities, value)
    attended = Gemm(context, "layer.0.attention", attention_bias)
    sum3 = Add(attended, inner)
    scaled3 = Mul(sum3, g3)
    attention = Add(scaled3, beta3)
    wide = Gemm(attention, "layer.0.intermediate", intermediate_bias)
    active = Relu(wide)
    fed = Gemm(active, "layer.0.ffn", ffn_bias)
    sum4 = Add(fed, attention)
    scaled4 = Mul(sum4, g4)
    ffn = Add(scaled4, beta4)
    outer = Gemm(ffn, "layer.0.output", output_bias)
    sum5 = Add(outer, x)
    scaled5 = Mul(sum5, g5)
    hidden = Add(scaled5, beta5)
}"""

Arrays = dict[str, np.ndarray]


class Text(str):
    """A graph as text, of which cases are made by replacing a part; one that is not there is a mistake of the test."""

    __slots__ = ()

    def replace(self, old: str, new: str, count: SupportsIndex = -1, /) -> Text:
        assert old in self, old
        return Text(super().replace(old, new, count))


def graph(text: str, **values: np.ndarray) -> ir.Model:
    """A model from text, such as ``(float[n, 4] x) => (float[n, 3] y) <float[4, 3] W> { y = MatMul(x, W) }``.

    Args:
        text: constants are declared between the signature and the body; no two of a text are equal.
        values: of constants, by name; the others are random.
    """
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : {OPSET}]> g {text}')
    produced = {name for node in proto.graph.node for name in node.output}
    for info in [info for info in proto.graph.value_info if info.name not in produced]:
        shape = [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        array = values[info.name] if info.name in values else _weight(info.name, shape)
        assert list(array.shape) == shape, info.name
        dtype = onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
        proto.graph.initializer.append(numpy_helper.from_array(array.astype(dtype), info.name))
        proto.graph.value_info.remove(info)
    assert values.keys() <= {tensor.name for tensor in proto.graph.initializer}
    return ir.from_proto(onnx.shape_inference.infer_shapes(proto, check_type=True, strict_mode=True))


def _weight(name: str, shape: Sequence[int]) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return rng.normal(size=shape) / (np.sqrt(shape[0]) if len(shape) > 1 else 1)


def constant(model: ir.Model, name: str) -> np.ndarray:
    """The numbers of an initializer, float64."""
    tensor = model.graph.initializers[name].const_value
    assert tensor is not None
    return tensor.numpy().astype(np.float64)


def random_feed(model: ir.Model, seed: int = 0) -> Arrays:
    rng = np.random.default_rng(seed)
    feed = {}
    for value in model.graph.inputs:
        if value.is_initializer():
            continue
        assert value.shape is not None
        assert value.name is not None
        shape = [dim if isinstance(dim, int) else SIZES[str(dim.value)] for dim in value.shape]
        if value.dtype == ir.DataType.FLOAT:
            feed[value.name] = rng.normal(size=shape).astype(np.float32)
        else:
            assert value.dtype is not None
            feed[value.name] = rng.integers(0, 2, size=shape).astype(value.dtype.numpy())
    return feed


def run(model: ir.Model, feed: Mapping[str, np.ndarray]) -> Arrays:
    """The outputs by name, in float32, node by node as the graph says it."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    data = ir.to_proto(model).SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feed)), strict=True))


def run_in_float64(model: ir.Model, feed: Mapping[str, np.ndarray]) -> Arrays:
    """What the graph's float32 weights say, computed by numpy in float64."""
    proto = ir.to_proto(model)
    _widen(proto.graph)
    wide = {name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in feed.items()}
    names = [output.name for output in proto.graph.output]
    return dict(zip(names, onnx.reference.ReferenceEvaluator(proto).run(names, wide), strict=True))


def _widen(proto: onnx.GraphProto) -> None:
    for tensor in proto.initializer:
        _widen_tensor(tensor)
    for info in [*proto.input, *proto.output, *proto.value_info]:
        if info.type.tensor_type.elem_type == TensorProto.FLOAT:
            info.type.tensor_type.elem_type = TensorProto.DOUBLE
    for node in proto.node:
        for attribute in node.attribute:
            _widen_tensor(attribute.t)
            _widen(attribute.g)
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.DOUBLE


def _widen_tensor(tensor: TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))


def error(actual: np.ndarray, judge: np.ndarray) -> float:
    """‖a−b‖ / ‖b‖."""
    assert actual.shape == judge.shape
    size = np.linalg.norm(judge.astype(np.float64))
    return float(np.linalg.norm(actual.astype(np.float64) - judge) / (size if size else 1.0))


def same_numbers(before: ir.Model, after: ir.Model, feed: Mapping[str, np.ndarray] | None = None) -> None:
    """Both compute the same, up to what float32 loses in the first."""
    feed = random_feed(before) if feed is None else feed
    found, given, judge = run(after, feed), run(before, feed), run_in_float64(before, feed)
    assert list(found) == list(given)
    for name, expected in judge.items():
        assert np.isfinite(expected).all(), f"{name}: a poor example"
        bound = max(TOLERANCE, 4 * error(given[name], expected))
        assert error(found[name], expected) <= bound, name


def structure(model: ir.Model | onnx.GraphProto) -> str:
    """The graph as text with one line per node, the same for any order of nodes and any names within.

    Names of inputs, outputs and constants count, with `.` as `_`.
    """
    proto = ir.to_proto(model).graph if isinstance(model, ir.Model) else model
    return "\n".join(_lines(proto, {}))


def _lines(proto: onnx.GraphProto, outer: Mapping[str, str]) -> list[str]:
    producers = {name: node for node in proto.node for name in node.output}
    kept = {value.name for value in [*proto.input, *proto.output]}
    names, lines = dict(outer), list[str]()

    def name_of(value: str) -> str:
        if value not in names and value in producers:
            write(producers[value])
        return names.get(value, value.replace(".", "_"))

    def write(node: onnx.NodeProto) -> None:
        inputs = [name_of(value) for value in node.input]
        attributes = []
        for attribute in sorted(node.attribute, key=lambda a: a.name):
            if attribute.type == onnx.AttributeProto.GRAPH:
                for inner in attribute.g.node:
                    for value in inner.input:
                        name_of(value)  # what a subgraph reads stands before it
                attributes.append(f"{attribute.name}={{{'; '.join(_lines(attribute.g, names))}}}")
            else:
                attributes.append(f"{attribute.name}={onnx.helper.get_attribute_value(attribute)}")
        number = len(lines)
        for index, value in enumerate(node.output):
            names[value] = value if value in kept else f"v{number}.{index}"
        results = ", ".join(names[value] for value in node.output)
        extra = f" <{', '.join(attributes)}>" if attributes else ""
        lines.append(f"{results} = {node.op_type}{extra}({', '.join(inputs)})")

    for value in proto.output:
        name_of(value.name)
    for node in proto.node:  # what no output needs
        name_of(node.output[0])
    return lines


def signature(model: ir.Model) -> list[onnx.ValueInfoProto]:
    """Inputs and outputs, in order: names, types and shapes."""
    proto = ir.to_proto(model).graph
    return [*proto.input, *proto.output]


def becomes(
    step: ir.passes.PassBase,
    before: ir.Model,
    body: str,
    feed: Mapping[str, np.ndarray] | None = None,
    again: bool = True,
    exact: bool = True,
) -> ir.Model:
    """Asserts that a pass makes this of a graph, computing the same; returns it.

    Args:
        step: the pass.
        before: left as it was.
        body: the nodes expected, as text.
        feed: the inputs to compare on; default: random.
        again: whether a second run must change nothing.
        exact: whether both must compute the same.
    """
    after = before.clone()
    assert step(after).modified, "the pass says that it changed nothing"
    outputs = ", ".join(f"float[1] {value.name}" for value in before.graph.outputs)
    inputs = ", ".join(f"float[1] {value.name}" for value in before.graph.inputs)
    expected = onnx.parser.parse_graph(f"g ({inputs}) => ({outputs}) {{ {body} }}")
    assert structure(after) == structure(expected)
    valid(before, after)
    if exact:
        same_numbers(before, after, feed)
    if again:
        leaves_alone(copy.copy(step), after)
    return after


def valid(before: ir.Model, after: ir.Model) -> None:
    """A correct model, whose inputs and outputs are those of `before`."""
    assert signature(after) == signature(before)
    onnx.checker.check_model(ir.to_proto(after), full_check=True)


def leaves_alone(step: ir.passes.PassBase, model: ir.Model) -> None:
    """Asserts that a pass changes nothing, and says so."""
    before, after = ir.to_proto(model), model.clone()
    modified = step(after).modified
    assert structure(after) == structure(model)
    assert ir.to_proto(after) == before
    assert not modified, "the pass says that it changed something"


def computed(model: ir.Model, feed: Arrays, dtype: type | np.dtype) -> np.ndarray:
    """The first output of a model as it is, without onnxruntime's own rewrites; floats are given in this type."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = ir.to_proto(model).SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, {k: v if v.dtype.kind == "i" else v.astype(dtype) for k, v in feed.items()})[0]
