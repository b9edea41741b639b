"""Profile of a model by kind of block (embeddings, attention, FFN, whole layers, rest), by onnxruntime's profiler."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import onnx_ir as ir
import onnxruntime as ort

from perf.errors import PerfError, one_line
from perf.providers.plugin import LOG_ERRORS_ONLY

EMBEDDINGS, ATTENTION, FFN, ENCODER, REST = "embeddings", "attention", "FFN", "encoder", "rest"
BLOCKS = (EMBEDDINGS, ATTENTION, FFN, ENCODER, REST)

PARTS = {
    "attention": ATTENTION,
    "bottleneck": ATTENTION,  # computes the narrow stream that attention reads
    "sa_layer_norm": ATTENTION,  # DistilBERT's, after its attention
    "ffn": FFN,
    "intermediate": FFN,
    "output": FFN,  # in MobileBERT including the bottleneck that widens the stream again
    "output_layer_norm": FFN,
}
"""Modules of a layer, by their names in transformers, and the block of each."""

IN_LAYER = re.compile(rf"\blayer[./]\d+[./]({'|'.join(PARTS)})\b")
IN_EMBEDDINGS = re.compile(r"\bembeddings\b")
IN_HEAD = re.compile(r"\b(head|qa_outputs|classifier|pooler|cls|lm_head)\b")

WHOLE_LAYERS = ("Encoder", "EncoderInt8", "EncoderFloat16")
"""Operators of the domain `mbert` that compute attention and FFN of several layers, in the block `encoder`."""

PRODUCTS = ("DynamicQuantizeMatMul", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "MatMulInteger")
PREPARING = ("DynamicQuantizeLinear", "MatMulIntegerToFloat", "QuantizeLinear", "DequantizeLinear", *PRODUCTS)
"""Operators whose weights may have no informative name; the bias after them has one."""

KERNEL = "_kernel_time"
"""Suffix of the events that time a node's kernel."""


@dataclass(frozen=True)
class BlockTimes:
    """Kernel time of a run, in ms by kind of block, at one length and number of threads."""

    seq_len: int
    threads: int
    ms: dict[str, float]


def block_times(
    model: Path, feed: Mapping[str, np.ndarray], *, threads: int, library: Path | None = None, runs: int = 9
) -> dict[str, float]:
    """Measures the kernel time of a run on the CPU, in ms for each of `BLOCKS`; unattributed nodes count as the rest.

    A kernel's time is its median over the runs after a first one, so that a single slow run has no effect. The sum is
    the time of all kernels, without onnxruntime's overhead between them. onnxruntime's fusions lose the names of nodes,
    so its optimized graph is saved, the nodes are numbered, and that file is profiled.

    Args:
        model: An `.onnx` file.
        feed: Its inputs.
        threads: Intra-op threads of onnxruntime.
        library: A library of custom operators.
        runs: Number of timed runs.

    Raises:
        PerfError: onnxruntime does not load or run the file.
    """
    with tempfile.TemporaryDirectory(prefix="mbert-onnx-blocks-") as name:
        folder = Path(name)
        try:
            options = _options(threads, library)
            options.optimized_model_filepath = str(folder / "optimized.onnx")
            ort.InferenceSession(str(model), sess_options=options, providers=["CPUExecutionProvider"])
            optimized = ir.load(folder / "optimized.onnx")
            blocks = node_blocks(optimized.graph)
            for index, node in enumerate(optimized.graph):
                node.name = f"n{index}"
            ir.save(optimized, folder / "numbered.onnx")
            events = _profile(folder / "numbered.onnx", feed, _options(threads, library), runs + 1)
        except Exception as error:  # onnxruntime raises one class per status code, all straight from Exception
            raise PerfError(
                f"cannot profile {model}: onnxruntime {ort.__version__} says: {one_line(error)}; "
                "expected an .onnx model that the CPU runs: check the path"
            ) from None
    spent = dict.fromkeys(BLOCKS, 0.0)
    for index, block in enumerate(blocks):
        times_us = events.get(f"n{index}", [])[1:]  # a node that onnxruntime folded into a constant has no event
        spent[block] += median(times_us) / 1e3 if times_us else 0.0
    return spent


def node_blocks(graph: ir.Graph) -> list[str]:
    """Returns the block of each node, in the graph's order.

    The block is that of the module in the name of the node's weights, outputs or itself; otherwise, for products with
    weights and quantizers, that of the node that reads the output; otherwise that of the latest input, where attention
    and FFN precede embeddings. An operator for several layers is a block of its own.
    """
    nodes = list(graph)
    block_of = {node: _named(node) for node in nodes}
    for node in reversed(nodes):
        if block_of[node] is None and node.op_type in PREPARING and _prepares(node):
            readers = {block_of.get(reader) for output in node.outputs for reader in output.consumers()}
            block_of[node] = readers.pop() if len(readers) == 1 else None
    behind_layers = set[ir.Node]()
    place = {node: index for index, node in enumerate(nodes)}
    for node in nodes:
        producers = {value.producer() for value in node.inputs if value is not None}
        sources = sorted((source for source in producers if source in place), key=place.__getitem__)
        if any(source in behind_layers or block_of[source] in (FFN, ENCODER) for source in sources):
            behind_layers.add(node)
        if block_of[node] is None:
            block_of[node] = _nearest(block_of[source] for source in sources)
        elif (
            block_of[node] == EMBEDDINGS and node in behind_layers
        ):  # the head of a language model reads the same table
            block_of[node] = REST
    return [block_of[node] or REST for node in nodes]


def _named(node: ir.Node) -> str | None:
    if node.op_type in WHOLE_LAYERS:
        return ENCODER
    weights = [value.name for value in node.inputs if value is not None and value.is_initializer()]
    for name in (*weights, *(value.name for value in node.outputs), node.name):
        text = (name or "").lstrip("/")
        layer = IN_LAYER.search(text)
        if layer:
            return PARTS[layer[1]]
        if IN_EMBEDDINGS.search(text):
            return EMBEDDINGS
        if IN_HEAD.search(text):
            return REST
    return None


def _prepares(node: ir.Node) -> bool:
    """Returns whether a node reads weights, or quantizes for a node that does."""
    reads = any(value is not None and value.is_initializer() for value in node.inputs)
    return reads or node.op_type not in PRODUCTS


def _nearest(sources: Iterable[str | None]) -> str:
    known = [block for block in sources if block is not None]
    layers = [block for block in known if block in (ATTENTION, FFN, ENCODER)]
    return (layers or [block for block in known if block == EMBEDDINGS] or [REST])[-1]


def _options(threads: int, library: Path | None) -> ort.SessionOptions:
    options = ort.SessionOptions()
    if library is not None:
        options.register_custom_ops_library(str(library))
    options.intra_op_num_threads = threads
    options.log_severity_level = LOG_ERRORS_ONLY
    return options


def _profile(
    path: Path, feed: Mapping[str, np.ndarray], options: ort.SessionOptions, runs: int
) -> dict[str, list[float]]:
    """Returns the times of each node's kernel, in µs, in the order of the runs."""
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.enable_profiling = True
    options.profile_file_prefix = str(path.with_name("profile"))
    session = ort.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])
    for _ in range(runs):
        session.run(None, dict(feed))
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    times: dict[str, list[float]] = {}
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith(KERNEL):
            times.setdefault(event["name"].removesuffix(KERNEL), []).append(event["dur"])
    return times
