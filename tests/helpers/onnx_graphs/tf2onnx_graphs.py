"""A small TFMobileBertForQuestionAnswering as tf2onnx writes it: its names, its masks, and its sizes in int32.

Written by hand from transformers' TensorFlow model and tf2onnx's handlers, since TensorFlow is not installed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROWS, HIDDEN, INNER, WIDE, EMBEDDED, HEADS, POSITIONS = 300, 64, 32, 48, 24, 4, 64
LAST = 2**31 - 1
NAMES = ("input_ids", "attention_mask", "token_type_ids")
OUTPUTS = ("end_logits", "start_logits")

# Masks, by what they add at padding and at tokens: (1 − mask)·−10000 and others that exporters of TensorFlow write.
MASKS = ("reshape", "sub", "square", "lowest", "shifted")
DENSE = ("tensordot", "matmul", "einsum")


class Graph:
    """Nodes in order, with constants and names as tf2onnx gives them."""

    def __init__(self, seed: int) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.random = np.random.default_rng(seed)

    def add(self, op_type: str, inputs: Sequence[str], name: str, count: int = 1, **attributes: Any) -> str:
        """Adds a node; returns its first output, `name:0`."""
        outputs = [f"{name}:{index}" for index in range(count)]
        self.nodes.append(helper.make_node(op_type, list(inputs), outputs, name=name, **attributes))
        return outputs[0]

    def constant(self, name: str, array: object, dtype: type = np.float32) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.asarray(array, dtype), name)
        return name

    def integers(self, *numbers: int, dtype: type = np.int64) -> str:
        return self.constant(f"const_fold_opt__{dtype.__name__}_{'_'.join(map(str, numbers))}", numbers, dtype)

    def weight(self, name: str, *shape: int) -> str:
        """A random weight; of one dimension near 1 for `weight`, and near 0 for a bias."""
        scale = 0.3 if len(shape) == 1 else shape[0] ** -0.5
        offset = 1.0 if name.split("/")[-1].startswith("mul") else 0.0
        return self.constant(f"{name}/ReadVariableOp:0", offset + scale * self.random.standard_normal(shape))

    def sizes(self, x: str, name: str, *axes: int) -> list[str]:
        """The sizes of some axes, each int32 `[]`: Shape, Cast, StridedSlice."""
        shape = self.add("Cast", [self.add("Shape", [x], f"{name}/Shape__7")], f"{name}/Shape", to=TensorProto.INT32)
        found = []
        for axis in axes:
            bounds = [self.integers(axis), self.integers(axis + 1), self.integers(0)]
            part = self.add("Slice", [shape, *bounds], f"{name}/size_{axis}__1")
            found.append(self.add("Squeeze", [part, self.integers(0)], f"{name}/size_{axis}"))
        return found

    def pack(self, sizes: Sequence[str | int], name: str) -> str:
        """A target of Reshape, from sizes in int32: Unsqueeze, Concat, Cast."""
        parts = [
            self.integers(size, dtype=np.int32)
            if isinstance(size, int)
            else self.add("Unsqueeze", [size, self.integers(0)], f"{name}/shape_Unsqueeze__{index}")
            for index, size in enumerate(sizes)
        ]
        joined = self.add("Concat", parts, f"{name}/shape_Concat", axis=0)
        return self.add("Cast", [joined], f"{name}/shape__11", to=TensorProto.INT64)

    def dense(self, x: str, name: str, width: int, depth: int, how: str) -> str:
        """A Keras Dense on three dimensions, as Tensordot, MatMul or Einsum."""
        kernel = self.weight(f"{name}/Tensordot", depth, width)
        if how == "tensordot":
            target = self.integers(-1, depth)
            flat = self.add(
                "MatMul",
                [self.add("Reshape", [x, target], f"{name}/Tensordot/Reshape"), kernel],
                f"{name}/Tensordot/MatMul",
            )
            shape = self.add(
                "Cast",
                [self.add("Shape", [x], f"{name}/Tensordot/Shape__3")],
                f"{name}/Tensordot/Shape",
                to=TensorProto.INT32,
            )
            free = self.add("Gather", [shape, self.integers(0, 1)], f"{name}/Tensordot/GatherV2", axis=0)
            joined = self.add(
                "Concat", [free, self.integers(width, dtype=np.int32)], f"{name}/Tensordot/concat", axis=0
            )
            wide = self.add("Cast", [joined], f"{name}/Tensordot__5", to=TensorProto.INT64)
            product = self.add("Reshape", [flat, wide], f"{name}/Tensordot")
        elif how == "einsum":
            product = self.add("Einsum", [x, kernel], f"{name}/einsum/Einsum", equation="abc,cd->abd")
        else:
            product = self.add("MatMul", [x, kernel], f"{name}/Tensordot")
        return self.add("Add", [product, self.weight(f"{name}/BiasAdd", width)], f"{name}/BiasAdd")

    def no_norm(self, x: str, name: str, width: int) -> str:
        scaled = self.add("Mul", [x, self.weight(f"{name}/mul", width)], f"{name}/mul")
        return self.add("Add", [scaled, self.weight(f"{name}/add", width)], f"{name}/add")


def tf_mobilebert(
    *,
    layers: int = 2,
    mask: str = "reshape",
    dense: str = "tensordot",
    shift: float = 1e-9,
    names: Sequence[str] = NAMES,
    outputs: Sequence[str] = OUTPUTS,
    one_hot: bool = False,
    keras: bool = False,
    networks: int = 2,
    opset: int = 14,
    seed: int = 0,
) -> onnx.ModelProto:
    """The model, for question answering.

    Args:
        layers: Their number.
        mask: How the mask becomes a bias of the scores: one of `MASKS`, or `weak`, which lets padding in.
        dense: How a product of three dimensions is written: one of `DENSE`.
        shift: The number that `stable_softmax` adds to all scores; 0 leaves the node out.
        names: Of ids, mask and token types.
        outputs: Names of the end and start logits, which Keras sorts by name.
        one_hot: Whether words are looked up in one row, and token types by a product, as in Google's own code.
        keras: Whether attention is Keras's MultiHeadAttention: Einsum, with heads in the weights. Layers then have the
            model garden's names.
        networks: Feed-forward networks of a layer.
        opset: The opset.
        seed: Seed of the weights.
    """
    graph, root = Graph(seed), "tf_mobile_bert_for_question_answering/mobilebert"
    ids, given, types = names
    bias = _mask(graph, given, mask, f"{root}")
    h = _embeddings(graph, ids, types, f"{root}/embeddings", dense, one_hot)
    for layer in range(layers):
        name = f"mobile_bert_encoder/transformer_layer_{layer}" if keras else f"{root}/encoder/layer_._{layer}"
        h = _layer(graph, h, bias, name, dense, shift, networks, keras)
    logits = graph.dense(h, "tf_mobile_bert_for_question_answering/qa_outputs", 2, HIDDEN, dense)
    split = graph.add("Split", [logits], "tf_mobile_bert_for_question_answering/split", count=2, axis=2)
    for part, name in zip((split, split.replace(":0", ":1")), reversed(outputs), strict=True):
        graph.nodes.append(helper.make_node("Squeeze", [part, graph.integers(2)], [name], name=f"{name}_squeeze"))
    axes = ["unk__520", "unk__521"]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT32, axes) for name in sorted(names)]
    found = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["unk__522", "unk__523"]) for name in outputs]
    made = helper.make_graph(graph.nodes, "tf2onnx", inputs, found, list(graph.constants.values()))
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", opset)], producer_name="tf2onnx", ir_version=8
    )
    onnx.checker.check_model(model)
    return model


def feed(model: onnx.ModelProto, names: Sequence[str] = NAMES, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs of the model: two texts, one of them padded."""
    random = np.random.default_rng(seed)
    real = np.array([[1] * 9, [1] * 4 + [0] * 5], np.int32)
    ids = random.integers(0, ROWS, real.shape).astype(np.int32)
    types = (np.arange(9) >= 3).astype(np.int32) * real
    return dict(zip(names, (ids, real, types), strict=True))


def _mask(graph: Graph, given: str, how: str, name: str) -> str:
    batch, length = graph.sizes(given, name, 0, 1)
    if how == "square":  # Google's code: one row of the mask for each query
        ones = graph.add(
            "ConstantOfShape",
            [graph.pack([batch, length, 1], f"{name}/ones")],
            f"{name}/ones",
            value=helper.make_tensor("value", TensorProto.FLOAT, [1], [1.0]),
        )
        row = graph.add("Reshape", [given, graph.pack([batch, 1, length], f"{name}/Reshape")], f"{name}/Reshape")
        row = graph.add("Cast", [row], f"{name}/Cast", to=TensorProto.FLOAT)
        real = graph.add("Mul", [ones, row], f"{name}/mul_1")
        real = graph.add("Unsqueeze", [real, graph.integers(1)], f"{name}/ExpandDims")
    else:
        wide = graph.add("Reshape", [given, graph.pack([batch, 1, 1, length], f"{name}/Reshape")], f"{name}/Reshape")
        real = graph.add("Cast", [wide], f"{name}/Cast", to=TensorProto.FLOAT)
    padding = graph.add("Sub", [graph.constant(f"{name}/sub/x:0", 1.0), real], f"{name}/sub")
    lowest = {"lowest": float(np.finfo(np.float32).min), "sub": -1e9, "weak": -5.0}.get(how, -10000.0)
    bias = graph.add("Mul", [padding, graph.constant(f"{name}/mul/y:0", lowest)], f"{name}/mul")
    if how == "shifted":
        bias = graph.add("Add", [bias, graph.constant(f"{name}/add/y:0", 1e-9)], f"{name}/add_epsilon")
    return bias


def _embeddings(graph: Graph, ids: str, types: str, name: str, dense: str, one_hot: bool) -> str:
    table = graph.weight(f"{name}/Gather/resource", ROWS, EMBEDDED)
    if one_hot:
        flat = graph.add(
            "Gather", [table, graph.add("Reshape", [ids, graph.integers(-1)], f"{name}/Reshape_ids")], f"{name}/Gather"
        )
        batch, size = graph.sizes(ids, f"{name}/ids", 0, 1)
        words = graph.add(
            "Reshape", [flat, graph.pack([batch, size, EMBEDDED], f"{name}/ids")], f"{name}/Reshape_words"
        )
    else:
        words = graph.add("Gather", [table, ids], f"{name}/Gather", axis=0)
    parts = []
    for label, starts, ends, pads in (
        ("strided_slice", (0, 1), (LAST, LAST), (0, 0, 0, 0, 1, 0)),
        ("", (), (), ()),
        ("strided_slice_1", (0, 0), (LAST, -1), (0, 1, 0, 0, 0, 0)),
    ):
        if not label:
            parts.append(words)
            continue
        bounds = [graph.integers(*starts), graph.integers(*ends), graph.integers(0, 1)]
        cut = graph.add("Slice", [words, *bounds], f"{name}/{label}")
        parts.append(graph.add("Pad", [cut, graph.integers(*pads)], f"{name}/{label}_Pad"))
    x = graph.add("Concat", parts, f"{name}/concat", axis=2)
    x = graph.dense(x, f"{name}/embedding_transformation", HIDDEN, 3 * EMBEDDED, dense)
    (length,) = graph.sizes(words, name, 1)
    bounds = [
        graph.constant(f"{name}/range/{what}:0", number, np.int32) for what, number in (("start", 0), ("delta", 1))
    ]
    counted = graph.add("Range", [bounds[0], length, bounds[1]], f"{name}/range")
    rows = graph.add("Unsqueeze", [counted, graph.integers(0)], f"{name}/ExpandDims")
    positions = graph.add(
        "Gather", [graph.weight(f"{name}/Gather_1/resource", POSITIONS, HIDDEN), rows], f"{name}/Gather_1"
    )
    segments = graph.weight(f"{name}/Gather_2/resource", 2, HIDDEN)
    if one_hot:
        flat = graph.add("Reshape", [types, graph.integers(-1)], f"{name}/Reshape_types")
        depth = graph.constant(f"{name}/one_hot/depth:0", 2, np.int32)
        values = graph.constant(f"{name}/one_hot/values:0", [0.0, 1.0])
        chosen = graph.add("OneHot", [flat, depth, values], f"{name}/one_hot")
        looked = graph.add("MatMul", [chosen, segments], f"{name}/MatMul_types")
        batch, size = graph.sizes(types, f"{name}/types", 0, 1)
        looked = graph.add("Reshape", [looked, graph.pack([batch, size, HIDDEN], f"{name}/types")], f"{name}/Reshape_1")
    else:
        looked = graph.add("Gather", [segments, types], f"{name}/Gather_2")
    x = graph.add("Add", [x, positions], f"{name}/add")
    x = graph.add("Add", [x, looked], f"{name}/add_1")
    return graph.no_norm(x, f"{name}/LayerNorm", HIDDEN)


def _layer(graph: Graph, h: str, bias: str, name: str, dense: str, shift: float, networks: int, keras: bool) -> str:
    inner = graph.dense(h, f"{name}/bottleneck/input/dense", INNER, HIDDEN, dense)
    inner = graph.no_norm(inner, f"{name}/bottleneck/input/LayerNorm", INNER)
    shared = graph.dense(h, f"{name}/bottleneck/attention/dense", INNER, HIDDEN, dense)
    shared = graph.no_norm(shared, f"{name}/bottleneck/attention/LayerNorm", INNER)
    attention = _keras_attention if keras else _attention
    y = attention(graph, shared, h, bias, name, dense, shift)
    y = graph.add("Add", [y, inner], f"{name}/attention/output/add")
    u = graph.no_norm(y, f"{name}/attention/output/LayerNorm", INNER)
    for network in range(networks):
        place = f"{name}/ffn.{network}" if network < networks - 1 else name
        wide = graph.add(
            "Relu", [graph.dense(u, f"{place}/intermediate/dense", WIDE, INNER, dense)], f"{place}/intermediate/Relu"
        )
        y = graph.add("Add", [graph.dense(wide, f"{place}/output/dense", INNER, WIDE, dense), u], f"{place}/output/add")
        u = graph.no_norm(y, f"{place}/output/LayerNorm", INNER)
    y = graph.dense(u, f"{name}/output/bottleneck/dense", HIDDEN, INNER, dense)
    y = graph.add("Add", [y, h], f"{name}/output/bottleneck/add")
    return graph.no_norm(y, f"{name}/output/bottleneck/LayerNorm", HIDDEN)


def _attention(graph: Graph, shared: str, h: str, bias: str, name: str, dense: str, shift: float) -> str:
    own = f"{name}/attention/self"
    (batch,) = graph.sizes(bias, own, 0)
    heads = {}
    for kind, x, depth in (("query", shared, INNER), ("key", shared, INNER), ("value", h, HIDDEN)):
        y = graph.dense(x, f"{own}/{kind}", INNER, depth, dense)
        target = graph.pack([batch, -1, HEADS, INNER // HEADS], f"{own}/Reshape_{kind}")
        split = graph.add("Reshape", [y, target], f"{own}/Reshape_{kind}")
        heads[kind] = graph.add("Transpose", [split], f"{own}/transpose_{kind}", perm=[0, 2, 1, 3])
    keys = graph.add("Transpose", [heads["key"]], f"{own}/MatMul__21", perm=[0, 1, 3, 2])
    scores = graph.add("MatMul", [heads["query"], keys], f"{own}/MatMul")
    root = graph.constant(f"{name}/Sqrt:0", (INNER / HEADS) ** 0.5)
    scores = graph.add("Add", [graph.add("Div", [scores, root], f"{own}/truediv"), bias], f"{own}/add")
    if shift:
        scores = graph.add("Add", [scores, graph.constant("stable_softmax/y:0", shift)], f"{own}/add_1")
    probabilities = graph.add("Softmax", [scores], f"{own}/Softmax", axis=-1)
    context = graph.add("MatMul", [probabilities, heads["value"]], f"{own}/MatMul_1")
    context = graph.add("Transpose", [context], f"{own}/transpose_3", perm=[0, 2, 1, 3])
    context = graph.add("Reshape", [context, graph.pack([batch, -1, INNER], f"{own}/Reshape_3")], f"{own}/Reshape_3")
    return graph.dense(context, f"{name}/attention/output/dense", INNER, INNER, dense)


def _keras_attention(graph: Graph, shared: str, h: str, bias: str, name: str, _: str, shift: float) -> str:
    """Keras's MultiHeadAttention with a mask: heads are axes of the weights, and the query is scaled."""
    own, size = f"{name}/attention", INNER // HEADS
    heads = {}
    for kind, x, depth in (("query", shared, INNER), ("key", shared, INNER), ("value", h, HIDDEN)):
        flat = graph.random.standard_normal((depth, HEADS, size)) * depth**-0.5
        kernel = graph.constant(f"{own}/{kind}/einsum/Einsum/ReadVariableOp:0", flat)
        offset = graph.constant(f"{own}/{kind}/add/ReadVariableOp:0", 0.3 * graph.random.standard_normal((HEADS, size)))
        y = graph.add("Einsum", [x, kernel], f"{own}/{kind}/einsum/Einsum", equation="abc,cde->abde")
        heads[kind] = graph.add("Add", [y, offset], f"{own}/{kind}/add")
    query = graph.add("Mul", [heads["query"], graph.constant(f"{own}/Mul/y:0", size**-0.5)], f"{own}/Mul")
    scores = graph.add("Einsum", [heads["key"], query], f"{own}/einsum/Einsum", equation="aecd,abcd->acbe")
    scores = graph.add("Add", [scores, bias], f"{own}/softmax/add")
    if shift:
        scores = graph.add("Add", [scores, graph.constant("stable_softmax/y:0", shift)], f"{own}/softmax/add_1")
    probabilities = graph.add("Softmax", [scores], f"{own}/softmax/Softmax", axis=-1)
    context = graph.add("Einsum", [probabilities, heads["value"]], f"{own}/einsum_1/Einsum", equation="acbe,aecd->abcd")
    kernel = graph.random.standard_normal((HEADS, size, INNER)) * INNER**-0.5
    kernel = graph.constant(f"{own}/attention_output/einsum/Einsum/ReadVariableOp:0", kernel)
    y = graph.add("Einsum", [context, kernel], f"{own}/attention_output/einsum/Einsum", equation="abcd,cde->abe")
    return graph.add("Add", [y, graph.weight(f"{own}/attention_output/add", INNER)], f"{own}/attention_output/add")
