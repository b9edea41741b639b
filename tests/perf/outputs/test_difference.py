"""How far two models' outputs are apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from perf.outputs.difference import difference


def outputs(**values: Any) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in values.items()}


def test_equal_outputs() -> None:
    assert difference(outputs(logits=[[5.0, 5.0]]), outputs(logits=[[5.0, 5.0]])) == 0


def test_the_difference_is_relative_to_how_much_the_first_varies() -> None:
    first = outputs(logits=[[1001.0, 999.0]])
    assert difference(outputs(logits=[[1002.0, 1000.0]]), first) == pytest.approx(1.0)


def test_the_worst_shared_output_counts() -> None:
    first = outputs(start=[1.0, -1.0], end=[1.0, -1.0], mine=[1.0, 2.0])
    found = outputs(start=[1.0, -1.0], end=[1.5, -1.0], theirs=[7.0])
    assert difference(found, first) == pytest.approx(0.5 / 2**0.5)


def test_nothing_in_common() -> None:
    assert difference(outputs(logits=[1.0]), outputs(scores=[1.0])) is None
    assert difference(outputs(ids=[1]), outputs(ids=[2])) is None


@pytest.mark.parametrize("found", [[1.0], [1.0, np.nan], [1.0, np.inf]])
def test_what_cannot_be_compared_is_infinitely_far(found: list[float]) -> None:
    assert difference(outputs(logits=found), outputs(logits=[1.0, 2.0])) == np.inf
    assert difference(outputs(logits=[1.0, 2.0]), outputs(logits=found)) == np.inf


def test_any_difference_from_a_constant_is_infinite() -> None:
    assert difference(outputs(logits=[1.0, 1.1]), outputs(logits=[1.0, 1.0])) == np.inf
