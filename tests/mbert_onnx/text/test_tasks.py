"""Tasks: names, aliases, classes, and the task that a graph's outputs imply."""

from __future__ import annotations

import subprocess
import sys

import pytest
import transformers

from mbert_onnx.errors import UsageError
from mbert_onnx.text.tasks import TASKS, task_named, task_of_architectures, task_of_graph, task_of_shapes


def test_the_architectures_are_all_mobilebert_classes_of_transformers() -> None:
    known = {name for name in dir(transformers) if name.startswith("MobileBertFor") or name == "MobileBertModel"}
    assert {task.architecture for task in TASKS} == known


def test_names_and_aliases_are_unique() -> None:
    names = [name for task in TASKS for name in (task.name, *task.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("question-answering", "question-answering"),
        ("squad", "question-answering"),
        (" Sentiment_Analysis ", "text-classification"),
        ("sequence-classification", "text-classification"),
        ("ner", "token-classification"),
        ("masked-lm", "fill-mask"),
        ("nsp", "next-sentence-prediction"),
        ("embeddings", "feature-extraction"),
        ("default", "feature-extraction"),
        ("MobileBertForMultipleChoice", "multiple-choice"),
    ],
)
def test_tasks_are_found_by_name_alias_or_class(text: str, name: str) -> None:
    assert task_named(text).name == name


def test_a_mistyped_task_is_suggested_with_the_list() -> None:
    with pytest.raises(UsageError, match=r"'qestion-anwering'.* Did you mean 'question-answering'\?.*fill-mask"):
        task_named("qestion-anwering")


def test_no_suggestion_without_a_similar_name() -> None:
    with pytest.raises(UsageError) as caught:
        task_named("zzzz")
    assert "Did you mean" not in str(caught.value)


def test_architectures_determine_the_task() -> None:
    task = task_of_architectures(["SomethingElse", "MobileBertForMaskedLM"])
    assert task is not None
    assert task.name == "fill-mask"
    assert task_of_architectures(["BertModel"]) is None
    assert task_of_architectures([]) is None
    assert task_of_architectures(None) is None


def test_every_output_has_its_axes() -> None:
    assert task_named("qa").axes("end_logits") == ("batch", "sequence")
    assert task_named("fill-mask").axes("logits") == ("batch", "sequence", "vocab")
    assert task_named("multiple-choice").axes("logits") == ("batch", "choices")
    assert task_named("multiple-choice").input_axes == ("batch", "choices", "sequence")
    assert task_named("pretraining").output_names == ("prediction_logits", "seq_relationship_logits")
    with pytest.raises(KeyError):
        task_named("qa").axes("logits")


@pytest.mark.parametrize(
    ("declared", "outputs", "found"),
    [
        ("question-answering", ["start_logits", "end_logits", "hidden_states.0"], "question-answering"),
        ("feature-extraction", ["last_hidden_state"], "feature-extraction"),
        ("pretraining", ["logits"], "fill-mask"),
        ("pretraining", ["last_hidden_state", "pooler_output"], "feature-extraction"),
        ("text-classification", ["start_logits", "end_logits"], "question-answering"),
        ("text-classification", ["scores"], None),
        ("question-answering", ["start_logits"], None),
        ("question-answering", ["logits"], None),
    ],
)
def test_a_graph_is_trusted_over_its_folder(declared: str, outputs: list[str], found: str | None) -> None:
    task = task_of_graph(task_named(declared), outputs)
    assert (task.name if task else None) == found


def test_reading_tasks_and_bundles_imports_nothing_heavy() -> None:
    code = (
        "import sys, mbert_onnx.text.tasks, mbert_onnx.bundles.reader\n"
        "heavy = {'numpy', 'onnx', 'onnxruntime', 'tokenizers', 'torch', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_runtime_imports_neither_torch_nor_transformers() -> None:
    code = "import sys, mbert_onnx.runtime.loading\nassert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("rank", "outputs", "name"),
    [
        (2, {"end_logits": (1, 7), "start_logits": (1, 7)}, "question-answering"),
        (2, {"logits": (1, 3)}, "text-classification"),
        (2, {"logits": (1, 7, 3)}, "token-classification"),
        (2, {"logits": (1, 7, 90)}, "fill-mask"),
        (3, {"logits": (1, 2)}, "multiple-choice"),
        (2, {"prediction_logits": (1, 7, 90), "seq_relationship_logits": (1, 2)}, "pretraining"),
        (2, {"last_hidden_state": (1, 7, 64)}, "feature-extraction"),
        (2, {"last_hidden_state": (1, 7, 64), "pooler_output": (1, 64)}, "feature-extraction"),
        (2, {"output_0": (1, 7)}, None),
        (3, {"logits": (1, 7, 3)}, None),
    ],
)
def test_shapes_determine_the_task(rank: int, outputs: dict[str, tuple[int, ...]], name: str | None) -> None:
    found = task_of_shapes(rank, outputs, vocab_size=90)
    assert (None if found is None else found.name) == name


def test_token_logits_are_labels_if_the_vocabulary_size_is_unknown() -> None:
    found = task_of_shapes(2, {"logits": (None, None, None)})
    assert found is not None
    assert found.name == "token-classification"
