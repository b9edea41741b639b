"""Padding: files that ignore it, and what `export` and `doctor` report where answers depend on it.

The embedding of [PAD] of the small checkpoints is random, so padding changes their answers.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from exported_checkpoints import Exported, Exports, Traces
from small_checkpoints import put_tensors, tensors_of

from mbert_onnx import doctor, export, load, verify
from mbert_onnx.bundles.inputs import Shapes
from mbert_onnx.bundles.model_file import TextModel, TextReader
from mbert_onnx.conversion.comparison.padding import Padding
from mbert_onnx.conversion.precision import read_texts
from mbert_onnx.diagnosis.padding import padding_effect, padding_note
from mbert_onnx.model.checkpoint import load_checkpoint
from mbert_onnx.text.calibration_text import read_calibration
from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.text.tasks import MULTIPLE_CHOICE, Task, task_named

# Largest difference of outputs of a few units from transformers' in float64, and from the same file's: int8 is compared
# with itself only.
CLOSE = {"fp32": 1e-4, "fp16": 0.05, "int8": np.inf}
EQUAL = {"fp32": 1e-4, "fp16": 0.01, "int8": 1e-4}

# The smallest change by padding in a file that does not ignore it; it depends on the trained tokenizer.
CHANGED = 0.002

# Positions of the small checkpoints.
POSITIONS = 40

WORDS = "mobilebert.embeddings.word_embeddings.weight"


def one_text(encoder: TextEncoder, task: Task) -> dict[str, np.ndarray]:
    row, _ = encoder.truncated("the school won the first game .", "who won the game ?")
    feed = {"input_ids": row.ids, "attention_mask": [1] * len(row), "token_type_ids": row.type_ids}
    shape = (1, 2, len(row)) if task is MULTIPLE_CHOICE else (1, len(row))
    return {name: np.tile(np.array(ids, np.int64), (*shape[:-1], 1)).reshape(shape) for name, ids in feed.items()}


def padded(feed: dict[str, np.ndarray], more: int, token: int = 0) -> dict[str, np.ndarray]:
    return {
        name: np.pad(ids, [(0, 0)] * (ids.ndim - 1) + [(0, more)], constant_values=token * (name == "input_ids"))
        for name, ids in feed.items()
    }


def answers(path: Path, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Runs a file in onnxruntime and cuts its outputs to the real tokens of the first text."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    dtype = np.int32 if session.get_inputs()[0].type == "tensor(int32)" else np.int64
    values = session.run(None, {name: ids.astype(dtype) for name, ids in feed.items()})
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, values, strict=True))


def torchs(found: Exported, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with torch.no_grad():
        outputs = found.theirs.double()(**{name: torch.from_numpy(ids) for name, ids in feed.items()})
    return {name: value.numpy() for name, value in outputs.items() if isinstance(value, torch.Tensor)}


def difference(a: dict[str, np.ndarray], b: dict[str, np.ndarray], task: Task, count: int) -> float:
    cut = {
        name: slice(count) if "sequence" in task.axes(name) else slice(None) for name in task.output_names if name in b
    }
    return max(float(np.abs(a[name][:, at] - b[name][:, at]).max()) for name, at in cut.items())


FAST: list[tuple[str, dict[str, Any]]] = [
    ("text-classification", {}),
    ("question-answering", {"switch": "other_pad"}),
    ("multiple-choice", {}),
    ("text-classification", {"precision": "int8"}),
    ("text-classification", {"precision": "int8", "target": "mobile", "seq_len": 32}),
]
SLOW: list[tuple[str, dict[str, Any]]] = [
    ("question-answering", {"switch": "layer_norm"}),
    ("feature-extraction", {}),
    ("fill-mask", {}),
    ("text-classification", {"functions": False}),
    ("text-classification", {"precision": "fp16"}),
    ("text-classification", {"precision": "int8", "functions": False}),
    ("text-classification", {"target": "mobile", "seq_len": 32}),
    ("text-classification", {"target": "web", "batch": 2}),
]


@pytest.mark.parametrize(
    ("name", "options"),
    [*FAST, *(pytest.param(*case, marks=pytest.mark.full) for case in SLOW)],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_a_file_that_ignores_padding_answers_as_torch_does_for_the_text_alone(
    name: str, options: dict[str, Any], exported: Exports, texts: Path
) -> None:
    task, precision = task_named(name), options.get("precision", "fp32")
    lower = {} if precision == "fp32" else {"calibrate": texts, "min_agreement": 0.5}
    found = exported(name, **options, **lower, ignore_padding=True)
    encoder = TextEncoder(found.bundle / "tokenizer.json", POSITIONS)
    text = one_text(encoder, task)
    count, batch, fixed = text["input_ids"].shape[-1], options.get("batch", 1), options.get("seq_len")
    text = {key: np.tile(ids, (batch,) + (1,) * (ids.ndim - 1)) for key, ids in text.items()}
    alone = torchs(found, text)
    lengths = [fixed] if fixed else [count + 1, count + 7]
    for length in lengths:
        for token in (0, 7):  # what is at padding does not matter
            long = answers(found.model, padded(text, length - count, token))
            assert difference(long, alone, task, count) <= CLOSE[precision]
            if not fixed:
                assert difference(long, answers(found.model, text), task, count) <= EQUAL[precision]
    # Padding does change torch's answer.
    assert difference(torchs(found, padded(text, 3)), alone, task, count) > CHANGED


def test_a_file_that_ignores_padding_is_the_same_model(exported: Exports) -> None:
    found = exported("text-classification", ignore_padding=True)
    assert verify(found.bundle, found.checkpoint).passed
    plain = exported("text-classification")
    assert verify(plain.bundle, found.checkpoint).passed
    assert verify(plain.bundle, found.bundle).passed
    assert verify(found.bundle, plain.bundle).passed


def measured(found: Exported, texts: Path) -> tuple[int, int, float]:
    """Returns the numbers of texts and of decisions that padding changes, and the largest change, by transformers."""
    encoder = TextEncoder(found.checkpoint / "tokenizer.json", POSITIONS)
    parts = read_calibration(texts, task_named("text-classification"))
    changed, count, largest = 0, 0, 0.0
    for text in parts.fit:
        row, _ = encoder.truncated(text.text, text.pair)
        if len(row) == POSITIONS:
            continue  # there is no room for padding
        feed = {"input_ids": row.ids, "attention_mask": [1] * len(row), "token_type_ids": row.type_ids}
        arrays = {name: np.array([ids]) for name, ids in feed.items()}
        a, b = torchs(found, padded(arrays, 1))["logits"], torchs(found, arrays)["logits"]
        changed, count = changed + int((a.argmax() != b.argmax()).sum()), count + 1
        largest = max(largest, float(np.abs(a - b).max()))
    return count, changed, largest


def test_export_reports_what_padding_changes(exported: Exports, texts: Path) -> None:
    options: dict[str, Any] = {"precision": "int8", "calibrate": texts, "min_agreement": 0.5}
    found = exported("text-classification", **options)
    padding = found.metadata["padding"]
    assert (padding["ignored"], padding["zero_embedding"]) == (False, False)
    effect = padding["effect"]
    count, changed, largest = measured(found, texts)
    assert (effect["texts"], effect["decisions"], effect["changed"]) == (count, count, changed)
    assert effect["largest_change"] == pytest.approx(largest, abs=1e-4)
    assert largest > CHANGED
    assert effect["source"] == "texts.jsonl"
    note = next(note for note in found.metadata["notes"] if "embedding of padding" in note)
    assert f"changes {changed} of {count} decisions, and logits by up to {largest:.2g}" in note
    assert note.endswith("--ignore-padding writes a file whose answers do not")
    ignoring = exported("text-classification", precision="int8", calibrate=texts, min_agreement=0, ignore_padding=True)
    assert ignoring.metadata["padding"] == {**padding, "ignored": True}
    assert ignoring.metadata["notes"][0].endswith("the file ignores padding")


@pytest.mark.usefixtures("traced_once")
def test_without_a_tokenizer_nothing_is_measured(exported: Exports, tmp_path: Path) -> None:
    shutil.copytree(exported("text-classification").checkpoint, tmp_path / "bare")
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        (tmp_path / "bare" / name).unlink(missing_ok=True)
    report = export(tmp_path / "bare", tmp_path / "bundle")
    assert report.padding == Padding(ignored=False, zero_embedding=False)
    assert any("no text can be read to measure how much" in note for note in report.notes)


@pytest.fixture(scope="module")
def zeroed(exported: Exports, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a zero embedding of [PAD]."""
    folder = tmp_path_factory.mktemp("zeroed")
    shutil.copytree(exported("text-classification").checkpoint, folder, dirs_exist_ok=True)
    tensors = tensors_of(folder)
    tensors[WORDS][0] = 0.0
    put_tensors(folder, tensors)
    return folder


@pytest.mark.usefixtures("traced_once")
def test_nothing_is_reported_of_a_zero_embedding(zeroed: Path, tmp_path: Path) -> None:
    report = export(zeroed, tmp_path / "bundle")
    assert report.padding == Padding(ignored=False, zero_embedding=True)
    assert not any("padding" in note for note in report.notes)


@pytest.mark.usefixtures("traced_once")
def test_the_padding_token_is_the_tokenizers(zeroed: Path, texts: Path, tmp_path: Path) -> None:
    """As in transformers: `pad_token_id` in config.json stays 0 where a vocabulary has [PAD] in another place."""
    checkpoint, bundle = tmp_path / "checkpoint", tmp_path / "bundle"
    shutil.copytree(zeroed, checkpoint)
    (checkpoint / "special_tokens_map.json").unlink(missing_ok=True)
    settings = checkpoint / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "pad_token": "[MASK]"}))
    config = checkpoint / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "pad_token_id": -1}))  # none
    report = export(checkpoint, bundle, seq_len=32)
    assert report.padding is not None
    assert not report.padding.zero_embedding
    effect = doctor(bundle, calibrate=texts).padding
    assert effect is not None
    assert effect.largest_change > CHANGED
    model = load(bundle)
    token = model.tokenizer.padding_id
    assert token == model.tokenizer.mask_id != 0
    row = model.tokenizer.truncated("the school won the first game .")[0]
    rows = {"input_ids": row.ids, "attention_mask": [1] * len(row), "token_type_ids": row.type_ids}
    feed = {name: np.array([ids]) for name, ids in rows.items()}
    logits = answers(bundle / "onnx/model.onnx", padded(feed, 32 - len(row), token))["logits"][0].astype(np.float64)
    scores = np.exp(logits) / np.exp(logits).sum()
    found = model.classify("the school won the first game .").labels
    assert [label.score for label in found] == pytest.approx(sorted(scores.tolist(), reverse=True))


@pytest.mark.parametrize("fixed", [False, True], ids=["dynamic", "fixed length"])
def test_the_effect_of_padding_in_a_graph(
    fixed: bool, exported: Exports, zeroed: Path, texts: Path, traces: Traces
) -> None:
    found = exported("text-classification")
    task = task_named("text-classification")
    shapes = Shapes(seq_len=32 if fixed else None)
    reader = TextReader(task, found.bundle / "tokenizer.json", None, POSITIONS)
    feeds = read_texts(texts, TextModel("", shapes, reader, is_random=False))
    graph, zeros = (traces(load_checkpoint(folder).model, task, shapes) for folder in (found.checkpoint, zeroed))
    assert padding_effect(zeros, feeds, task, 0, POSITIONS, fixed=fixed) is None
    effect = padding_effect(graph, feeds, task, 0, POSITIONS, fixed=fixed)
    assert effect is not None
    assert effect.largest_change > CHANGED
    assert effect.decisions == effect.texts > 2
    if not fixed:
        assert effect.largest_change == pytest.approx(measured(found, texts)[2], abs=1e-4)
    assert padding_note(graph, 0, effect).startswith("the embedding of padding is not zero, so that answers depend on")


def test_doctor_reports_that_answers_depend_on_padding(exported: Exports, texts: Path) -> None:
    found = doctor(exported("text-classification").bundle, calibrate=texts)
    assert found.padding is not None
    assert found.as_dict()["padding"]["largest_change"] > CHANGED
    assert found.notes[-1].endswith("export the checkpoint with --ignore-padding")
    ignoring = doctor(exported("text-classification", ignore_padding=True).bundle, calibrate=texts)
    assert ignoring.as_dict()["padding"] is None
    assert not any("padding" in note for note in ignoring.notes)
