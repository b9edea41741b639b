"""Seeds of the campaign against the standalone runtime: the smallest files that reach each part of it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from kernel_models import Widths, attention_feed, ffn_feed, model_of, with_8_bit_weights
from onnx import numpy_helper
from standalone_models import function_model
from text_bundles import write_text_file

import mbert_onnx
from mbert_onnx.model.checkpoint import save_checkpoint
from mbert_onnx.text.tasks import TASKS, TEXT_CLASSIFICATION, Task
from tests.graphs.kernels.standalone.test_operators import CASES
from tests.helpers.fuzzing.examples import tiny_checkpoint, tokenizer_files

# Longest first axis of an input: of more numbers, the target makes none.
MOST_ROWS = 8
WIDTHS = Widths(hidden=8, intra=8, wide=8, heads=2, networks=1)
# Functions of which the runtime has kernels, and reads no body.
KERNELS = ("Encoder", "Embeddings", "Tokenize", "StackedFFN", "BottleneckAttention")
# Code points of which the tables of tokenizers are kept, and the largest number of bits of a place in a block.
LETTERS, LARGEST_SHIFT = 128, 20
# Exports beside those of all tasks in float32, all of which have a text file, too.
OTHERS: tuple[tuple[str, Task, dict[str, Any]], ...] = (
    ("int8", TEXT_CLASSIFICATION, {"precision": "int8"}),
    ("fp16", TEXT_CLASSIFICATION, {"precision": "fp16"}),
    ("ignore-padding", TEXT_CLASSIFICATION, {"ignore_padding": True}),
    ("web", TEXT_CLASSIFICATION, {"target": "web", "precision": "int8"}),
    ("fixed", TEXT_CLASSIFICATION, {"batch": 1, "seq_len": 8}),
)


def write_seeds(folder: Path, largest: int, report: Callable[[str], object] = print) -> None:
    """Writes `NAME.onnx` for each: operators, blocks, exports of every task and precision, and their text files.

    Args:
        folder: Output folder.
        largest: Files of more bytes are left out.
        report: Is called with a line for each step.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, (body, inputs, outputs, constants) in CASES.items():
        write_small(folder / f"operator-{name}.onnx", function_model(body, inputs, outputs, constants), inputs)
    for name, feed in (("ffn", ffn_feed(WIDTHS, 2)), ("attention", attention_feed(WIDTHS, [2, 1]))):
        for suffix, weights in (("", feed), ("-int8", with_8_bit_weights(feed))):
            write_small(folder / f"block-{name}{suffix}.onnx", model_of(weights, WIDTHS), weights)
    with tempfile.TemporaryDirectory(prefix="seeds-") as work:
        for name, task, options in (*((task.name, task, {}) for task in TASKS), *OTHERS):
            write_exports(folder, name, task, options, Path(work))
            report(f"seeds of {name}")
    for file in folder.iterdir():
        if file.stat().st_size > largest:
            report(f"left out: {file.name}, of {file.stat().st_size:,} bytes")
            file.unlink()


def write_small(path: Path, model: bytes, examples: Mapping[str, np.ndarray]) -> None:
    """Writes a model of one node, whose inputs have the sizes of examples, and whose list of heads is a constant."""
    proto = onnx.load_from_string(model)
    for value in list(proto.graph.input):
        if value.name == "heads":
            proto.graph.input.remove(value)
            proto.graph.initializer.append(numpy_helper.from_array(examples[value.name], value.name))
            continue
        shape = list(examples[value.name].shape)
        if shape:
            shape[0] = min(shape[0], MOST_ROWS)
        for dim, size in zip(value.type.tensor_type.shape.dim, shape, strict=True):
            dim.dim_value = size
    path.write_bytes(proto.SerializeToString())


def write_exports(folder: Path, name: str, task: Task, options: dict[str, Any], work: Path) -> None:
    """Writes a model file on token ids, and its text file."""
    checkpoint, bundle, texts = work / task.name, work / f"{name}-bundle", work / "texts.jsonl"
    if not checkpoint.exists():
        write_checkpoint(checkpoint, task)
    texts.write_text("".join(f'{{"question": "a film", "context": "b films{" film" * i}."}}\n' for i in range(1, 9)))
    calibration: dict[str, Any] = {"calibrate": texts, "min_agreement": 0} if "precision" in options else {}
    mbert_onnx.export(checkpoint, bundle, **options, **calibration)
    (model,) = (bundle / "onnx").glob("*.onnx")
    for kind, file in (("ids", model), ("text", write_text_file(bundle))):
        proto = onnx.load(file)
        shorten(proto)
        (folder / f"{kind}-{name}.onnx").write_bytes(proto.SerializeToString())


def write_checkpoint(folder: Path, task: Task) -> None:
    """Writes a MobileBERT of one layer, 8 channels wide."""
    folder.mkdir(parents=True)
    save_checkpoint(tiny_checkpoint(task, ["O", "B-yes"]), folder)
    for path, content in tokenizer_files().items():
        (folder / path).write_bytes(content)


def shorten(proto: onnx.ModelProto) -> None:
    """Removes what slows down a run of the campaign: bodies of functions that kernels compute, and most of Unicode."""
    kept = [function for function in proto.functions if not function.name.startswith(KERNELS)]
    del proto.functions[:]
    proto.functions.extend(kept)
    for node in proto.graph.node:
        if node.op_type.startswith("Tokenize"):
            shorten_tables(proto, node)


def shorten_tables(proto: onnx.ModelProto, node: onnx.NodeProto) -> None:
    """Makes one block of the tables of code points; those from LETTERS on are outside of it, and refused in a run."""
    tables = {tensor.name.split(".")[-1]: tensor for tensor in proto.graph.initializer if tensor.name in node.input}
    (shift,) = (attribute for attribute in node.attribute if attribute.name == "shift")
    blocks, classes = (numpy_helper.to_array(tables[name]) for name in ("blocks", "classes"))
    points = np.arange(LETTERS)
    first = classes[(blocks[points >> shift.i].astype(np.int64) << shift.i) + points % (1 << shift.i)]
    shift.i = LARGEST_SHIFT
    for name, array in (("blocks", np.zeros_like(blocks[:2])), ("classes", first)):
        tables[name].CopyFrom(numpy_helper.from_array(array, tables[name].name))
