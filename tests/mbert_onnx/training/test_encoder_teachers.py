"""Distillation from an encoder of transformers: from a recipe to a student, its resumption, and refused teachers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from training_recipes import PLACES, STUDENT, training, write_recipe
from typer.testing import CliRunner

from mbert_onnx import schedule, transfer
from mbert_onnx.cli.application import app
from mbert_onnx.errors import CheckpointError, MbertError, UsageError
from mbert_onnx.model.tokenizer_files import train_tokenizer
from mbert_onnx.training.inputs.distillation.teachers import load_teacher, sentence_pooling, use_vocabulary

BERT: dict[str, Any] = {
    "hidden_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
}


def vocabulary_in(folder: Path) -> dict[str, int]:
    return dict(Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab())


def write_bert(folder: Path, lines: list[str], kind: str = "BertModel", **changes: Any) -> Path:
    """Writes a small encoder of transformers with a tokenizer trained on these lines."""
    folder.mkdir()
    train_tokenizer(lambda: lines, folder, 200, 32, min_frequency=1)
    model = getattr(transformers, kind)
    torch.manual_seed(0)
    config = model.config_class(vocab_size=len(vocabulary_in(folder)), **{**BERT, **changes})
    model(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def written_bert(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> Path:
    return write_bert(tmp_path_factory.mktemp("teacher") / "bert", corpus.read_text().splitlines())


@pytest.fixture
def bert(tmp_path: Path, written_bert: Path) -> Path:
    """Returns a copy of a small BERT, which a test may change."""
    return Path(shutil.copytree(written_bert, tmp_path / "bert"))


def recipe(folder: Path, corpus: Path, teacher: Path, name: str = "run", **tables: Any) -> Path:
    """Writes a recipe of a student of another width and another number of heads, with part of the vocabulary."""
    config = {**STUDENT, "num_hidden_layers": 3}
    changes = tables.pop("transfer", {})
    return write_recipe(
        folder / f"{name}.toml",
        **{
            "output": folder / name,
            "teacher": {"checkpoint": teacher},
            "student": {"preset": "laptop", "config": config},
            "tokenizer": {"vocab_size": 70, "min_frequency": 3},
            "data": {"files": [corpus], "max_length": 24, "next_sentence": False},
            "transfer": {"strategy": "auxiliary", "steps": 30, "distillation_steps": 0, "layers": [0, 2, 4], **changes},
            "training": training(batch_size=16),
            **tables,
        },
    )


def losses_of(run: Path) -> list[dict[str, float]]:
    return [json.loads(line)["losses"] for line in (run / "losses.jsonl").read_text().splitlines()]


def test_a_student_of_another_shape_learns_from_a_bert(tmp_path: Path, corpus: Path, bert: Path) -> None:
    path = recipe(tmp_path, corpus, bert)
    shown = CliRunner().invoke(app, ["distill", str(path), "--dry-run"])
    assert shown.exit_code == 0, shown.output
    printed = " ".join(shown.stdout.split())
    for fact in (
        "teacher BertModel, ",
        "parameters: 4 layers of 24 channels, 3 heads",
        "layers 2 ← 2, 3 ← 4",
        "through a linear map of each layer from 32 to 24 channels, 1,584 parameters",
        "in 2 relation heads, since the student has 2 attention heads, the teacher 3",
        "16 principal components of the teacher's words, which keep",
        "feature_maps × 1, relations × 1 of layers; masked words (the teacher has no head for them) of the task",
        "maps of layers 2 to 3, masked words",
    ):
        assert fact in printed
    assert not (tmp_path / "run").exists()
    model = transfer(path)
    first, last = losses_of(tmp_path / "run")[0], losses_of(tmp_path / "run")[-1]
    assert set(first) == {"loss", "feature_maps", "relations", "masked_words"}
    assert last["loss"] < first["loss"]
    words = vocabulary_in(model)
    assert f"{len(words)} of the teacher's {len(vocabulary_in(bert))} words" in printed
    assert set(words) < set(vocabulary_in(bert))
    weights = load_file(model / "model.safetensors")
    assert not any("width_maps" in name for name in weights)
    assert not weights["mobilebert.embeddings.word_embeddings.weight"][words["[PAD]"]].any()
    transformers.MobileBertForPreTraining.from_pretrained(model)


@pytest.mark.full
def test_a_student_is_trained_on_with_its_own_vocabulary(tmp_path: Path, corpus: Path, bert: Path) -> None:
    first = transfer(recipe(tmp_path, corpus, bert, transfer={"steps": 2}))
    tables: dict[str, Any] = {"student": {"checkpoint": first}, "transfer": {"steps": 1, "relations": 0.0}}
    path = recipe(tmp_path, corpus, bert, "again", **tables)
    path.write_text(path.read_text().replace("[tokenizer]\nvocab_size = 70\nmin_frequency = 3\n", ""))
    assert dict(schedule(path).facts)["embeddings"] == "the student's own"
    assert vocabulary_in(transfer(path)) == vocabulary_in(first)


@pytest.mark.full
def test_a_killed_transfer_resumes_with_its_linear_maps(
    tmp_path: Path, corpus: Path, bert: Path, kill_and_resume: Callable[..., str]
) -> None:
    def written(name: str) -> Path:
        table = {"strategy": "progressive", "steps": 40, "distillation_steps": 10}
        return recipe(tmp_path, corpus, bert, name, transfer=table, training=training(save_every=10))

    whole = transfer(written("whole"))
    assert kill_and_resume("distill", written("killed"), tmp_path / "killed", "layer 3", 20) == "01-000010"
    weights, others = (load_file(model / "model.safetensors") for model in (whole, tmp_path / "killed" / "model"))
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def without_tokenizer(folder: Path) -> None:
    for path in folder.glob("*token*"):
        path.unlink()


def with_config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def without_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "layer.2" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (without_tokenizer, "has no tokenizer.json and no vocab.txt, but the student uses its tokenizer; copy"),
        (
            with_config(model_type="gpt2"),
            "is a gpt2, not an encoder that reads in both directions; expected an encoder",
        ),
        (with_config(model_type="t5"), "is a t5, an encoder with a decoder; expected an encoder of texts, such as"),
        (with_config(is_decoder=True), "is a bert, set up as a decoder; expected an encoder"),
        (
            with_config(model_type="new", auto_map={}),
            "has the model_type 'new', whose code in the checkpoint is not run",
        ),
        (without_weights, r"lacks the weights .*encoder\.layer\.2\..* more; copy its files again"),
        (lambda folder: (folder / "config.json").unlink(), r"has no config\.json; expected a folder that"),
        (lambda folder: (folder / "config.json").write_text("{"), r"config\.json cannot be read"),
    ],
)
def test_unusable_teachers_are_refused(
    change: Callable[[Path], Any], says: str, tmp_path: Path, corpus: Path, bert: Path
) -> None:
    change(bert)
    with pytest.raises(CheckpointError, match=says) as caught:
        transfer(recipe(tmp_path, corpus, bert))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_the_pooling_of_sentence_transformers_is_read(bert: Path) -> None:
    assert sentence_pooling(str(bert)) == "mean"

    def modules(pooling: dict[str, Any], *others: str) -> None:
        listed = [{"type": f"x.{kind}", "path": path} for kind, path in (("Transformer", ""), ("Pooling", "1_Pooling"))]
        listed += [{"type": f"x.{kind}", "path": f"{kind}"} for kind in others]
        (bert / "modules.json").write_text(json.dumps(listed))
        (bert / "1_Pooling").mkdir(exist_ok=True)
        (bert / "1_Pooling" / "config.json").write_text(json.dumps(pooling))

    modules({"pooling_mode_cls_token": True}, "Normalize")
    assert sentence_pooling(str(bert)) == "cls"
    modules({"pooling_mode_lasttoken": True})
    with pytest.raises(CheckpointError, match=r"not supported: its pooling is lasttoken; expected Transf"):
        sentence_pooling(str(bert))
    modules({"pooling_mode_mean_tokens": True}, "Dense")
    with pytest.raises(CheckpointError, match="not supported: its modules are Transformer, Pooling, Dense; expected"):
        sentence_pooling(str(bert))


def test_a_vocabulary_without_common_words_is_refused(tmp_path: Path, corpus: Path, bert: Path) -> None:
    teacher = load_teacher(str(bert))
    with pytest.raises(CheckpointError, match="knows none of the 3 words of the student's vocabulary; expected"):
        use_vocabulary(teacher, str(bert), {"[PAD]": 0, "[CLS]": 1, "unheard": 2})
    known = use_vocabulary(teacher, str(bert), {"[PAD]": 0, "ax": 1, "unheard": 2})
    theirs = vocabulary_in(bert)
    assert known == 2
    assert teacher.known_ids is not None
    assert teacher.known_ids.tolist() == [theirs["[PAD]"], theirs["ax"], theirs["[UNK]"]]
    assert len(PLACES) == 6  # "ax" is a word of the corpus


def test_invalid_layers_are_refused(tmp_path: Path, corpus: Path, bert: Path) -> None:
    path = recipe(tmp_path, corpus, bert, transfer={"layers": [1, 2, 5]})
    for refused in (transfer, schedule):
        with pytest.raises(UsageError, match=r"transfer\.layers has 5, but the teacher has 4 layers"):
            refused(path)
    assert not (tmp_path / "run").exists()


def test_only_a_wordpiece_vocabulary_is_reduced(tmp_path: Path, corpus: Path, bert: Path) -> None:
    other = Tokenizer(models.BPE({"a": 0, "[UNK]": 1, "[PAD]": 2, "[CLS]": 3, "[SEP]": 4, "[MASK]": 5}, []))
    other.save(str(bert / "tokenizer.json"))
    with pytest.raises(
        MbertError, match="has a BPE tokenizer; expected WordPiece, of which a part of the words can be"
    ):
        transfer(recipe(tmp_path, corpus, bert))
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
