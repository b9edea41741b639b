"""Two runs on the same inputs: which graphs differ, and what is to blame."""

from __future__ import annotations

import numpy as np
import pytest
from graph_helpers import LAYER, graph

from graphs.execution.repeatability import described, differing_output, random_operators
from graphs.execution.runner import runner

NOISE = "(float[n, 4] x) => (float[n, 4] y) { r = RandomUniformLike(x) y = Add(x, r) }"
X = {"x": np.ones((3, 4), np.float32)}


@pytest.mark.parametrize("seed", ["", " <seed = 1.0> "])
def test_random_numbers_differ_within_a_session(seed: str) -> None:
    """A generator with a constant seed, too."""
    run = runner(graph(NOISE.replace("Like(", f"Like{seed}(")))
    found = differing_output(run, [X], [run(X)])
    assert found is not None
    name, error = found
    assert name == "y"
    assert error > 0.01


def test_other_graphs_do_not_differ() -> None:
    run = runner(graph("(float[n, 4] x) => (float[n, 4] y) { y = Neg(x) }"))
    assert differing_output(run, [X], [run(X)]) is None


def test_random_sizes_differ() -> None:
    outputs = iter([np.zeros((1, 4)), np.zeros((2, 4))])
    found = differing_output(lambda _: {"y": next(outputs)}, [X], [{"y": np.zeros((3, 4))}])
    assert found == ("y", np.inf)


def test_what_draws_random_numbers_is_counted() -> None:
    text = """(float[n, 4] x) => (float[n, 4] y) <float p = {0.5}, bool on = {1}, bool off = {0}>
        { a = Dropout(x, p, on) b = Dropout(a, p, off) c = Dropout(b) r = RandomUniformLike(c) y = Add(c, r) }"""
    random = random_operators(graph(text))
    assert random == {"Dropout": 1, "RandomUniformLike": 1}
    assert described(random) == ", since it draws random numbers in 1 Dropout, 1 RandomUniformLike"
    assert described(random_operators(graph(LAYER))) == ""
