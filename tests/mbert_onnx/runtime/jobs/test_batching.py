"""Which rows share a run: only those whose outputs are the same as alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported_checkpoints import Exports

from mbert_onnx.bundles.inputs import inputs_of
from mbert_onnx.runtime.jobs import batching
from mbert_onnx.runtime.jobs.batching import RowRunner
from mbert_onnx.runtime.jobs.statistics import BatchStatistics
from mbert_onnx.runtime.loading import load
from mbert_onnx.text.encoder import Row
from mbert_onnx.text.tasks import TEXT_CLASSIFICATION, TOKEN_CLASSIFICATION, Task

PADDING, WORDS = 0, 50


@dataclass(frozen=True)
class Node:
    name: str
    shape: tuple[Any, ...]
    type: str = "tensor(int64)"


@dataclass
class Trigram:
    """A session whose token outputs are sums of a token's embedding and the next one's.

    Args:
        task: Outputs per token, or their mean over each text.
        padding: The embedding of padding.
        step: Rounds to multiples of a step that depends on all tokens of a run, as dynamic quantization does.
        masked: Whether it has a mask.
        shape: The shape of the inputs.
    """

    task: Task = TOKEN_CLASSIFICATION
    padding: float = 0.0
    step: bool = False
    masked: bool = True
    shape: tuple[Any, ...] = ("batch", "sequence")
    runs: list[tuple[int, int]] = field(default_factory=list)

    def get_inputs(self) -> list[Node]:
        return [Node(name, self.shape) for name in ("input_ids", *(["attention_mask"] if self.masked else []))]

    def get_outputs(self) -> list[Node]:
        return [Node("logits", ())]

    def run(self, names: Sequence[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        ids = feed["input_ids"]
        self.runs.append(ids.shape)
        words = np.where(ids == PADDING, self.padding, np.sin(ids))
        outputs = words + np.pad(words, ((0, 0), (0, 1)))[:, 1:]
        if self.step:
            scale = np.abs(outputs).max() / 127
            outputs = np.round(outputs / scale) * scale
        if self.task is TEXT_CLASSIFICATION:
            real = feed["attention_mask"] if self.masked else np.ones_like(ids)
            return [(outputs * real).sum(1, keepdims=True) / real.sum(1, keepdims=True)]
        return [outputs[..., None]]


def rows_of(*lengths: int) -> list[Row]:
    ids = np.random.default_rng(0)
    return [Row([2, *ids.integers(4, WORDS, length - 2).tolist(), 3], [0] * length) for length in lengths]


def runner_of(session: Trigram) -> RowRunner:
    return RowRunner(session, session.task, inputs_of(session, session.task, "file"), PADDING, "file")


def run(session: Trigram, rows: list[Row]) -> dict[int, np.ndarray]:
    return {number: part.copy() for number, [part] in runner_of(session).run(rows, "logits")}


@pytest.mark.parametrize(
    ("session", "shared"),
    [
        (Trigram(), [7] * 6),
        (Trigram(padding=0.5), [3, 3, 7, 7, 7]),
        (Trigram(padding=0.5, task=TEXT_CLASSIFICATION), [3, 3, 7, 7, 7]),
        (Trigram(step=True), []),
        (Trigram(step=True, task=TEXT_CLASSIFICATION), []),
        (Trigram(masked=False, task=TEXT_CLASSIFICATION), [3, 3, 7, 7, 7]),
    ],
    ids=["zero padding", "padding", "padding of texts", "dynamic", "dynamic of texts", "no mask"],
)
def test_rows_share_a_run_only_where_their_outputs_stay(session: Trigram, shared: list[int]) -> None:
    rows = rows_of(7, 3, 5, 7, 3, 7)
    alone = {number: run(replace(session, runs=[]), [row])[0] for number, row in enumerate(rows)}
    runner = runner_of(session)
    for _ in range(2):
        session.runs.clear()
        found = {number: part.copy() for number, [part] in runner.run(rows, "logits")}
        assert found.keys() == alone.keys()
        for number, part in found.items():
            np.testing.assert_allclose(part, alone[number], atol=1e-6)
    assert [shape for batch, shape in session.runs for _ in range(batch) if batch > 1] == shared


def test_one_row_is_not_tried() -> None:
    session = Trigram()
    run(session, rows_of(7))
    assert session.runs == [(1, 7)]


def test_equal_texts_do_not_hide_a_step_of_all_tokens() -> None:
    session = Trigram(step=True)
    run(session, rows_of(7)[:1] * 3)
    assert [batch for batch, _ in session.runs[-3:]] == [1, 1, 1]


def test_a_session_is_tried_once() -> None:
    session = Trigram()
    runner = runner_of(session)
    rows = rows_of(*range(3, 11))
    assert len(list(runner.run(rows, "logits"))) == len(rows)
    session.runs.clear()
    assert len(list(runner.run(rows, "logits"))) == len(rows)
    assert session.runs == [(8, 10)]


@pytest.mark.parametrize("fixed", [False, True])
def test_rows_of_similar_length_share_a_run_up_to_a_number_of_tokens(
    fixed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "TOKENS_PER_RUN", 30)
    session = Trigram(shape=("batch", 12 if fixed else "sequence"))
    runner, statistics = runner_of(session), BatchStatistics()
    rows = rows_of(12, 3, 9, 3, 10, 4, 3)
    list(runner.batches(rows[:2], ["logits"]))
    session.runs.clear()
    numbers = [batch.numbers for batch in runner.batches(rows, ["logits"], statistics)]
    sizes = [(2, 12)] * 3 + [(1, 12)] if fixed else [(4, 4), (2, 10), (1, 12)]
    assert session.runs == sizes
    assert sorted(chain.from_iterable(numbers)) == list(range(7))
    assert (statistics.runs, statistics.rows, statistics.tokens) == (len(sizes), 7, sum(map(len, rows)))
    assert statistics.padded_tokens == sum(batch * length for batch, length in sizes)


@pytest.mark.parametrize(("step", "runs"), [(False, 2), (True, 4)])
def test_a_fixed_batch_is_filled_with_one_text_where_others_change_it(step: bool, runs: int) -> None:
    session = Trigram(step=step, shape=(2, 9))
    rows = rows_of(7, 3, 5, 9)
    found = run(session, rows)
    for number, row in enumerate(rows):
        alone = run(Trigram(step=step, shape=(2, 9)), [row])[0]
        np.testing.assert_allclose(found[number], alone, atol=1e-6)
    assert session.runs[-runs:] == [(2, 9)] * runs
    assert len(session.runs) == 3 + runs


TEXTS = ["the school won", "who was the first , and what was last in the city by the river ?", "the game won"]


@pytest.mark.parametrize("options", [{}, {"precision": "int8"}], ids=["fp32", "int8"])
@pytest.mark.parametrize("kernels", ["auto", "portable"])
def test_an_embedding_does_not_depend_on_the_other_texts(
    options: dict[str, Any], kernels: str, exported: Exports, texts: Path
) -> None:
    # [PAD] has a random embedding, which changes the states of torch.
    lower = {"calibrate": texts, "min_agreement": 0.5} if "precision" in options else {}
    model = load(exported("feature-extraction", **options, **lower).bundle, kernels=kernels)
    together = model.embed(TEXTS)
    for text, found in zip(TEXTS, together, strict=True):
        alone = model.embed(text)
        np.testing.assert_allclose(found, alone, atol=1e-4 * np.abs(alone).max())
