"""What the JavaScript runtimes make of our files: onnxruntime-web's WebAssembly, onnxruntime-node, transformers.js.

`make web` installs them, beside the examples that are run here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import transformers
from exported_checkpoints import Exports
from small_checkpoints import save_small

import mbert_onnx

WEB = Path(__file__).parents[3] / "examples" / "web"
QUESTION, CONTEXT = "who wrote it ?", "ada wrote the first program in london ."
BATCH, LENGTH = 2, 12
# Float32 sums in another order; and a number that is rounded to the other side is a step off, of which 8 bits have 255.
APART = {"fp32": 1e-5, "fp16": 1e-3, "int8": 0.1}

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(not (WEB / "node_modules").is_dir(), reason="`make web` was not run"),
]

Make = Callable[..., Path]


@pytest.fixture(scope="module")
def bundle(
    runtime_tokenizer: transformers.BertTokenizerFast, texts: Path, tmp_path_factory: pytest.TempPathFactory
) -> Make:
    """`bundle(precision, **options)`: one question-answering checkpoint, exported once for each."""
    root = tmp_path_factory.mktemp("web")
    save_small(root / "checkpoint", vocab_size=len(runtime_tokenizer))
    runtime_tokenizer.save_pretrained(root / "checkpoint")

    def make(precision: str, **options: Any) -> Path:
        folder = root / "-".join(map(str, (precision, *options.values())))
        if not folder.is_dir():
            lower: dict[str, Any] = {} if precision == "fp32" else {"calibrate": texts, "min_agreement": 0}
            mbert_onnx.export(root / "checkpoint", folder, precision=precision, **lower, **options)
        return folder

    return make


def node(script: str, *arguments: str | Path, given: str = "") -> str:
    done = subprocess.run(["node", WEB / script, *arguments], input=given, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("runtime", ["onnxruntime-web", "onnxruntime-node"])
@pytest.mark.parametrize(
    "options",
    [{}, {"functions": False}, {"target": "mobile", "batch": BATCH, "seq_len": LENGTH}],
    ids=["functions", "no-functions", "mobile"],
)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_outputs_are_those_of_onnxruntime(precision: str, options: dict[str, Any], runtime: str, bundle: Make) -> None:
    (file,) = (bundle(precision, **options) / "onnx").glob("*.onnx")
    generator = np.random.default_rng(0)
    rows = {
        "input_ids": generator.integers(5, 150, (BATCH, LENGTH)),
        "attention_mask": np.arange(LENGTH) < np.array([[LENGTH], [7]]),
        "token_type_ids": np.arange(LENGTH) >= np.array([[5], [3]]),
    }
    plain = onnxruntime.SessionOptions()
    # As the file says it: with 16-bit activations, the fused products of onnxruntime's newest round elsewhere.
    plain.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(file, plain, providers=["CPUExecutionProvider"])
    dtypes = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
    feeds = {value.name: rows[value.name].astype(dtypes[value.type]) for value in session.get_inputs()}
    names = [value.name for value in session.get_outputs()]
    expected = dict(zip(names, session.run(names, feeds), strict=True))

    lists = {name: array.astype(int).tolist() for name, array in rows.items()}
    found = json.loads(node("logits.mjs", runtime, file, given=json.dumps(lists)))
    assert list(found) == names == ["start_logits", "end_logits"]
    for name, told in found.items():
        logits = np.array(told["data"], np.float64).reshape(told["dims"])
        assert logits.shape == (BATCH, LENGTH)
        spread = np.std(expected[name])
        assert np.abs(logits - expected[name]).max() <= APART[precision] * spread, name


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_transformers_js_answers_as_we_do(precision: str, bundle: Make) -> None:
    folder = bundle(precision)
    expected = mbert_onnx.load(folder).answer(QUESTION, CONTEXT, max_answer_len=len(CONTEXT))[0].answer
    answer = node("answer.mjs", folder, precision, QUESTION, CONTEXT)
    assert answer.replace(" ", "").strip() == expected.replace(" ", "") != ""  # it joins pieces in another way


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_transformers_js_embeds_as_we_do(precision: str, exported: Exports, texts: Path, tmp_path: Path) -> None:
    """By its own mean and unit length, of the hidden states: it does not read `sentence_embedding`."""
    files = exported("sentence-similarity")
    folder = files.bundle
    if precision != "fp32":
        folder = tmp_path / "bundle"
        mbert_onnx.export(files.checkpoint, folder, precision=precision, calibrate=texts, min_agreement=0)
    found = json.loads(node("embed.mjs", folder, precision, QUESTION, CONTEXT))
    expected = np.stack([mbert_onnx.load(folder).embed(text) for text in (QUESTION, CONTEXT)])
    vectors = np.array(found["vectors"])
    assert (vectors * expected).sum(axis=1) == pytest.approx(1, abs=1e-5 if precision == "fp32" else 5e-3)
    assert found["similarity"] == pytest.approx(vectors[0] @ vectors[1])
