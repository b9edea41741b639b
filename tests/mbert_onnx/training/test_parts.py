"""Inputs of a training: tokenizers, word embeddings, architectures, text variants, teacher logits, other BERTs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from accelerate import Accelerator
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from training_recipes import finetune_recipe, training, write_labels

from mbert_onnx import evaluate, finetune
from mbert_onnx.errors import CheckpointError, UsageError
from mbert_onnx.model.presets import mobilebert_config
from mbert_onnx.model.student import MobileBertModel
from mbert_onnx.model.tokenizer_files import reduce_tokenizer, train_tokenizer
from mbert_onnx.text.tasks import TEXT_CLASSIFICATION
from mbert_onnx.training.data.custom import Columns
from mbert_onnx.training.data.example import Example
from mbert_onnx.training.finetuning import finetuned_model
from mbert_onnx.training.inputs import teacher_logits
from mbert_onnx.training.inputs.models import config_in, config_of, initialize, pretraining_model
from mbert_onnx.training.inputs.teacher_logits import classifier_of, teacher_logits_of
from mbert_onnx.training.inputs.text_variants import variants_of
from mbert_onnx.training.inputs.word_embeddings import copy_word_embeddings
from mbert_onnx.training.inputs.word_neighbours import word_neighbours_of
from mbert_onnx.training.recipe import ModelTable

LINES = ["the cat sat on the mat", "the dog sat on the log", "a catalog of dogs"]
BERT = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
}


def vocabulary_in(folder: Path) -> dict[str, int]:
    return dict(Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab())


def trained_tokenizer(folder: Path, size: int = 80) -> Path:
    folder.mkdir()
    train_tokenizer(lambda: LINES, folder, size, 32, min_frequency=1)
    return folder


def bert(folder: Path, seed: int = 0) -> Path:
    """Writes a small BERT of transformers with its own tokenizer."""
    trained_tokenizer(folder)
    torch.manual_seed(seed)
    transformers.BertModel(transformers.BertConfig(vocab_size=len(vocabulary_in(folder)), **BERT)).save_pretrained(
        folder
    )
    return folder


def classifier(folder: Path, seed: int = 0) -> Path:
    """Writes such a BERT as a classifier of two labels."""
    model = transformers.AutoModelForSequenceClassification.from_pretrained(bert(folder, seed))
    model.save_pretrained(folder)
    return folder


def test_training_a_tokenizer_is_deterministic(tmp_path: Path) -> None:
    # Many pairs have the same frequency here.
    found = [vocabulary_in(trained_tokenizer(tmp_path / str(number), 40)) for number in range(5)]
    assert all(one == found[0] for one in found)
    assert [found[0][token] for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")] == [0, 1, 2, 3, 4]


def test_a_reduced_tokenizer_keeps_frequent_words_and_splits_the_others(tmp_path: Path) -> None:
    whole = trained_tokenizer(tmp_path / "whole", 200)
    (tmp_path / "reduced").mkdir()
    characters = sum(len(word.removeprefix("##")) == 1 for word in vocabulary_in(whole)) + 5
    reduce_tokenizer(whole, ["the the the sat"], tmp_path / "reduced", characters + 2, 32)
    kept = vocabulary_in(tmp_path / "reduced")
    assert len(kept) == characters + 2
    assert {"the", "sat"} <= set(kept)
    assert "mat" not in kept
    tokenizer = Tokenizer.from_file(str(tmp_path / "reduced" / "tokenizer.json"))
    assert tokenizer.encode("the mat").tokens == ["[CLS]", "the", "m", "##a", "##t", "[SEP]"]


def test_word_embeddings_are_copied_from_another_bert(tmp_path: Path) -> None:
    folder = bert(tmp_path / "bert")
    theirs = vocabulary_in(folder)
    ordered = sorted(theirs, key=theirs.__getitem__)[5:]
    vocabulary = {"[PAD]": 0, "unheard": 1, **{word: number for number, word in enumerate(ordered, 2)}}
    config = mobilebert_config(vocab_size=len(vocabulary), embedding_size=8, num_hidden_layers=1)
    model = MobileBertModel(config)
    initialize(model, config, 0)
    before = model.embeddings.word_embeddings.weight.detach().clone()
    count = copy_word_embeddings(model, vocabulary, str(folder))
    after = model.embeddings.word_embeddings.weight.detach()
    assert count == len(vocabulary) - 2
    assert torch.equal(after[1], before[1])
    assert not after[0].any()  # padding
    # Principal components approximately preserve the distances between words.
    table = load_file(folder / "model.safetensors")["embeddings.word_embeddings.weight"]
    tables = table[[theirs[word] for word in ordered]], after[[vocabulary[word] for word in ordered]]
    distances = torch.stack([torch.cdist(one, one).flatten() for one in tables])
    assert float(torch.corrcoef(distances)[0, 1]) > 0.7


def test_word_embeddings_from_the_output_of_a_layer(tmp_path: Path) -> None:
    folder = classifier(tmp_path / "bert")
    vocabulary = vocabulary_in(folder)
    config = mobilebert_config(vocab_size=len(vocabulary), embedding_size=8, num_hidden_layers=1)
    model = MobileBertModel(config)
    assert copy_word_embeddings(model, vocabulary, str(folder), layer=1) == len(vocabulary) - 1
    words = sorted(set(vocabulary.values()) - {vocabulary["[PAD]"]})
    ours = model.embeddings.word_embeddings.weight.detach()[words]
    other = transformers.AutoModel.from_pretrained(folder).eval()
    rows = torch.tensor([[vocabulary["[CLS]"], number, vocabulary["[SEP]"]] for number in words])
    with torch.no_grad():
        theirs = other(rows, output_hidden_states=True).hidden_states[1][:, 1]
    distances = torch.stack([torch.cdist(one, one).flatten() for one in (theirs, ours)])
    assert float(torch.corrcoef(distances)[0, 1]) > 0.7
    with pytest.raises(CheckpointError, match="has 1 layers; word_layer is 2"):
        copy_word_embeddings(model, vocabulary, str(folder), layer=2)


@pytest.mark.parametrize(
    ("vocabulary", "padding"),
    [({"[PAD]": 0, "a": 1, "b": 2}, 0), ({"<s>": 0, "<pad>": 1, "b": 2}, 1), ({"a": 0, "b": 1, "c": 2}, None)],
)
def test_a_checkpoint_is_trained_with_a_zero_embedding_of_padding(
    tmp_path: Path, vocabulary: dict[str, int], padding: int | None
) -> None:
    config = mobilebert_config("tiny", vocab_size=3, num_hidden_layers=1, hidden_size=64, embedding_size=8)
    transformers.MobileBertForPreTraining(config).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    name = "mobilebert.embeddings.word_embeddings.weight"
    weights[name] = torch.full_like(weights[name], 0.5)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    table = ModelTable(checkpoint=str(tmp_path))
    models = [
        pretraining_model(table, "model", vocabulary=vocabulary, seed=0),
        finetuned_model(table, TEXT_CLASSIFICATION, ("no", "yes"), vocabulary=vocabulary, seed=0),
    ]
    for model in models:
        rows = dict(model.named_parameters())[name]
        assert [bool(row.any()) for row in rows] == [number != padding for number in range(3)]
        assert config_in(model).pad_token_id == (0 if padding is None else padding)


def test_word_layer_without_word_embeddings_is_refused() -> None:
    with pytest.raises(ValidationError, match="word_layer is a layer of word_embeddings, which is missing; give both"):
        ModelTable(preset="tiny", word_layer=3)


def test_unusable_word_embeddings_are_refused(tmp_path: Path) -> None:
    model = MobileBertModel(mobilebert_config(vocab_size=9, embedding_size=8, num_hidden_layers=1))
    with pytest.raises(CheckpointError, match=r"has no tokenizer\.json that can be read"):
        copy_word_embeddings(model, {"a": 0}, str(tmp_path))
    with pytest.raises(CheckpointError, match="has 1 words in common, of 32 dimensions; expected 8 or more of both"):
        copy_word_embeddings(model, {"[PAD]": 0, "[CLS]": 1, "unheard": 2}, str(bert(tmp_path / "bert")))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"preset": "huge"}, "model: preset is 'huge'; expected one of mobilebert, tiny"),
        (
            {"preset": "tiny", "config": {"layers": 3}},
            "model: config has layers, which is not a key of MobileBertConfig",
        ),
        ({"preset": "tiny", "config": {"num_attention_heads": 3}}, "3 heads do not divide 128 channels"),
    ],
)
def test_invalid_architectures_are_refused(table: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        config_of(ModelTable(**table), "model")  # type: ignore[arg-type]


def test_variants_consist_of_the_texts_words_and_their_neighbours() -> None:
    examples = [Example("a", "One two three four five six", label=1.0), Example("b", "red green blue grey", label=0.0)]
    near = {"one": ["uno", "un"], "green": ["verde"]}
    found = list(variants_of(examples, 60, 0, near))
    assert len(found) == 120
    assert {one.label for one in found} == {None}
    words = {word for example in examples for word in example.text.split()}
    assert {word for one in found for word in one.text.split()} == words | {"uno", "un", "verde"}
    assert all(one.text for one in found)
    assert len({one.text for one in found}) > 20
    assert found == list(variants_of(examples, 60, 0, near))
    pairs = list(variants_of([Example("c", "one two three", "red green")], 20, 0, near))
    assert {word for pair in pairs for word in (pair.pair or "").split()} == {"red", "green", "verde"}
    assert all(word in (*words, "one", "uno", "un") for pair in pairs for word in pair.text.split())


def test_neighbours_have_the_nearest_embeddings(tmp_path: Path) -> None:
    folder = classifier(tmp_path / "bert")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    known = transformers.AutoTokenizer.from_pretrained(folder).get_vocab()
    words = sorted(word for word in known if word.isalpha())[:9]
    table = model.get_input_embeddings().weight
    with torch.no_grad():
        table[[known[word] for word in words]] = torch.eye(9, table.shape[1])
        table[known[words[3]]] = table[known[words[5]]] + 0.1 * table[known[words[7]]]
    model.save_pretrained(folder)
    found = word_neighbours_of(str(folder), [*words, "##s", "[CLS]", "unheard"], 2)
    assert set(found) == set(words)
    assert found[words[5]][0] == words[3]
    assert found[words[3]] == [words[5], words[7]]
    assert all(word not in near and len(near) == 2 for word, near in found.items())
    assert word_neighbours_of(str(folder), words[:1]) == {}


def test_teacher_logits_are_cached_by_texts_and_teacher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teacher_logits, "TEXTS_PER_FILE", 3)
    teachers = [str(classifier(tmp_path / name, seed)) for seed, name in enumerate("ab")]
    words = ["cat", "dog", "mat", "log", "cat", "sat", "on"]
    examples = [Example(str(number), f"the {word}") for number, word in enumerate(words)]
    computed: list[int] = []
    cache, accelerator = tmp_path / "cache", Accelerator(cpu=True)

    def logits(teacher: str, texts: list[Example], labels: int = 2) -> np.ndarray:
        computed.clear()
        return teacher_logits_of(teacher, texts, labels, accelerator, cache, lambda *report: computed.append(report[1]))

    first = logits(teachers[0], examples)
    assert first.shape == (7, 2)
    assert (first[0] != first[1]).any()
    assert computed[-1] == 7
    assert (logits(teachers[0], examples) == first).all()
    assert not computed  # all cached
    next(iter(cache.iterdir())).unlink()  # as after a kill
    assert (logits(teachers[0], examples) == first).all()
    assert len(computed) == 1
    assert (logits(teachers[0], examples[:4])[:3] == first[:3]).all()
    assert len(computed) == 1  # the first three are cached
    assert (logits(teachers[1], examples) != first).all()
    for texts in (examples, examples[::-1]):  # cached, and not
        with pytest.raises(CheckpointError, match="has 2 labels, the data 3"):
            logits(teachers[1], texts, labels=3)


def test_a_teacher_without_a_head_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(CheckpointError, match=r"is not a classifier: it lacks classifier\.bias, .*; fine-tune it"):
        classifier_of(str(bert(tmp_path / "bare")))
    assert not caplog.text


def test_another_bert_is_fine_tuned_and_evaluated(tmp_path: Path) -> None:
    labels = write_labels(tmp_path / "labels.tsv", rows=40)
    recipe = finetune_recipe(
        tmp_path, labels, bert(tmp_path / "bert"), tmp_path / "run", training=training(steps=3, learning_rate=1e-3)
    )
    model = finetune(recipe)
    assert transformers.AutoModelForSequenceClassification.from_pretrained(model).config.id2label == {
        0: "high",
        1: "low",
    }
    [found] = evaluate(model, task="classification", data=labels, columns=Columns(id="id", every=5))
    assert found.texts == 8
