"""Folders of sentence-transformers, which is not installed: which modules they have, and what `embed` makes of them."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from mbert_onnx.errors import BundleError, CheckpointError
from mbert_onnx.text.sentence_embedding import EmbeddingSettings, read_modules, settings_in

Entries = list[tuple[str, str]]
TRANSFORMER = ("", "sentence_transformers.models.Transformer")
POOLING = ("1_Pooling", "sentence_transformers.models.Pooling")
NORMALIZE = ("2_Normalize", "sentence_transformers.models.Normalize")
DENSE = ("2_Dense", "sentence_transformers.models.Dense")
USUAL = [TRANSFORMER, POOLING]

# As each version of sentence-transformers writes the mean.
OLD_MEAN = {
    "word_embedding_dimension": 64,
    "pooling_mode_cls_token": False,
    "pooling_mode_mean_tokens": True,
    "pooling_mode_max_tokens": False,
    "pooling_mode_mean_sqrt_len_tokens": False,
}
NEW_MEAN = {"embedding_dimension": 64, "pooling_mode": "mean", "include_prompt": True}


def put(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def build(folder: Path, entries: Entries, pooling: object = None, **files: object) -> None:
    """Writes modules.json, the Pooling's config.json, and further files, whose names lack `.json`."""
    modules = [{"idx": n, "name": str(n), "path": path, "type": kind} for n, (path, kind) in enumerate(entries)]
    put(folder / "modules.json", modules)
    put(folder / "1_Pooling" / "config.json", OLD_MEAN if pooling is None else pooling)
    for name, content in files.items():
        put(folder / f"{name}.json", content)


def settings_of(folder: Path, positions: int = 40) -> tuple[EmbeddingSettings, list[str]]:
    modules = read_modules("name", folder)
    assert modules is not None
    return modules.embedding_settings(positions)


def test_another_folder_has_no_modules(tmp_path: Path) -> None:
    assert read_modules("name", tmp_path) is None


@pytest.mark.parametrize("pooling", [OLD_MEAN, NEW_MEAN, {"pooling_mode": ["mean"]}, {"word_embedding_dimension": 64}])
def test_every_spelling_of_the_mean(pooling: Mapping[str, Any], tmp_path: Path) -> None:
    build(tmp_path, USUAL, pooling)
    settings, notes = settings_of(tmp_path)
    assert settings == EmbeddingSettings(max_seq_length=40)
    assert notes == ["sentence-transformers: `embed` returns the mean of a text's first 40 tokens"]


@pytest.mark.parametrize(
    ("entries", "files", "expected"),
    [
        ([*USUAL, NORMALIZE], {}, {"normalize": True}),
        ([*USUAL, ("2_Dropout", "sentence_transformers.models.Dropout"), NORMALIZE], {}, {"normalize": True}),
        (
            [
                ("", "sentence_transformers.base.modules.transformer.Transformer"),
                ("1_Pooling", "sentence_transformers.sentence_transformer.modules.pooling.Pooling"),
                ("2_Normalize", "sentence_transformers.base.modules.normalize.Normalize"),
            ],
            {"sentence_bert_config": {"transformer_task": "feature-extraction", "module_output_name": "x"}},
            {"normalize": True},
        ),
        (USUAL, {"sentence_bert_config": {"max_seq_length": 16, "do_lower_case": False}}, {"max_seq_length": 16}),
        (USUAL, {"sentence_bert_config": {"max_seq_length": 128}}, {"max_seq_length": 40}),
        (USUAL, {"sentence_bert_config": {"max_seq_length": None, "do_lower_case": True}}, {"do_lower_case": True}),
        (USUAL, {"tokenizer_config": {"model_max_length": 24}}, {"max_seq_length": 24}),
        (USUAL, {"tokenizer_config": {"model_max_length": int(1e30)}}, {"max_seq_length": 40}),
        (
            USUAL,
            {"sentence_bert_config": {"max_seq_length": 16}, "tokenizer_config": {"model_max_length": 24}},
            {"max_seq_length": 16},
        ),
        (
            USUAL,
            {"config_sentence_transformers": {"prompts": {"q": "query: "}, "default_prompt_name": "q"}},
            {"prompt": "query: "},
        ),
        (
            USUAL,
            {"config_sentence_transformers": {"prompts": {"query": "", "document": ""}, "default_prompt_name": None}},
            {},
        ),
    ],
)
def test_settings(entries: Entries, files: Mapping[str, Any], expected: Mapping[str, Any], tmp_path: Path) -> None:
    build(tmp_path, entries, **files)
    settings, notes = settings_of(tmp_path)
    assert settings == EmbeddingSettings(**{"max_seq_length": 40, **expected})
    assert len(notes) == 1
    assert ("normalized mean" in notes[0]) == settings.normalize
    assert settings_in(json.loads(json.dumps(settings.as_dict())), tmp_path) == settings


def test_other_prompts_are_reported(tmp_path: Path) -> None:
    whole = {"prompts": {"query": "query: ", "passage": "passage: ", "none": ""}, "default_prompt_name": None}
    build(tmp_path, USUAL, config_sentence_transformers=whole)
    settings, notes = settings_of(tmp_path)
    assert settings.prompt == ""
    assert notes[1].startswith("`embed` uses none of the prompts 'query' ('query: '), 'passage' ('passage: '); put the")


@pytest.mark.parametrize("default", [["query"], 3, "another", True])
def test_a_default_prompt_that_is_none_of_the_prompts(default: object, tmp_path: Path) -> None:
    whole = {"prompts": {"query": "query: "}, "default_prompt_name": default}
    build(tmp_path, USUAL, config_sentence_transformers=whole)
    assert settings_of(tmp_path)[0].prompt == ""


def test_names_of_any_length_are_shortened(tmp_path: Path) -> None:
    build(tmp_path, [TRANSFORMER, ("1_Pooling", f"x.{'P' * 5000}")])
    with pytest.raises(CheckpointError) as caught:
        settings_of(tmp_path)
    assert len(str(caught.value)) < 1000
    build(tmp_path, USUAL, {"pooling_mode": ["a\nb" * 5000]})
    with pytest.raises(CheckpointError) as caught:
        settings_of(tmp_path)
    assert len(str(caught.value)) < 1000
    assert str(caught.value).isprintable()


def test_the_transformer_of_old_versions_has_a_folder(tmp_path: Path) -> None:
    build(tmp_path, [("0_Transformer", TRANSFORMER[1]), POOLING])
    put(tmp_path / "0_Transformer" / "sentence_bert_config.json", {"max_seq_length": 8, "do_lower_case": True})
    modules = read_modules("name", tmp_path)
    assert modules is not None
    assert modules.transformer == tmp_path / "0_Transformer"
    assert modules.embedding_settings(40)[0] == EmbeddingSettings(max_seq_length=8, do_lower_case=True)


@pytest.mark.parametrize(
    ("entries", "pooling", "files", "says"),
    [
        (USUAL, {**OLD_MEAN, "pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}, {}, "pooling is cls;"),
        (USUAL, {**OLD_MEAN, "pooling_mode_max_tokens": True}, {}, "its pooling is max and mean;"),
        (USUAL, {"pooling_mode": "lasttoken"}, {}, "its pooling is lasttoken;"),
        (USUAL, {"pooling_mode": ["cls", "weightedmean"]}, {}, "its pooling is cls and weightedmean;"),
        ([*USUAL, DENSE, NORMALIZE], None, {}, "its modules are Transformer, Pooling, Dense, Normalize;"),
        ([TRANSFORMER], None, {}, "its modules are Transformer;"),
        ([TRANSFORMER, NORMALIZE, POOLING], None, {}, "its modules are Transformer, Normalize, Pooling;"),
        ([("", "sentence_transformers.models.CLIPModel")], None, {}, "its modules are CLIPModel;"),
        (
            [("", "sentence_transformers.sparse_encoder.models.MLMTransformer"), ("1_Splade", "x.SpladePooling")],
            None,
            {},
            "its modules are MLMTransformer, SpladePooling;",
        ),
        (USUAL, None, {"sentence_bert_config": {"transformer_task": "fill-mask"}}, "its modules are Transformer, Pool"),
        (USUAL, None, {"config_sentence_transformers": {"model_type": "SparseEncoder"}}, "its modules are Transformer"),
        (
            USUAL,
            {**OLD_MEAN, "include_prompt": False},
            {"config_sentence_transformers": {"prompts": {"q": "query: "}, "default_prompt_name": "q"}},
            r"its pooling leaves out the tokens of the prompt \(include_prompt is false\)",
        ),
    ],
)
def test_what_embed_does_not_compute_is_named(
    entries: Entries, pooling: object, files: Mapping[str, Any], says: str, tmp_path: Path
) -> None:
    build(tmp_path, entries, pooling, **files)
    with pytest.raises(CheckpointError, match=rf"^name is a sentence-transformers model .*: .*{says}") as caught:
        settings_of(tmp_path)
    line = str(caught.value)
    assert "export name-transformer, which this Python code writes: " in line
    ast.parse(line.split("Python code writes: ")[1])


def test_the_transformer_s_own_folder_can_be_exported_alone(tmp_path: Path) -> None:
    build(tmp_path, [("0_Transformer", TRANSFORMER[1]), POOLING, DENSE])
    with pytest.raises(CheckpointError, match=f"to pool hidden states yourself, export {tmp_path}/0_Transformer$"):
        settings_of(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("modules.json", "{", "modules.json is not a list of modules .Expecting property name"),
        ("modules.json", {"a": 1}, "modules.json is not a list of modules .each entry needs a type and a path"),
        ("modules.json", [{"type": "x.Transformer"}], "is not a list of modules .each entry needs a type and a path"),
        ("modules.json", 3, "is not a list of modules"),
        ("modules.json", [], "modules.json names no module; expected modules inside"),
        (
            "modules.json",
            [{"type": "Transformer", "path": "../other"}],
            r"modules.json names the folder '\.\./other'; e",
        ),
        ("modules.json", [{"type": "Transformer", "path": "/etc"}], "modules.json names the folder '/etc'; expected"),
        ("modules.json", [{"type": "Transformer", "path": "x" * 300}], r"cannot be read .File name too long.; copy it"),
        ("1_Pooling/config.json", "[", "1_Pooling/config.json cannot be read .Expecting value"),
        ("1_Pooling/config.json", [], "1_Pooling/config.json holds a list, expected a JSON object"),
        ("1_Pooling/config.json", None, "1_Pooling/config.json is missing; copy it, too"),
        (
            "sentence_bert_config.json",
            {"max_seq_length": "128"},
            "name has max_seq_length = '128', expected a number of",
        ),
        ("sentence_bert_config.json", {"max_seq_length": -1}, "name has max_seq_length = -1, expected"),
        ("sentence_bert_config.json", {"max_seq_length": float("nan")}, "name has max_seq_length = nan, expected"),
        (
            "config_sentence_transformers.json",
            "3",
            "config_sentence_transformers.json holds a int, expected a JSON obj",
        ),
    ],
)
def test_broken_files_are_refused_in_one_line(name: str, content: object, says: str, tmp_path: Path) -> None:
    build(tmp_path, USUAL)
    if content is None:
        (tmp_path / name).unlink()
    else:
        put(tmp_path / name, content)
    with pytest.raises(CheckpointError, match=says) as caught:
        settings_of(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "record",
    [
        3,
        {},
        {"pooling": "mean"},
        {"pooling": "cls", "max_seq_length": 8},
        {"pooling": "mean", "max_seq_length": "8"},
        {"pooling": "mean", "max_seq_length": 0},
        {"pooling": "mean", "max_seq_length": 8, "normalize": 1},
        {"pooling": "mean", "max_seq_length": 8, "another": 1},
    ],
)
def test_a_record_that_is_not_ours(record: object, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"has the sentence_embedding .* Export the checkpoint again\."):
        settings_in(record, tmp_path)


def test_texts_are_prepared_as_sentence_transformers_does() -> None:
    settings = EmbeddingSettings(8, do_lower_case=True, prompt="Query: ")
    assert settings.prepared("  ADA\n") == "query:   ada"
    assert EmbeddingSettings(8).prepared(" Ada ") == "Ada"
