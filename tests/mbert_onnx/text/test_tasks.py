"""Tasks: names, aliases, classes, and the task that a graph's outputs imply."""

from __future__ import annotations

import subprocess
import sys

import pytest
import transformers

from mbert_onnx.errors import UsageError
from mbert_onnx.text.tasks import (
    TASKS,
    named_outputs,
    task_named,
    task_of_architectures,
    task_of_graph,
    task_of_outputs,
    task_of_shapes,
)


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
        ("sentence-similarity", "sentence-similarity"),
        ("MobileBertModel", "feature-extraction"),
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
        ("feature-extraction", ["token_embeddings", "sentence_embedding"], "sentence-similarity"),
        ("feature-extraction", ["last_hidden_state", "sentence_embedding"], "sentence-similarity"),
        ("sentence-similarity", ["last_hidden_state", "pooler_output"], "feature-extraction"),
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


# Outputs of other names, with their shapes: a number, None for the length of the text, and a name for a size that is
# not known.
@pytest.mark.parametrize(
    ("task", "outputs", "found"),
    [
        ("qa", {"clone_73": ("b", None), "linear_62": ("b", None)}, ["clone_73", "linear_62"]),
        ("qa", {"end:0": ("b", None), "start:0": ("b", None)}, ["start:0", "end:0"]),
        (
            "qa",
            {"tf/end_logits:0": ("b", None), "tf/start_logits:0": ("b", None)},
            ["tf/start_logits:0", "tf/end_logits:0"],
        ),
        ("qa", {"unstack:1": ("b", "?"), "unstack:0": ("b", "?"), "unique_ids:0": ("b",)}, ["unstack:0", "unstack:1"]),
        ("qa", {"loss": (), "a": (1, 7), "b": (1, 7)}, ["a", "b"]),
        ("qa", {"a": (1, 7), "b": (1, 2)}, None),
        ("sentiment", {"linear_62": (1, 3)}, ["linear_62"]),
        ("sentiment", {"linear_62": (1, None)}, None),
        ("ner", {"linear_62": (1, None, 9), "hidden": (1, None, 64)}, ["linear_62"]),
        ("fill-mask", {"hidden": (1, None, 64), "linear_62": (1, None, 90)}, ["linear_62"]),
        ("swag", {"view": (1, 4)}, ["view"]),
        ("embeddings", {"add_9": (1, None, 64)}, ["add_9"]),
        ("embeddings", {"tanh": (1, 64), "add_9": (1, None, 64)}, ["add_9", "tanh"]),
        ("pretraining", {"linear_63": (1, 2), "linear_62": (1, None, 90)}, ["linear_62", "linear_63"]),
    ],
)
def test_outputs_of_other_names_are_the_task_s_in_its_order(
    task: str, outputs: dict[str, tuple[object, ...]], found: list[str] | None
) -> None:
    names = named_outputs(task_named(task), outputs, seq_len=7, vocab_size=90)
    by_task = {known: name for name, known in (names or {}).items()}
    assert [by_task[known] for known in task_named(task).output_names if known in by_task] == (found or [])


def test_a_start_and_an_end_are_not_told_apart_by_their_order_where_that_matters() -> None:
    outputs = {"clone_73": (1, None), "linear_62": (1, None)}
    assert named_outputs(task_named("qa"), outputs, by_order=False) is None
    assert named_outputs(task_named("sentiment"), {"x": (1, 2)}, by_order=False) == {"x": "logits"}
    # TensorFlow numbers the outputs of one operator.
    numbered = {"unstack:1": ("b", "?"), "unstack:0": ("b", "?"), "unique_ids:0": ("b",)}
    names = {"unstack:0": "start_logits", "unstack:1": "end_logits"}
    assert named_outputs(task_named("qa"), numbered, by_order=False) == names
    keras = {"Identity:0": ("b", "?"), "Identity_1:0": ("b", "?")}  # in the order of their names: the end comes first
    assert named_outputs(task_named("qa"), keras, by_order=False) is None


def test_outputs_can_be_chosen_in_the_task_s_order() -> None:
    outputs = {"a": (1, None), "b": (1, None), "start_logits": (1, None, 64)}
    qa = task_named("qa")
    assert named_outputs(qa, outputs, chosen=["b", "a"]) == {"b": "start_logits", "a": "end_logits"}
    for chosen, message in [
        (["b", "c"], "--outputs names 'c'; expected some of the file's outputs, a, b, start_logits"),
        (["b"], "--outputs names b; question-answering has start_logits, end_logits: name"),
        (["b", "b"], "--outputs names b, b; question-answering has"),
        (["b", "start_logits"], r"--outputs names start_logits, of shape \[1, None, 64\], as end_logits"),
    ]:
        with pytest.raises(UsageError, match=message):
            named_outputs(qa, outputs, chosen=chosen)


@pytest.mark.parametrize(
    ("rank", "outputs", "name"),
    [
        (2, {"clone_73": (1, None), "linear_62": (1, None)}, "question-answering"),
        (2, {"clone_73": (1, 7), "linear_62": (1, 7)}, "question-answering"),
        (2, {"linear_62": (1, 3)}, "text-classification"),
        (2, {"linear_62": (1, "?")}, None),
        (2, {"linear_62": (1, None)}, None),
        (3, {"view": (1, 4)}, "multiple-choice"),
        (2, {"linear_62": (1, None, 90)}, "fill-mask"),
        (2, {"linear_62": (1, None, 90), "linear_63": (1, 2)}, "pretraining"),
        (2, {"add_9": (1, None, 64), "tanh": (1, 64)}, "feature-extraction"),
        (2, {"add_9": (1, None, 64)}, None),  # a hidden state, or labels of tokens
    ],
)
def test_the_task_of_outputs_of_other_names(
    rank: int, outputs: dict[str, tuple[object, ...]], name: str | None
) -> None:
    task = task_of_outputs(rank, outputs, seq_len=7, vocab_size=90)
    assert (task.name if task else None) == name
