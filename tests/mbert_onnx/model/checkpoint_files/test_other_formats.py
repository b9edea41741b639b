"""Folders that are no checkpoint of PyTorch: what the error says, and the Python code that it gives."""

from __future__ import annotations

import ast
import json
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
            r'\.from_pretrained\("@"\)\.merge_and_unload\(\)\.save_pretrained\("@-merged"\); put its tokenizer there',
        ),
        ({"adapter_config.json": LORA, "config.json": CONFIG}, r"a PEFT adapter \(LORA\)"),
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
            r"has tf_model.h5, weights of TensorFlow; convert them, where transformers 4 and tf-keras are installed, "
            r"in Python: from transformers import MobileBertForTokenClassification; MobileBertForTokenClassification"
            r'\.from_pretrained\("@", from_tf=True\)\.save_pretrained\("@"\)$',
        ),
        ({"tf_model-00001-of-00002.h5": b"", "config.json": FROM}, r"weights of Tensor.* import MobileBertModel; "),
        (
            {"flax_model.msgpack": b"", "config.json": CONFIG},
            r"has flax_model.msgpack, weights of Flax; convert them, where transformers 4 and flax are installed, in Py"
            r"thon: .*MobileBertForTokenClassification.*msgpack_restore\(open\(\"@/flax_model.msgpack\", 'rb'\)",
        ),
        (
            {"m.ckpt.index": b"", "m.ckpt.data-00000-of-00001": b"", "bert_config.json": b"{}"},
            r"has m.ckpt.index, a checkpoint of TensorFlow 1; convert it, .* in Python: from transformers import "
            r'.*from_json_file\("@/bert_config.json"\)\), config, "@/m.ckpt"\)\.save_pretrained\("@"\)$',
        ),
        ({"model.ckpt-28.index": b"", "uncased_OPT.json": b"{}"}, r"@/uncased_OPT.json.*@/model.ckpt-28\""),
        ({"saved_model.pb": b""}, r"a SavedModel of TensorFlow; .*: python -m tf2onnx.convert --saved-model @ "),
        ({"zero_to_fp32.py": b""}, r"python @/zero_to_fp32.py @ @/pytorch_model.bin$"),
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
        ast.parse(line.split("in Python: ")[1].split("; put its tokenizer")[0])


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
    code = ast.parse(str(caught.value).split("in Python: ")[1])
    paths = [node.value for node in ast.walk(code) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert paths == [str(folder), str(folder)]


def test_the_code_uses_what_transformers_has() -> None:
    """Of transformers 4; its version 5 has neither TensorFlow nor Flax, which the messages say."""
    if transformers.__version__.startswith("5."):
        pytest.skip("transformers 5 reads no weights of TensorFlow or Flax")
    from importlib.util import find_spec

    assert callable(transformers.load_tf_weights_in_mobilebert)
    assert callable(transformers.MobileBertConfig.from_json_file)
    spec = find_spec("transformers.modeling_flax_pytorch_utils")
    assert spec is not None
    assert spec.origin is not None
    assert "def load_flax_weights_in_pytorch_model(pt_model, flax_state)" in Path(spec.origin).read_text()


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
    with pytest.raises(CheckpointError, match=r'^some/model has tf_model.h5, .*\("some/model", f.*ed\("model"\)$'):
        load_checkpoint("some/model")


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"^{tmp_path} has no config.json; expected a folder that transformers'"):
        load_checkpoint(tmp_path)
    save_small(tmp_path)
    put_config(tmp_path)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match=r"has no weights; expected model\.safetensors or pytorch_model\.bin, w"):
        load_checkpoint(tmp_path)
