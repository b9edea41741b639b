"""Results in int8 with the kernels: the same bits whatever texts are in the list, because each row has scales of its
own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_checkpoints import save_small
from text_encoders import WORDS
from transformers import BertTokenizerFast

from mbert_onnx import export
from mbert_onnx.runtime.jobs.arguments import INPUTS, METHODS
from mbert_onnx.runtime.jobs.batching import Sharing
from mbert_onnx.runtime.loading import load
from mbert_onnx.text.tasks import task_named

# Texts of 1 to 60 words: the longest take several windows of the small models' 48 tokens.
LONGEST = 60


Checkpoints = Callable[[str, bool], Path]


def arguments_of(task: str, count: int) -> list[tuple[Any, ...]]:
    """Random inputs of a task's method, of all lengths in random order."""
    rng = np.random.default_rng(3)
    words = WORDS.split()

    def text(most: int) -> str:
        found = rng.choice(words, rng.integers(1, most))
        if METHODS[task] == "fill":
            found[rng.integers(len(found))] = "[MASK]"
        return " ".join(found)

    method = METHODS[task]
    if method == "choose":
        return [(text(20), [text(20) for _ in range(rng.integers(2, 5))]) for _ in range(count)]
    if method == "answer":
        return [(text(9), text(LONGEST)) for _ in range(count)]
    return [tuple(text(LONGEST) for _ in INPUTS[method][0]) for _ in range(count)]


def is_same(found: Any, expected: Any) -> bool:
    return np.array_equal(found, expected) if isinstance(expected, np.ndarray) else found == expected


@pytest.fixture(scope="module")
def checkpoint(runtime_tokenizer: BertTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    """`checkpoint(task, has_zero_padding)`: a small model, whose table of words is large enough for 8 bits."""

    def make(task: str, has_zero_padding: bool) -> Path:
        folder = tmp_path_factory.mktemp(task)
        model: Any = save_small(folder, task_named(task).architecture, vocab_size=1200)
        if has_zero_padding:
            with torch.no_grad():
                model.get_input_embeddings().weight[0] = 0.0
            model.save_pretrained(folder)
        runtime_tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.mark.full
@pytest.mark.usefixtures("traced_once")
@pytest.mark.parametrize(
    ("task", "has_zero_padding"),
    [*((task, False) for task in METHODS), ("text-classification", True), ("question-answering", True)],
)
def test_int8_results_are_those_of_single_texts(
    task: str, has_zero_padding: bool, checkpoint: Checkpoints, texts: Path, tmp_path: Path
) -> None:
    export(checkpoint(task, has_zero_padding), tmp_path / "bundle", precision="int8", calibrate=texts, min_agreement=0)
    model = load(tmp_path / "bundle", kernels="native")
    inputs = arguments_of(task, 60)
    method = getattr(model, METHODS[task])
    alone = [method(*arguments) for arguments in inputs]
    for window in (len(inputs), 7):
        found = list(model.stream(inputs, window=window))
        assert all(map(is_same, found, alone))
    # A trigram reads the embedding of [PAD] behind the last token. The product of the LM head, outside of the layers,
    # has one step for all tokens of a run.
    shared = Sharing.ALL if has_zero_padding else Sharing.EQUAL_LENGTH
    assert [*model._runner._tried_sharing.values()] == [Sharing.NONE if METHODS[task] == "fill" else shared]
