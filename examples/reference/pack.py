"""Packs a trained checkpoint as a built-in model: matrices in int8, vectors in half precision, and a graph of both.

    python -m examples.reference.pack CHECKPOINT FOLDER

The folder is a checkpoint that `mbert_onnx` reads, with the files of transformers, or of sentence-transformers for
sentence similarity, and a bundle.

The graph is not optimized: its initializers are the checkpoint's tensors, at their offsets in `model.safetensors`. One
copy of the weights thus serves `export`, and onnxruntime without torch.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import onnx_ir as ir
from safetensors.torch import load_file, save_file

from mbert_onnx.bundles.inputs import Shapes
from mbert_onnx.bundles.records import METADATA
from mbert_onnx.conversion.tracing import trace
from mbert_onnx.model.checkpoint import load_checkpoint, save_checkpoint
from mbert_onnx.model.checkpoint_files.int8_weights import SCALE, quantize_rows
from mbert_onnx.model.checkpoint_files.tensor_names import PREFIX
from mbert_onnx.model.padding import zero_padding
from mbert_onnx.model.tokenizer_files import COMPANIONS
from mbert_onnx.text.tasks import SENTENCE_SIMILARITY

WEIGHTS, GRAPH = "model.safetensors", "model.onnx"

MAX_BYTES = 8_000_000

# safetensors' names of types.
KINDS = {"I8": ir.DataType.INT8, "F16": ir.DataType.FLOAT16, "F32": ir.DataType.FLOAT}

# Bytes before the header of a safetensors file: the size of the header.
HEADER = 8


def main(checkpoint: Path, folder: Path) -> None:
    """Writes the files of the folder, replacing those that exist; the model card stays."""
    loaded = load_checkpoint(checkpoint)
    zero_padding(loaded.model)
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
        packed = Path(beside)
        save_checkpoint(loaded, packed)
        stored = quantize_rows(load_file(packed / WEIGHTS))
        stored = {name: tensor.half() if tensor.dim() < 2 else tensor for name, tensor in stored.items()}
        save_file(stored, packed / WEIGHTS, metadata={"format": "pt"})
        (packed / WEIGHTS).chmod(0o644)  # safetensors writes a file that only its owner can read
        for name in COMPANIONS:
            if (checkpoint / name).is_file():
                shutil.copyfile(checkpoint / name, packed / name)
        # A model for sentence similarity is saved as the bare one that it contains.
        prefix = PREFIX if loaded.task is SENTENCE_SIMILARITY else ""
        save_graph(trace(loaded.model, loaded.task, Shapes()), packed, prefix)
        settings, _ = loaded.sentence_embedding()
        if loaded.task is SENTENCE_SIMILARITY and settings is not None:
            record = {"task": loaded.task.name, "sentence_embedding": settings.as_dict()}
            (packed / METADATA).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        files = [path for path in packed.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        if size > MAX_BYTES:
            sys.exit(f"pack: the files have {size:,} bytes, expected at most {MAX_BYTES:,}; train a smaller student")
        for path in files:
            place = folder / path.relative_to(packed)
            place.parent.mkdir(exist_ok=True)
            path.replace(place)
    print(f"{folder}: {size:,} bytes")


def save_graph(model: ir.Model, folder: Path, prefix: str = "") -> None:
    """Writes a graph that reads the weights beside it; onnxruntime makes them float32 once, at loading.

    Args:
        model: The graph; its initializers have the names of the weights after `prefix`.
        folder: The folder of the weights.
        prefix: What the names in the graph have before those of the weights.
    """
    graph = model.graph
    stored = _stored_tensors(folder)
    nodes: list[ir.Node] = []
    for name in [name for name in stored if prefix + name in graph.initializers]:
        value = graph.initializers.pop(prefix + name)
        matrix = _initializer(graph, stored[name])
        nodes.append(ir.node("Cast", [matrix], {"to": ir.DataType.FLOAT}))
        if name + SCALE in stored:
            nodes.append(ir.node("Mul", [nodes[-1].outputs[0], _initializer(graph, stored[name + SCALE])]))
        ir.convenience.replace_all_uses_with(value, nodes[-1].outputs[0])
    graph.insert_before(graph[0], nodes)
    for node in graph:  # names and metadata of the tracer are a third of the file
        node.metadata_props.clear()
        node.name = None
    ir.save(model, folder / GRAPH)


def _stored_tensors(folder: Path) -> dict[str, ir.ExternalTensor]:
    """Returns the tensors of the weights, each at its place in the file."""
    with (folder / WEIGHTS).open("rb") as file:
        length = int.from_bytes(file.read(HEADER), "little")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    tensors = {}
    for name, place in header.items():
        begin, end = place["data_offsets"]
        offset, kind, shape = HEADER + length + begin, KINDS[place["dtype"]], ir.Shape(place["shape"])
        tensors[name] = ir.ExternalTensor(
            WEIGHTS, offset, end - begin, kind, shape=shape, name=f"{name}.stored", base_dir=folder
        )
    return tensors


def _initializer(graph: ir.Graph, tensor: ir.ExternalTensor) -> ir.Value:
    assert tensor.name is not None
    value = ir.Value(name=tensor.name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
