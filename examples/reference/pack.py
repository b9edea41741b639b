"""Packs a trained checkpoint as a built-in model: weights in half precision, and a graph that reads them.

    python -m examples.reference.pack CHECKPOINT FOLDER

The folder is a checkpoint of transformers, or of sentence-transformers for sentence similarity, and a bundle.

The graph is not optimized: its initializers are the checkpoint's tensors, at their offsets in `model.safetensors`. One
copy of the weights thus serves `export`, transformers, and onnxruntime without torch.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import onnx_ir as ir
import torch
from safetensors.torch import load_file, save_file

from mbert_onnx.bundles.inputs import Shapes
from mbert_onnx.bundles.records import METADATA
from mbert_onnx.conversion.tracing import trace
from mbert_onnx.model.checkpoint import load_checkpoint, save_checkpoint
from mbert_onnx.model.checkpoint_files.tensor_names import PREFIX
from mbert_onnx.model.padding import zero_padding
from mbert_onnx.model.tokenizer_files import COMPANIONS
from mbert_onnx.text.tasks import SENTENCE_SIMILARITY

WEIGHTS, GRAPH = "model.safetensors", "model.onnx"

MAX_BYTES = 8_000_000

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
        halves = {name: tensor.half() for name, tensor in load_file(packed / WEIGHTS).items()}
        save_file(halves, packed / WEIGHTS, metadata={"format": "pt"})
        (packed / WEIGHTS).chmod(0o644)  # safetensors writes a file that only its owner can read
        loaded.config.dtype = torch.float16
        loaded.config.save_pretrained(packed)
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
    """Writes a graph that reads the weights beside it; onnxruntime casts them to float32 once, at loading.

    Args:
        model: The graph; its initializers have the names of the weights after `prefix`.
        folder: The folder of the weights.
        prefix: What the names in the graph have before those of the weights.
    """
    graph = model.graph
    with (folder / WEIGHTS).open("rb") as file:
        length = int.from_bytes(file.read(HEADER), "little")
        header = json.loads(file.read(length))
    for stored, place in header.items():
        name = prefix + stored
        if name not in graph.initializers:
            continue  # `__metadata__`
        begin, end = place["data_offsets"]
        value = graph.initializers.pop(name)
        half = ir.Value(name=f"{name}.half", shape=value.shape, type=ir.TensorType(ir.DataType.FLOAT16))
        half.const_value = ir.ExternalTensor(
            WEIGHTS,
            HEADER + length + begin,
            end - begin,
            ir.DataType.FLOAT16,
            shape=ir.Shape(place["shape"]),
            name=f"{name}.half",
            base_dir=folder,
        )
        graph.register_initializer(half)
        cast = ir.node("Cast", [half], {"to": ir.DataType.FLOAT})
        graph.insert_before(graph[0], cast)
        ir.convenience.replace_all_uses_with(value, cast.outputs[0])
    for node in graph:  # names and metadata of the tracer are a third of the file
        node.metadata_props.clear()
        node.name = None
    ir.save(model, folder / GRAPH)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
