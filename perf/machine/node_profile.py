"""Where a model's time goes: embeddings, attention, FFN, and the rest, by onnxruntime's own profiler."""

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

EMBEDDINGS, ATTENTION, FFN, REST = "embeddings", "attention", "FFN", "rest"
BLOCKS = (EMBEDDINGS, ATTENTION, FFN, REST)

PARTS = {
    "attention": ATTENTION,
    "bottleneck": ATTENTION,  # makes the narrow stream that attention reads
    "sa_layer_norm": ATTENTION,  # DistilBERT's, behind its attention
    "ffn": FFN,
    "intermediate": FFN,
    "output": FFN,  # in MobileBERT with the bottleneck that widens the stream again
    "output_layer_norm": FFN,
}
"""The modules of a layer, as transformers calls them, and the block that each belongs to."""

IN_LAYER = re.compile(rf"\blayer[./]\d+[./]({'|'.join(PARTS)})\b")
IN_EMBEDDINGS = re.compile(r"\bembeddings\b")
IN_HEAD = re.compile(r"\b(head|qa_outputs|classifier|pooler|cls|lm_head)\b")

PRODUCTS = ("DynamicQuantizeMatMul", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "MatMulInteger")
PREPARING = ("DynamicQuantizeLinear", "MatMulIntegerToFloat", "QuantizeLinear", "DequantizeLinear", *PRODUCTS)
"""Operators whose own weights may have no telling name, while the bias behind them does."""

KERNEL = "_kernel_time"
"""Ends the name of an event that times a node's kernel."""


@dataclass(frozen=True)
class BlockTimes:
    """The kernels' time of one run at one length and number of threads, in ms, for each kind of block."""

    seq_len: int
    threads: int
    ms: dict[str, float]


def block_times(
    model: Path, feed: Mapping[str, np.ndarray], *, threads: int, library: Path | None = None, runs: int = 9
) -> dict[str, float]:
    """The kernels' time of a run on the CPU, in ms, for each of `BLOCKS`; what cannot be told belongs to the rest.

    A kernel's time is its median over so many runs after a first one, so that one hiccup is not taken for a costly
    block. The sum is the time of all kernels, without what onnxruntime does between them. The profiler sees what is
    left after onnxruntime's fusions, in which nodes lose their names: so the graph that it has optimized is written,
    its nodes are numbered, and that file is profiled.

    Args:
        model: An `.onnx` file.
        feed: Its inputs.
        threads: onnxruntime's, within an operator.
        library: Of custom operators.
        runs: How many are timed.

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
                f"cannot tell where the time of {model} goes, onnxruntime {ort.__version__} says: {one_line(error)}; "
                "expected an .onnx model that the CPU runs: check the path"
            ) from None
    spent = dict.fromkeys(BLOCKS, 0.0)
    for index, block in enumerate(blocks):
        times_us = events.get(f"n{index}", [])[1:]  # a constant that onnxruntime has folded after all has none
        spent[block] += median(times_us) / 1e3 if times_us else 0.0
    return spent


def node_blocks(graph: ir.Graph) -> list[str]:
    """The block of each node, in the graph's order.

    Told by the module in the name of its weights, its results or itself; else, where it multiplies with weights or
    quantizes, by what reads its result; else by what it reads: attention and FFN before embeddings, the latest of them.
    """
    nodes = list(graph)
    told = {node: _named(node) for node in nodes}
    for node in reversed(nodes):
        if told[node] is None and node.op_type in PREPARING and _prepares(node):
            readers = {told.get(reader) for output in node.outputs for reader in output.consumers()}
            told[node] = readers.pop() if len(readers) == 1 else None
    behind_layers = set[ir.Node]()
    place = {node: index for index, node in enumerate(nodes)}
    for node in nodes:
        producers = {value.producer() for value in node.inputs if value is not None}
        sources = sorted((source for source in producers if source in place), key=place.__getitem__)
        if any(source in behind_layers or told[source] == FFN for source in sources):
            behind_layers.add(node)
        if told[node] is None:
            told[node] = _nearest(told[source] for source in sources)
        elif told[node] == EMBEDDINGS and node in behind_layers:  # a language model's head reads the same table
            told[node] = REST
    return [told[node] or REST for node in nodes]


def _named(node: ir.Node) -> str | None:
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
    """Whether it reads weights, or quantizes for those that do."""
    reads = any(value is not None and value.is_initializer() for value in node.inputs)
    return reads or node.op_type not in PRODUCTS


def _nearest(sources: Iterable[str | None]) -> str:
    known = [block for block in sources if block is not None]
    layers = [block for block in known if block in (ATTENTION, FFN)]
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
    """The times of each node's kernel, in µs, in the order of the runs."""
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
