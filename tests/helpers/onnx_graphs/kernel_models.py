"""Models of one fused block, and their reference outputs in numpy, for the kernels' tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime

from graphs.functions import DOMAIN, VERSION
from graphs.functions.bottleneck_attention import bottleneck_attention
from graphs.functions.bottleneck_attention_int8 import bottleneck_attention_int8
from graphs.functions.stacked_ffn import stacked_ffn
from graphs.functions.stacked_ffn_int8 import stacked_ffn_int8
from graphs.model.opsets import OLDEST_OPSET
from graphs.precision.int8 import quantized

Arrays = dict[str, np.ndarray]

LOWEST = np.finfo(np.float32).min / 2
RUN_TIME = ("x", "residual", "mask", "heads")


@dataclass(frozen=True)
class Widths:
    """The sizes of a block."""

    hidden: int = 64
    intra: int = 32
    wide: int = 80
    heads: int = 4
    networks: int = 2


def ffn_feed(widths: Widths, tokens: int, seed: int = 0) -> Arrays:
    """Returns random inputs of a stacked FFN, float64."""
    rng = np.random.default_rng(seed)
    hidden, intra, wide = widths.hidden, widths.intra, widths.wide
    feed = {"x": rng.normal(size=(tokens, intra)), "residual": rng.normal(size=(tokens, hidden))}
    for i in range(widths.networks):
        feed[f"weight1_{i}"] = rng.normal(size=(intra, wide)) / np.sqrt(intra)
        feed[f"bias1_{i}"] = rng.normal(size=wide)
        feed[f"weight2_{i}"] = rng.normal(size=(wide, intra)) / np.sqrt(wide)
    feed["weight_out"] = rng.normal(size=(intra, hidden)) / np.sqrt(intra)
    return feed


def attention_feed(widths: Widths, lengths: list[int], seed: int = 0) -> Arrays:
    """Returns random inputs of an attention, float64: texts of these lengths, padded to the longest."""
    rng = np.random.default_rng(seed)
    hidden, intra, longest = widths.hidden, widths.intra, max(lengths)
    mask = np.where(np.arange(longest) < np.array(lengths)[:, None], 0.0, LOWEST)
    weight_qk = rng.normal(size=(intra, 2 * intra)) / np.sqrt(intra)
    weight_qk[:, :intra] /= np.sqrt(intra // widths.heads)
    return {
        "x": rng.normal(size=(len(lengths) * longest, hidden)),
        "mask": mask[:, None, None, :],
        "heads": np.array([len(lengths), longest, widths.heads, intra // widths.heads]),
        "weight_in": rng.normal(size=(hidden, 3 * intra)) / np.sqrt(hidden),
        "bias_in": rng.normal(size=3 * intra),
        "weight_qk": weight_qk,
        "bias_qk": rng.normal(size=2 * intra),
        "weight_out": rng.normal(size=(intra, intra)) / np.sqrt(intra),
    }


def with_8_bit_weights(feed: Arrays) -> Arrays:
    """Returns the inputs with int8 weights, and a scale for each column."""
    found: Arrays = {}
    for name, array in feed.items():
        if name.startswith("weight"):
            found[name], found[name.replace("weight", "scale")] = quantized(array, axis=0)
        else:
            found[name] = array
    return found


def with_scales(names: list[str]) -> list[str]:
    """Returns the names of an int8 operator's inputs: after each weight, its scale."""
    return [part for n in names for part in ((n, n.replace("weight", "scale")) if "weight" in n else (n,))]


def real(feed: Arrays) -> Arrays:
    """Returns the inputs with dequantized weights."""
    return {k: v * feed[k.replace("weight", "scale")] if v.dtype == np.int8 else v for k, v in feed.items()}


def rows_in_8_bits(x: np.ndarray, count: int = 127) -> np.ndarray:
    """Returns x as an int8 kernel reads it: each row rounded to `count` steps on either side of 0."""
    step = steps_of(x, count)
    return np.rint(x / np.where(step > 0, step, 1)) * step


def steps_of(x: np.ndarray, count: int = 127) -> np.ndarray:
    """Returns the quantization step of each row."""
    return (np.abs(x).max(axis=-1, keepdims=True) / np.float32(count)).astype(np.float32)


def exactly(x: np.ndarray, _: int = 0) -> np.ndarray:
    """Returns x, as a float32 kernel reads it."""
    return x


# Bound for int8: a value that float32 rounds to the other side is a step off, and the error reaches the next product.
FLIPPED = 6e-3


def off(found: np.ndarray, expected: np.ndarray) -> float:
    """‖a − b‖ / ‖b‖."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def ffn_by_hand(feed: Arrays, networks: int, read: Any = exactly) -> np.ndarray:
    """Returns a stacked FFN's output. `read` maps a product's input to the values that it reads (int8: rounded)."""
    u = feed["x"]
    for i in range(networks):
        wide = np.maximum(read(u) @ feed[f"weight1_{i}"] + feed[f"bias1_{i}"], 0)
        u = u + read(wide) @ feed[f"weight2_{i}"]
    return feed["residual"] + read(u) @ feed["weight_out"]


def attention_by_hand(feed: Arrays, read: Any = exactly) -> np.ndarray:
    """Returns a bottleneck attention's output (figure 1 c of the paper); `read` as in `ffn_by_hand`."""
    batch, length, heads, size = feed["heads"]
    inner, shared, value = np.split(read(feed["x"]) @ feed["weight_in"] + feed["bias_in"], 3, axis=1)
    query, key = np.split(read(shared) @ feed["weight_qk"] + feed["bias_qk"], 2, axis=1)
    split = [part.reshape(batch, length, heads, size).transpose(0, 2, 1, 3) for part in (query, key, value)]
    scores = read(split[0]) @ read(split[1]).transpose(0, 1, 3, 2) + feed["mask"]
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    # An int8 kernel reads each probability times its value's step, and divides by their sum at the end. Probabilities
    # are not negative, so there are twice as many steps for them.
    steps = steps_of(split[2])
    context = read(weights * steps.transpose(0, 1, 3, 2), 254) @ (read(split[2]) / steps)
    context = context / weights.sum(axis=-1, keepdims=True)
    return inner + read(context.transpose(0, 2, 1, 3).reshape(inner.shape)) @ feed["weight_out"]


def model_of(feed: Arrays, widths: Widths) -> bytes:
    """Returns a model of one node, which calls the function that takes these inputs; weights are constants."""
    is_int8 = any(array.dtype == np.int8 for array in feed.values())
    if "mask" in feed:
        build = bottleneck_attention_int8 if is_int8 else bottleneck_attention
        function = build(OLDEST_OPSET, widths.intra)
    else:
        function = (stacked_ffn_int8 if is_int8 else stacked_ffn)(widths.networks, OLDEST_OPSET)
    values = []
    for value in function.inputs:
        name = value.name or ""
        array = feed[name] if feed[name].dtype.kind == "i" else feed[name].astype(np.float32)
        shape: list[int | str] = [f"{name}_{i}" for i in range(array.ndim)] if name in RUN_TIME else list(array.shape)
        built = ir.val(name, ir.DataType.from_numpy(array.dtype), shape)
        if name not in RUN_TIME:
            built.const_value = ir.tensor(array, name=name)
        values.append(built)
    node = ir.node(function.name, values, domain=DOMAIN, version=VERSION)
    y = node.outputs[0]
    y.name, y.type, y.shape = "y", ir.TensorType(ir.DataType.FLOAT), ir.Shape(["tokens", "width"])
    inputs = [value for value in values if value.const_value is None]
    graph = ir.Graph(
        inputs,
        [y],
        nodes=[node],
        initializers=[value for value in values if value.const_value is not None],
        opset_imports={"": OLDEST_OPSET, DOMAIN: VERSION},
        name="block",
    )
    proto = ir.to_proto(ir.Model(graph, ir_version=10, functions=[function]))
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def session(model: bytes | Path, library: Path | None, threads: int = 1) -> onnxruntime.InferenceSession:
    """Returns a session with the kernels, or without (None)."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    if library is not None:
        options.register_custom_ops_library(str(library))
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(opened: onnxruntime.InferenceSession, feed: Arrays) -> np.ndarray:
    """Returns the block's output."""
    given = {
        name: feed[name] if name == "heads" else feed[name].astype(np.float32) for name in RUN_TIME if name in feed
    }
    y = opened.run(None, given)[0]
    assert isinstance(y, np.ndarray)
    return y
