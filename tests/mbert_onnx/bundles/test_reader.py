"""Bundles: the folders that are read, and one named error for each that is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mbert_onnx.bundles.reader import read_bundle
from mbert_onnx.errors import BundleError

CONFIG = {"architectures": ["MobileBertForQuestionAnswering"], "model_type": "mobilebert"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as transformers.js users have it: no metadata of ours."""
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"graph")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "tokenizer_config.json").write_text('{"mask_token": "[MASK]"}')
    return tmp_path


def test_a_folder_without_metadata_has_the_task_of_its_architectures(folder: Path) -> None:
    bundle = read_bundle(str(folder))
    assert bundle.task.name == "question-answering"
    assert bundle.model_path == folder / "onnx" / "model.onnx"
    assert bundle.tokenizer_path == folder / "tokenizer.json"
    assert bundle.metadata is None
    assert bundle.config == CONFIG
    assert bundle.tokenizer_config == {"mask_token": "[MASK]"}


def test_metadata_are_believed_before_architectures(folder: Path) -> None:
    (folder / "mbert_onnx.json").write_text('{"task": "fill-mask", "version": "1"}')
    bundle = read_bundle(folder)
    assert bundle.task.name == "fill-mask"
    assert bundle.metadata == {"task": "fill-mask", "version": "1"}


def test_metadata_without_a_task_leave_it_to_the_architectures(folder: Path) -> None:
    (folder / "mbert_onnx.json").write_text("{}")
    assert read_bundle(folder).task.name == "question-answering"


def test_the_path_of_a_variant_chooses_it(folder: Path) -> None:
    variant = folder / "onnx" / "model_int8.onnx"
    variant.write_bytes(b"graph")
    bundle = read_bundle(variant)
    assert bundle.model_path == variant
    assert bundle.folder == folder


def test_optimum_keeps_the_model_at_the_root(folder: Path) -> None:
    (folder / "onnx" / "model.onnx").rename(folder / "model.onnx")
    assert read_bundle(folder).model_path == folder / "model.onnx"
    assert read_bundle(folder / "model.onnx").folder == folder


def test_a_bundle_may_lack_a_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    bundle = read_bundle(folder)
    assert bundle.tokenizer_path is None
    assert bundle.tokenizer_config == {}


def refusal(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        read_bundle(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert f"{tmp_path / 'nowhere'} does not exist" in refusal(tmp_path / "nowhere")


def test_a_file_that_is_no_onnx_is_named(folder: Path) -> None:
    assert "config.json is a file, but not an .onnx" in refusal(folder / "config.json")


def test_an_onnx_without_a_bundle_around_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "model.onnx"
    path.parent.mkdir()
    path.write_bytes(b"graph")
    assert "no config.json beside it" in refusal(path)


def test_a_folder_without_a_model(folder: Path) -> None:
    (folder / "onnx" / "model.onnx").unlink()
    assert "has no onnx/model.onnx. Give the folder of a bundle" in refusal(folder)


def test_a_folder_with_a_variant_only_has_that(folder: Path) -> None:
    (folder / "onnx" / "model.onnx").rename(folder / "onnx" / "model_int8.onnx")
    assert read_bundle(folder).model_path == folder / "onnx" / "model_int8.onnx"


def test_a_folder_with_models_of_other_names_lists_them(folder: Path) -> None:
    (folder / "onnx" / "model.onnx").rename(folder / "onnx" / "model_q4.onnx")
    message = refusal(folder)
    assert "model_q4.onnx" in message
    assert "give the path" in message


def test_the_folder_inside_a_bundle_names_the_bundle(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"has no config.json; the bundle is the folder around it: give {folder}"
    with pytest.raises(BundleError) as named:
        read_bundle(folder / "onnx")
    assert str(named.value) == f"{folder / 'onnx'} {line}"
    monkeypatch.chdir(folder / "onnx")
    with pytest.raises(BundleError) as here:
        read_bundle(".")
    assert str(here.value) == f". {line}"


def test_a_folder_without_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert "config.json is missing" in refusal(folder)


@pytest.mark.parametrize("name", ["config.json", "mbert_onnx.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    ("content", "found"),
    [(b'{"a": ', "not readable JSON"), (b"\xff\xfe", "not readable JSON"), (b"[1]", "holds a list")],
)
def test_a_bad_json_is_named(folder: Path, name: str, content: bytes, found: str) -> None:
    (folder / name).write_bytes(content)
    message = refusal(folder)
    assert name in message
    assert found in message


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_with_a_byte_order_mark_are_read(encoding: str, folder: Path) -> None:
    (folder / "config.json").write_bytes(json.dumps(CONFIG).encode(encoding))
    assert read_bundle(folder).config == CONFIG


@pytest.mark.parametrize("key", ["vocab_size", "max_position_embeddings", "type_vocab_size", "pad_token_id"])
@pytest.mark.parametrize("value", [-2, 10**900, 2.0, float("nan"), "512", True, [1]])
def test_sizes_that_no_model_has(key: str, value: object, folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(CONFIG | {key: value}))
    with pytest.raises(
        BundleError, match=rf"config\.json has {key} = .*, expected an integer from (-1|1) to \d+\. Correct it\.$"
    ):
        read_bundle(folder)
    (folder / "config.json").write_text(json.dumps(CONFIG | {key: None}))
    read_bundle(folder)


def test_a_config_without_a_padding_token(folder: Path) -> None:
    (folder / "config.json").write_text(json.dumps(CONFIG | {"pad_token_id": -1}))
    read_bundle(folder)


@pytest.mark.parametrize("config", [{}, {"architectures": ["BertModel"]}, {"architectures": "MobileBertModel"}])
def test_an_unknown_task_is_named(folder: Path, config: dict[str, object]) -> None:
    (folder / "config.json").write_text(json.dumps(config))
    assert "names no task" in refusal(folder)


def test_an_unknown_task_in_the_metadata(folder: Path) -> None:
    (folder / "mbert_onnx.json").write_text('{"task": "summarization"}')
    message = refusal(folder)
    assert "mbert_onnx.json" in message
    assert "'summarization'" in message
