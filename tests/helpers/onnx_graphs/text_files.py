"""Text files in onnxruntime, beside the runtime's model of the same bundle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from text_functions import joined

from graphs.functions.text.tables.tables import Tables
from graphs.functions.text_file.attach import add_text
from graphs.model.loading import read_model
from mbert_onnx import load
from mbert_onnx.runtime.model import Model
from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.text.sentence_embedding import EmbeddingSettings
from mbert_onnx.text.text_options import text_options, text_tables

Arrays = dict[str, np.ndarray]

SHORT = "Ada wrote the first program in London. É 漢!"
LONG = "Ada wrote the first program in London for the engine, unbelievably; grace built a compiler in New York. " * 4
OTHER = "Grace found a moth in the machine!"
QUESTION = "Who wrote it?"
TEXTS = (SHORT, LONG, OTHER)

SPLITS = {"text": "row_splits", "pair": "pair_splits", "context": "context_splits", "choices": "choice_splits"}


# The tables of each tokenizer, which take longer than all the rest of a text file.
TABLES: dict[tuple[str, bool], Tables] = {}


def tables_of(encoder: TextEncoder) -> Tables:
    """Returns the tables of a tokenizer, which are made once."""
    key = encoder.tokenizer.to_str(), encoder.settings.split_special_tokens
    if key not in TABLES:
        TABLES[key] = text_tables(encoder)
    return TABLES[key]


class TextFile:
    """The text file of a bundle's model, and the runtime's model."""

    def __init__(self, folder: Path, *, pair: bool = False, embedding: EmbeddingSettings | None = None) -> None:
        self.model: Model = load(folder)
        bundle, encoder = self.model.bundle, self.model.tokenizer
        self.tables = tables_of(encoder)
        self.options = text_options(
            self.graph(), self.model.task, encoder, bundle.config, embedding=embedding, pair=pair
        )

    def graph(self) -> ir.Model:
        """The model without text."""
        return read_model(self.model.bundle.model_path)

    @cached_property
    def file(self) -> ir.Model:
        return add_text(self.graph(), self.tables, self.options)

    @cached_property
    def session(self) -> onnxruntime.InferenceSession:
        return session_of(ir.to_proto(self.file))

    @property
    def record(self) -> Any:
        return json.loads(self.file.metadata_props["text"])

    def run(self, text: Any, max_length: int | None = None, **inputs: Any) -> Arrays:
        """Returns the outputs by name. A list of texts, and of the second texts in `inputs`, is a batch."""
        length = self.record["max_length"] if max_length is None else max_length
        return run_text(self.session, text, length, **inputs)


def session_of(
    proto: onnx.ModelProto, settings: onnxruntime.SessionOptions | None = None
) -> onnxruntime.InferenceSession:
    onnx.checker.check_model(proto)
    settings = settings or onnxruntime.SessionOptions()
    settings.log_severity_level = 3  # onnxruntime warns of each input that has a default
    return onnxruntime.InferenceSession(proto.SerializeToString(), settings, providers=["CPUExecutionProvider"])


def run_text(session: onnxruntime.InferenceSession, text: Any, max_length: int, **inputs: Any) -> Arrays:
    """Returns the outputs of a text file by name; texts are str or bytes, or lists of them."""
    feed = {"max_length": np.array([max_length])}
    for name, value in {"text": text, **inputs}.items():
        if name in SPLITS:
            data, splits = joined([value] if isinstance(value, str | bytes) else value)
            feed |= {name: data} | ({} if isinstance(value, str | bytes) else {SPLITS[name]: splits})
        else:
            feed[name] = value if isinstance(value, np.ndarray) else np.array([value])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def copied(folder: Path, parent: Path, name: str, changes: dict[str, Any]) -> Path:
    """Copies a bundle, and changes keys of one of its JSON files."""
    copy = parent / "bundle"
    shutil.copytree(folder, copy)
    path = copy / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return copy


def close(value: Any) -> Any:
    """Of float32 in two engines."""
    return pytest.approx(value, rel=1e-4, abs=1e-6)


def characters(text: str, span: Sequence[int]) -> tuple[int, int]:
    """Returns a span of bytes in characters."""
    data = text.encode()
    return len(data[: span[0]].decode()), len(data[: span[1]].decode())
