"""Distance between two models' outputs, by the measure that `mbert_onnx` hands in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphs.execution.centred_error import largest_centred_error
from perf.outputs.answers import Answers
from perf.outputs.difference import difference
from perf.sessions.types import Outputs

FEED = {"input_ids": np.array([[5, 6], [7, 8]]), "attention_mask": np.array([[1, 1], [1, 0]])}


def outputs(**values: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in values.items()}


def distance(found: Outputs, first: Outputs) -> float | None:
    return difference(found, first, FEED, largest_centred_error)


def test_equal_outputs() -> None:
    assert distance(outputs(logits=[[5.0, 5.0]]), outputs(logits=[[5.0, 5.0]])) == 0


def test_the_difference_is_relative_to_how_much_each_channel_varies() -> None:
    """One mean over all channels would count the distance between them as variation."""
    first = outputs(logits=[[100.0, 0.0, 0.0], [102.0, 0.0, 0.0]])
    assert distance(outputs(logits=[[101.0, 0.0, 0.0], [103.0, 0.0, 0.0]]), first) == pytest.approx(1.0)


def test_padding_is_not_compared() -> None:
    first = outputs(logits=[[[1.0], [3.0]], [[2.0], [0.0]]])
    assert distance(outputs(logits=[[[1.0], [3.0]], [[2.0], [9.0]]]), first) == 0
    # Of the real tokens 1, 3 and 2: the spread is √2.
    assert distance(outputs(logits=[[[1.0], [3.0]], [[1.0], [9.0]]]), first) == pytest.approx(1 / 2**0.5)


def test_a_model_without_a_mask_is_compared_on_the_same_tokens() -> None:
    feed = {"input_ids": np.array([[5, 6, 7, 8]])}
    short = outputs(logits=[[0.0, 2.0, 4.0, 8.0]])
    one = Answers(feed, short, outputs(logits=[[1.0, 3.0, 0.0, 0.0]]), None, None)
    other = Answers(feed, short, outputs(logits=[[1.0, 3.0, 9.0, 9.0]]), None, None)
    assert one.difference(other, largest_centred_error) == 0
    assert one.padded_difference(other, largest_centred_error) == 0


def test_the_largest_error_of_the_shared_outputs_counts() -> None:
    first = outputs(start=[1.0, -1.0], end=[1.0, -1.0], mine=[1.0, 2.0])
    found = outputs(start=[1.0, -1.0], end=[1.5, -1.0], theirs=[7.0])
    assert distance(found, first) == pytest.approx(0.5 / 2**0.5)


def test_no_shared_output_has_no_difference() -> None:
    assert distance(outputs(logits=[1.0]), outputs(scores=[1.0])) is None
    assert distance(outputs(ids=[1]), outputs(ids=[2])) is None


def test_without_a_measure_there_is_no_difference() -> None:
    assert difference(outputs(logits=[1.0]), outputs(logits=[2.0]), FEED, None) is None


@pytest.mark.parametrize("found", [[1.0], [1.0, np.nan], [1.0, np.inf]])
def test_outputs_that_cannot_be_compared_are_infinitely_far(found: list[float]) -> None:
    assert distance(outputs(logits=found), outputs(logits=[1.0, 2.0])) == np.inf
    assert distance(outputs(logits=[1.0, 2.0]), outputs(logits=found)) == np.inf
    assert len(found) == 1 or distance(outputs(logits=found), outputs(logits=found)) == np.inf
