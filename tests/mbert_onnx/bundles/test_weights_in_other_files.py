"""All commands read weights in other files by one rule: a cache of the hub is read, files elsewhere are not."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from exported_checkpoints import Exported, Exports

import mbert_onnx
from graphs.errors import GraphError
from mbert_onnx.errors import BundleError, MbertError, VerificationError

TEXT = "ada wrote the first program ."


@pytest.fixture(scope="module")
def plain(exported: Exports) -> Exported:
    return exported("text-classification", functions=False)


@pytest.fixture
def cached(plain: Exported, tmp_path: Path) -> Path:
    """The bundle as the hub's cache has it: every file a link into `blobs`, the weights in a file of their own."""
    flat, blobs, snapshot = tmp_path / "flat", tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    shutil.copytree(plain.bundle, flat)
    model = onnx.load(plain.model)
    plain_name = plain.model.relative_to(plain.bundle)
    (flat / plain_name).unlink()
    onnx.save(model, flat / plain_name, save_as_external_data=True, location="model.onnx_data", size_threshold=100)
    blobs.mkdir()
    for number, file in enumerate(path for path in sorted(flat.rglob("*")) if path.is_file()):
        shutil.move(file, blobs / str(number))
        link = snapshot / file.relative_to(flat)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blobs / str(number), link.parent))
    return snapshot


def test_a_cache_of_the_hub_is_read(cached: Path, plain: Exported, tmp_path: Path) -> None:
    file = cached / "onnx" / "model.onnx"
    expected = mbert_onnx.load(plain.bundle).run(TEXT)
    for model in (cached, file):
        assert mbert_onnx.load(model).run(TEXT) == expected
    census = mbert_onnx.inspect(file)
    assert census.parameters == mbert_onnx.inspect(plain.model).parameters
    assert census.file_bytes > census.weight_bytes
    report = mbert_onnx.optimize(file, tmp_path / "optimized.onnx")
    assert report.bytes_before == census.file_bytes
    assert mbert_onnx.verify(tmp_path / "optimized.onnx", file).passed
    assert mbert_onnx.verify(cached, plain.checkpoint).passed


@pytest.mark.full
def test_a_cache_of_the_hub_is_measured(cached: Path) -> None:
    diagnosis = mbert_onnx.doctor(cached)
    assert diagnosis.prospects
    names = [str(cached), str(cached / "onnx" / "model.onnx"), f"ort-dynamic:{cached}", f"optimized:{cached}"]
    report = mbert_onnx.bench(names, seq_lens=(8,), threads=(1,), budget=1.0)
    assert not report.failures
    (one,) = mbert_onnx.doctor_provider(cached, "cpu")
    assert one.forecast.nodes


Command = Callable[[Path, Path], Any]

COMMANDS: dict[str, Command] = {
    "run": lambda bundle, _: mbert_onnx.load(bundle).run(TEXT),
    "inspect": lambda bundle, _: mbert_onnx.inspect(bundle),
    "optimize": lambda bundle, output: mbert_onnx.optimize(bundle, output),
    "optimize --precision int8": lambda bundle, output: mbert_onnx.optimize(bundle, output, precision="int8"),
    "verify": lambda bundle, _: mbert_onnx.verify(bundle, bundle / "onnx" / "model.onnx"),
    "doctor": lambda bundle, _: mbert_onnx.doctor(bundle),
    "bench": lambda bundle, _: mbert_onnx.bench([str(bundle)], seq_lens=(8,), threads=(1,), budget=1.0),
    "bench ort-dynamic": lambda bundle, _: mbert_onnx.bench([f"ort-dynamic:{bundle}"], seq_lens=(8,), budget=1.0),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("lead", ["dots", "link", "absolute", "missing", "folder", "truncated"])
def test_data_that_is_refused(command: str, lead: str, plain: Exported, tmp_path: Path) -> None:
    """One line, with the cause and its advice, and no output file that has bytes of the other file."""
    bundle, secret = tmp_path / "bundle", tmp_path / "secret"
    shutil.copytree(plain.bundle, bundle)
    file = bundle / "onnx" / "model.onnx"
    location = {"dots": "../../secret", "absolute": str(secret)}.get(lead, "data")
    model = onnx.load(file)
    file.unlink()
    onnx.save(model, file, save_as_external_data=True, location="data", size_threshold=100)
    if lead != "truncated":
        (file.parent / "data").rename(secret)
    else:
        os.truncate(file.parent / "data", 1_000)
    if lead == "link":
        (file.parent / "data").symlink_to(secret)
    if lead == "folder":
        (file.parent / "data").mkdir()
    moved = onnx.load(file, load_external_data=False)
    for tensor in moved.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    file.write_bytes(moved.SerializeToString())
    line = {
        "absolute": "which is an absolute path",
        "missing": "which is not there; put it beside the model",
        "folder": "which is a folder",
        "truncated": r"which is too short: .*; copy it again",
    }.get(lead, "which is outside of its folder")
    with pytest.raises((BundleError, VerificationError, GraphError, MbertError), match=line) as caught:
        COMMANDS[command](bundle, tmp_path / "output.onnx")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "output.onnx").exists()


def test_a_file_in_a_bundle_is_measured_with_its_tokenizer(plain: Exported) -> None:
    """`bench BUNDLE/onnx/model.onnx` is the bundle at that precision, not a file on its own."""
    from contextlib import ExitStack

    from mbert_onnx.benchmark.models.builder import ModelBuilder

    with ExitStack() as stack:
        builder = ModelBuilder(stack, task=None, seed=0, seq_lens=None, batch=1, kernels="portable", progress=None)
        reader = builder.model(str(plain.model)).find_reader()
    assert reader is not None
    assert reader.task.name == "text-classification"
    assert reader.vocab_size == json.loads((plain.bundle / "config.json").read_text())["vocab_size"]
