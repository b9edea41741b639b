"""Files that have all that the writer of a web app reads of them, and no more."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from mbert_onnx.runtime.web.app.onnxruntime_web import SCRIPT, VERSION, WASM


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """`make_bundle(task, names=("onnx/model_text.onnx",), **metadata)`: a bundle with text files that do not run."""

    def make(
        task: str = "text-classification",
        names: tuple[str, ...] = ("onnx/model_text.onnx",),
        limit: int = 128,
        **metadata: Any,
    ) -> Path:
        folder = tmp_path / "bundle"
        text = helper.make_tensor_value_info("text", TensorProto.UINT8, ["bytes"])
        labels = helper.make_tensor_value_info("labels", TensorProto.INT64, None)
        node = helper.make_node("Tokenize", ["text"], ["labels"], domain="mbert")
        model = helper.make_model(helper.make_graph([node], "text", [text], [labels]))
        record = {"version": 1, "limit": limit, **metadata.pop("record", {})}
        properties = {"labels": ["negative", "positive"], **metadata, "text": record}
        helper.set_model_props(model, {"task": task, **{key: json.dumps(value) for key, value in properties.items()}})
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            onnx.save(model, folder / name)
        return folder

    return make


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The npm package onnxruntime-web, with small files in the place of the two that are needed."""
    folder = tmp_path / "package"
    (folder / "dist").mkdir(parents=True)
    (folder / "dist" / SCRIPT).write_text("export const env = {};\n")
    (folder / "dist" / WASM).write_bytes(b"\0asm")
    (folder / "dist" / "ort.all.js").write_text("not needed")
    (folder / "package.json").write_text(json.dumps({"name": "onnxruntime-web", "version": VERSION}))
    return folder
