"""Folders that are no checkpoint of PyTorch: what the error says, and the Python code that it gives."""

from __future__ import annotations

import ast
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import transformers
from safetensors.torch import save_file
from small_checkpoints import WEIGHTS, assert_same_model, put_bin, put_config, put_shards, save_small, tensors_of

from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.checkpoint import load_checkpoint

Files = dict[str, bytes]
CONFIG = json.dumps({"model_type": "mobilebert", "architectures": ["TFMobileBertForTokenClassification"]}).encode()
LORA = json.dumps({"peft_type": "LORA", "task_type": "SEQ_CLS", "base_model_name_or_path": "google/base"}).encode()
NO_TASK = json.dumps({"peft_type": "IA3", "task_type": None}).encode()
PREFIX = json.dumps({"peft_type": "PREFIX_TUNING", "task_type": "TOKEN_CLS"}).encode()
FROM = json.dumps({"model_type": "mobilebert", "_name_or_path": "someone/mobilebert"}).encode()


def code_in(line: str) -> str:
    """Returns the Python code in a message."""
    return re.split("; (?:then export|config.json names) ", line.split("in Python: ")[1])[0]


def put(folder: Path, files: Files) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (
            {"adapter_config.json": LORA},
            r"has adapter_config.json, a PEFT adapter \(LORA\) of google/base, and no whole model; merge it in Python: "
            r"from peft import AutoPeftModelForSequenceClassification; AutoPeftModelForSequenceClassification"
            r'\.from_pretrained\("@"\)\.merge_and_unload\(\)\.save_pretrained\("@-merged"\); from transformers import '
            r'AutoTokenizer; AutoTokenizer\.from_pretrained\("google/base"\)\.save_pretrained\("@-merged"\); then e'
            r"xport @-merged$",
        ),
        ({"adapter_config.json": LORA, "config.json": CONFIG}, r"a PEFT adapter \(LORA\)"),
        (
            {"adapter_config.json": LORA, "tokenizer_config.json": b"{}"},
            r'; AutoTokenizer\.from_pretrained\("@"\)\.save_pretrained\("@-merged"\); then',
        ),
        ({"adapter_config.json": NO_TASK}, r"import AutoPeftModel; AutoPeftModel\.from_pretrained\("),
        (
            {"adapter_config.json": b"{"},
            r"a PEFT adapter, and no whole model; merge it in Python: from peft import Auto",
        ),
        (
            {"adapter_config.json": PREFIX},
            r"PREFIX_TUNING\), and no whole model; it learns inputs and cannot be merged",
        ),
        ({"adapter_model.safetensors": b""}, r"has adapter_model.safetensors, a PEFT adapter"),
        (
            {"tf_model.h5": b"", "config.json": CONFIG},
            r"has tf_model.h5, weights of TensorFlow; convert them, where transformers 4, tensorflow and tf-keras are "
            r"installed, in Python: .* load_tf2_model_in_pytorch_model; model = TFMobileBertForTokenClassification"
            r'\.from_pretrained\("@"\); load_tf2_model_in_pytorch_model\(MobileBertForTokenClassification\(model\.conf'
            r'ig\), model\)\.save_pretrained\("@"\)$',
        ),
        (
            {"tf_model.h5": b"", "config.json": CONFIG.replace(b"TokenClassification", b"MaskedLM")},
            r'= TFMobileBertForMaskedLM.from_pretrained\("@"\); model\.config\.tie_word_embeddings = False; load_tf2',
        ),
        ({"tf_model-00001-of-00002.h5": b"", "config.json": CONFIG}, r'= TFMobileBertForT.*save_pretrained\("@"\)$'),
        (
            {"tf_model.h5": b"", "config.json": FROM},
            r"import MobileBertModel, .*; config.json names no class: replace MobileBertModel, which has no head, by",
        ),
        (
            {"flax_model.msgpack": b"", "config.json": CONFIG},
            r"has flax_model.msgpack, weights of Flax, in which transformers has no MobileBERT; if .*, where flax is in"
            r'stalled, in Python: .*msgpack_restore\(open\("@/flax_model.msgpack", .*, "@/model.safetensors"\)$',
        ),
        (
            {"m.ckpt.index": b"", "m.ckpt.data-00000-of-00001": b"", "bert_config.json": b"{}"},
            r"has m.ckpt.index, a checkpoint of TensorFlow 1; convert it, .* in Python: from transformers import "
            r'.*from_json_file\("@/bert_config.json"\)\), config, "@/m.ckpt"\)\.save_pretrained\("@"\)$',
        ),
        ({"model.ckpt-28.index": b"", "uncased_OPT.json": b"{}"}, r"@/uncased_OPT.json.*@/model.ckpt-28\""),
        ({"saved_model.pb": b""}, r"a SavedModel of TensorFlow; .*: python -m tf2onnx.convert --saved-model @ "),
        (
            {"saved_model/1/saved_model.pb": b"", "config.json": CONFIG},
            r"convert --saved-model @/saved_model/1 --output",
        ),
        ({"zero_to_fp32.py": b""}, r"python @/zero_to_fp32.py @ @/pytorch_model.bin$"),
        ({"zero_to_fp32.py": b"parser.add_argument('output_dir')"}, r"python @/zero_to_fp32.py @ @$"),
        ({"onnx/model.onnx": b"", "config.json": FROM}, r"an ONNX model, .*: mbert-onnx optimize @/onnx/model.onnx -o"),
        ({"model.onnx": b""}, r"has model.onnx, an ONNX model, .*: mbert-onnx optimize @/model.onnx -o"),
        (
            {"openvino_model.xml": b"", "openvino_model.bin": b"", "config.json": FROM},
            r"a model of OpenVINO, which cannot be converted back; export the checkpoint that it was made from, "
            "which may be someone/mobilebert$",
        ),
        (
            {"m.tflite": b""},
            r"has m.tflite, a model of LiteRT \(TensorFlow Lite\), which cannot be converted back; exp",
        ),
        ({"m.gguf": b""}, r"has m.gguf, a model of llama.cpp, which cannot be converted back"),
        ({"rust_model.ot": b"", "config.json": FROM}, r"has rust_model.ot, a model of rust-bert, which cannot"),
        (
            {"mobilebert.safetensors": b"", "config.json": FROM},
            r"and no model.safetensors; .* name it model.safetensors",
        ),
        ({"last.ckpt": b"", "optimizer.pt": b""}, r"has last.ckpt, and no pytorch_model.bin; .* name it pytorch_model"),
        ({"training_args.bin": b"", "optimizer.pt": b""}, r"has no config.json; expected a folder that transformers'"),
        (
            {f"checkpoint-{n}/config.json": FROM for n in range(101, 111)},
            r"has no config.json, but checkpoints in checkpoint-101, .*, checkpoint-108 and 2 others; g",
        ),
        (
            {"snapshots/abc/config.json": FROM, "refs/main": b"abc"},
            r"no config.json, but checkpoints in snapshots/abc; ",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_the_error_says_what_was_found_and_how_to_convert_it(files: Files, says: str, tmp_path: Path) -> None:
    put(tmp_path, files)
    with pytest.raises(CheckpointError, match=says.replace("@", str(tmp_path))) as caught:
        load_checkpoint(tmp_path)
    line = str(caught.value)
    assert "\n" not in line
    if "in Python: " in line:
        ast.parse(code_in(line))


def test_an_adapter_s_labels_are_in_its_code(tmp_path: Path) -> None:
    put(tmp_path, {"adapter_config.json": LORA})
    classifier = "base_model.model.classifier.weight"
    save_file({classifier: torch.ones(5, 8), "base_model.model.lora_A.weight": torch.ones(2, 2)}, tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match=rf'from_pretrained\("{tmp_path}", num_labels=5\)\.merge'):
        load_checkpoint(tmp_path)


def test_names_in_a_file_are_shortened(tmp_path: Path) -> None:
    config = {"peft_type": "a\nb" * 2000, "task_type": [], "base_model_name_or_path": {"a": "b" * 5000}}
    put(tmp_path, {"adapter_config.json": json.dumps(config).encode()})
    with pytest.raises(
        CheckpointError, match=r"a PEFT adapter \('a\\nba.*… \(8,002 characters\)\) of \{'a': 'bbb"
    ) as caught:
        load_checkpoint(tmp_path)
    assert len(str(caught.value)) < 1000


def test_an_adapter_beside_whole_weights_is_not_applied(tmp_path: Path) -> None:
    theirs = save_small(tmp_path)
    put(tmp_path, {"adapter_config.json": LORA})
    found = load_checkpoint(tmp_path)
    assert found.notes == ["adapter_config.json is not applied: the weights are those of model.safetensors"]
    assert_same_model(theirs, found.model)


def test_names_with_quotes_stay_python(tmp_path: Path) -> None:
    folder = tmp_path / 'it\'s "a" \\ model'
    put(folder, {"tf_model.h5": b"", "config.json": CONFIG})
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(folder)
    code = ast.parse(code_in(str(caught.value)))
    paths = [node.value for node in ast.walk(code) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert paths == [str(folder), str(folder)]


def test_the_code_uses_what_transformers_has() -> None:
    """Of transformers 4; its version 5 does not read TensorFlow's weights, which the messages say."""
    if transformers.__version__.startswith("5."):
        pytest.skip("transformers 5 reads no weights of TensorFlow")
    assert callable(transformers.load_tf_weights_in_mobilebert)
    assert callable(transformers.MobileBertConfig.from_json_file)
    assert callable(transformers.TFMobileBertForTokenClassification)
    spec = find_spec("transformers.modeling_tf_pytorch_utils")
    assert spec is not None
    assert spec.origin is not None
    assert "def load_tf2_model_in_pytorch_model(pt_model, tf_model" in Path(spec.origin).read_text()


@pytest.mark.parametrize(
    ("config", "names", "code"),
    [
        # peft would load the bare model, in which no name fits, and leave the adapter out without an error.
        (
            {"task_type": "FEATURE_EXTRACTION"},
            ["mobilebert.e", "cls.predictions.bias"],
            "transformers.MobileBertForMaskedLM",
        ),
        (
            {"task_type": "FEATURE_EXTRACTION"},
            ["mobilebert.e"],
            'getattr(transformers, transformers.AutoConfig.from_pretrained("a/b").architectures[0])',
        ),
        ({"task_type": "FEATURE_EXTRACTION"}, ["encoder.e"], "AutoPeftModelForFeatureExtraction"),
        # transformers' own add_adapter writes no class, and peft finds none.
        ({"task_type": None}, ["encoder.e"], "transformers.MobileBertModel"),
        ({"task_type": None}, ["mobilebert.e", "qa_outputs.weight"], "transformers.MobileBertForQuestionAnswering"),
        (
            {"task_type": None},
            ["mobilebert.e", "classifier.weight"],
            "transformers.MobileBertForSequenceClassification",
        ),
        (
            {"task_type": None, "auto_mapping": {"base_model_class": "MobileBertForMaskedLM"}},
            ["mobilebert.e"],
            "AutoPeftModel",
        ),
    ],
)
def test_an_adapter_is_merged_in_the_class_it_was_trained_in(
    config: dict[str, Any], names: list[str], code: str, tmp_path: Path
) -> None:
    content = {"peft_type": "LORA", "base_model_name_or_path": "a/b", **config}
    put(tmp_path, {"adapter_config.json": json.dumps(content).encode()})
    torch.save({f"base_model.model.{name}": torch.ones(2, 2) for name in names}, tmp_path / "adapter_model.bin")
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path)
    line = str(caught.value)
    ast.parse(code_in(line))
    base = "" if code.startswith("AutoPeft") else r'"a/b"'
    assert f"{code}.from_pretrained({base}" in line
    assert ("PeftModel.from_pretrained(transformers" in line or "PeftModel.from_pretrained(getattr" in line) == bool(
        base
    )
    assert ("num_labels=2" in line) == ("classifier.weight" in names)


@pytest.mark.parametrize(
    ("config", "names", "note"),
    [
        ({"task_type": "QUESTION_ANS"}, ["mobilebert.e"], "; peft passes no token_type_ids to question answering, "),
        (
            {"task_type": None, "auto_mapping": {"base_model_class": "MobileBertForMaskedLM"}},
            ["mobilebert.embeddings.word_embeddings.lora_embedding_A"],
            "; the adapter changes the word embeddings, and merging also the LM head, if that is tied to them",
        ),
    ],
)
def test_notes_on_a_merged_model_that_answers_otherwise(
    config: dict[str, Any], names: list[str], note: str, tmp_path: Path
) -> None:
    content = {"peft_type": "LORA", "base_model_name_or_path": "a/b", **config}
    put(tmp_path, {"adapter_config.json": json.dumps(content).encode()})
    save_file({f"base_model.model.{name}": torch.ones(2, 2) for name in names}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match=f"; then export {tmp_path}-merged{note}"):
        load_checkpoint(tmp_path)


def test_tensorflow_s_weights_in_safetensors(tmp_path: Path) -> None:
    put(tmp_path, {"config.json": CONFIG})
    save_file({"classifier/kernel": torch.ones(2, 2)}, tmp_path / WEIGHTS, {"format": "tf"})
    expected = (
        r"has model\.safetensors with weights of TensorFlow; convert them, .*TFMobileBertForTokenClassification\."
        r'from_pretrained\("@"\); .*\.save_pretrained\("@-pytorch"\); from transformers import AutoTokenizer; .*; then'
        r" export @-pytorch$"
    )
    with pytest.raises(CheckpointError, match=expected.replace("@", str(tmp_path))) as caught:
        load_checkpoint(tmp_path)
    ast.parse(code_in(str(caught.value)))


@pytest.mark.parametrize("file", ["model.fp16.safetensors", "pytorch_model.fp16.bin", "sharded"])
def test_the_only_variant_is_read(file: str, tmp_path: Path) -> None:
    theirs: Any = save_small(tmp_path).half()
    tensors = theirs.state_dict()
    if file == "sharded":
        put_shards(tmp_path, tensors, "safetensors")
        file = "model.safetensors.index.fp16.json"
        for path in tmp_path.glob("model-*"):
            path.rename(tmp_path / path.name.replace("model-", "model.fp16-"))
        index = (tmp_path / "model.safetensors.index.json").read_text()
        (tmp_path / "model.safetensors.index.json").unlink()
        (tmp_path / file).write_text(index.replace("model-", "model.fp16-"))
    else:
        put_bin(tmp_path, tensors)
        (tmp_path / "pytorch_model.bin").rename(tmp_path / file)
        if file.endswith(".safetensors"):
            save_file(tensors, tmp_path / file)
    found = load_checkpoint(tmp_path)
    assert found.notes == [f"the weights are those of {file}, widened to float32; there are no others"]
    assert_same_model(theirs.float(), found.model)


def test_the_whole_weights_are_read_before_variants(tmp_path: Path) -> None:
    theirs = save_small(tmp_path)
    (tmp_path / "model.fp16.safetensors").write_bytes(b"")
    found = load_checkpoint(tmp_path)
    assert found.notes == []
    assert_same_model(theirs, found.model)


def test_several_variants_are_named(tmp_path: Path) -> None:
    save_small(tmp_path)
    (tmp_path / WEIGHTS).rename(tmp_path / "model.fp16.safetensors")
    (tmp_path / "model.bf16.safetensors").write_bytes(b"")
    with pytest.raises(
        CheckpointError, match=r"the variants bf16, fp16 of its weights, and no model\.safetensors; copy"
    ):
        load_checkpoint(tmp_path)


def test_shards_without_their_index(tmp_path: Path) -> None:
    save_small(tmp_path)
    put_shards(tmp_path, tensors_of(tmp_path), "safetensors")
    (tmp_path / "model.safetensors.index.json").unlink()
    with pytest.raises(
        CheckpointError, match=r"a part of the weights, and no model\.safetensors\.index\.json, which na"
    ):
        load_checkpoint(tmp_path)


def test_files_of_a_hub_repository_that_are_not_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, {"config.json": CONFIG})
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "list_repo_files", lambda _: ["README.md", "tf_model.h5"])
    with pytest.raises(
        CheckpointError,
        match=r"^some/model has tf_model.h5, .*; download it \(hf download "
        r'some/model --local-dir model\), then .*from_pretrained\("model"\).*\.save_pretrained\("model"\)$',
    ):
        load_checkpoint("some/model")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"^{tmp_path} has no config.json; expected a folder that transformers'"):
        load_checkpoint(tmp_path)
    save_small(tmp_path)
    put_config(tmp_path)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=r"has no weights; expected model\.safetensors or pytorch_model\.bin, w"):
        load_checkpoint(tmp_path)
