"""Text files for bundles, written without the verification of `export --text`, which takes seconds."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir

from graphs.functions.text_file.attach import add_text
from graphs.model.loading import read_model
from mbert_onnx import load
from mbert_onnx.text.sentence_embedding import settings_in
from mbert_onnx.text.text_options import text_options, text_tables


def write_text_file(folder: Path) -> Path:
    """Writes `onnx/model_text.onnx` and `labels.txt` into a bundle. Returns the path of the first."""
    model = load(folder)
    graph = read_model(model.bundle.model_path)
    record = (model.bundle.metadata or {}).get("sentence_embedding")
    embedding = None if record is None else settings_in(record, folder)
    options = text_options(graph, model.task, model.tokenizer, model.bundle.config, embedding=embedding)
    file = folder / "onnx" / "model_text.onnx"
    ir.save(add_text(graph, text_tables(model.tokenizer), options), file)
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in options.labels), encoding="utf-8")
    return file
