"""Exports in the standalone runtime beside onnxruntime with the native kernels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from standalone_runtime import Arrays, Runtime, assert_same, scale_of
from text_functions import joined

from graphs import kernels
from graphs.functions import DOMAIN

SHORT = "Ada wrote the first program in London. É 漢!"
LONG = "Ada wrote the first program in London for the engine, unbelievably; grace built a compiler. " * 4
MASKED = "ada wrote the [MASK] program in [MASK] ."
BATCHES = ([SHORT], [LONG], [""], [MASKED], [SHORT, LONG, MASKED], ["", MASKED])
# Lengths of texts, which are padded to the longest.
LENGTHS = ([1], [7], [13, 5, 1], [33, 33], [40, 3, 40, 11])

# The share of the largest number by which float16 heads may differ: numbers that are rounded to the other side.
FLOAT16 = 4e-3
ROUNDED = 0.3

# Outputs behind the pooler may differ by this many times more: its sums of large hidden states nearly cancel, and with
# equal hidden states both runtimes are up to 4e-6 away from float64 there, 1e-6 from each other.
POOLED, MORE_POOLED = {"pooler_output", "seq_relationship_logits"}, 4


def session_of(file: Path, *, is_optimized: bool = True) -> onnxruntime.InferenceSession:
    """Opens a file in onnxruntime with the kernels, in the instruction set that the runtime of these tests has.

    Args:
        file: A model file. One that the kernels do not take, float16 with a block outside of an encoder, runs without.
        is_optimized: Whether onnxruntime may change the graph.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    if not is_optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    names = {node.op_type for node in onnx.load(file).graph.node if node.domain == DOMAIN}
    if not (names & {"StackedFFN", "BottleneckAttention"} and any(name.endswith("Float16") for name in names)):
        options.register_custom_ops_library(str(kernels.library()))
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def text_feeds(session: onnxruntime.InferenceSession) -> Iterator[Arrays]:
    """Inputs of a text file: batches of texts, short, long, empty, with masks."""
    names = {value.name for value in session.get_inputs()}
    optional = {value.name for value in session.get_overridable_initializers()}
    for batch in BATCHES:
        if len(batch) > 1 and "row_splits" not in optional:
            continue
        splits = {} if len(batch) == 1 else {"row_splits": joined(batch)[1]}
        feed = {"text": joined(batch)[0], "max_length": np.array([40]), **splits}
        for second in names & {"pair", "context"}:
            data, splits_of_second = joined([f"{text} . {LONG}" for text in batch])
            feed |= {second: data} | ({f"{second}_splits": splits_of_second} if len(batch) > 1 else {})
        if "choices" in names:
            feed |= dict(zip(("choices", "choice_splits"), joined([SHORT, MASKED, LONG]), strict=True))
        yield feed
        if "allow_no_answer" in optional:
            yield feed | {"allow_no_answer": np.array([True]), "top_k": np.array([3])}


def id_feeds(session: onnxruntime.InferenceSession, vocabulary: int = 180) -> Iterator[Arrays]:
    """Inputs of a model on token ids: ragged batches of odd lengths, padded to the longest."""
    rng = np.random.default_rng(0)
    inputs = {value.name: value for value in session.get_inputs()}
    fixed = inputs["input_ids"].shape
    for lengths in LENGTHS:
        batch = fixed[0] if isinstance(fixed[0], int) else len(lengths)
        length = fixed[-1] if isinstance(fixed[-1], int) else max(lengths)
        middle = [size if isinstance(size, int) else 2 for size in fixed[1:-1]]
        shape = (batch, *middle, length)
        mask = np.ones(shape, np.int64)
        for row, own in enumerate(lengths[:batch]):
            mask[row, ..., own:] = 0
        arrays = {
            "input_ids": rng.integers(0, vocabulary, shape),
            "token_type_ids": rng.integers(0, 2, shape),
            "attention_mask": mask,
        }
        types = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
        yield {name: arrays[name].astype(types[value.type]) for name, value in inputs.items()}


def assert_runs_alike(
    file: Path, runtime: Runtime, relative: float, *, is_optimized: bool = True, rounded: int = 0
) -> None:
    """Checks that the runtime has onnxruntime's outputs for inputs of all kinds, and that its memory returns.

    Args:
        file: A model file, or a text file.
        runtime: The runtime.
        relative: The share of the largest number of an output, over all the inputs, by which its numbers may differ.
            One logit alone may be near zero, where the order in which onnxruntime adds on a processor decides.
        is_optimized: Whether onnxruntime may change the graph.
        rounded: How many runs may differ by more, up to `ROUNDED`: in 8 bits, where a number lies between two steps.
    """
    kernels.force_instruction_set("portable")
    try:
        session = session_of(file, is_optimized=is_optimized)
    finally:
        kernels.force_instruction_set(None)
    names = [value.name for value in session.get_outputs()]
    # Logits of a whole text, not of each token, have two axes.
    pooled = POOLED.union(v.name for v in session.get_outputs() if v.name == "logits" and len(v.shape) == 2)
    is_text = any(value.name == "text" for value in session.get_inputs())
    feeds = list(text_feeds(session) if is_text else id_feeds(session))
    expected = [dict(zip(names, session.run(names, feed), strict=True)) for feed in feeds]
    scales = {
        name: (MORE_POOLED if name in pooled else 1) * max(scale_of(arrays[name]) for arrays in expected)
        for name in names
    }
    before = runtime.memory()
    with runtime.model(file) as model:
        for feed, arrays in zip(feeds, expected, strict=True):
            found = model.run(feed)
            try:
                assert_same(found, arrays, relative, scales)
            except AssertionError:
                if not rounded:
                    raise
                rounded -= 1
                assert_same(found, arrays, ROUNDED)
    assert runtime.memory() == before
