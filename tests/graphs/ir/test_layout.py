"""Layouts of channels after operators that move elements, checked against the operators themselves."""

from __future__ import annotations

import numpy as np
import pytest
from graph_helpers import graph, run

from graphs.ir.layout import Layout, channels_last, moved


def layouts(text: str, layout: Layout) -> list[Layout] | None:
    """Returns the layouts of the one node's outputs, checked against its results."""
    model = graph(text)
    result = moved(layout, model.graph.node(0))
    shape = [dim if isinstance(dim, int) else 1 for dim in model.graph.inputs[0].shape or ()]
    # A value that holds its own channel's number.
    x = np.ascontiguousarray(np.broadcast_to(layout, shape)).astype(np.float32)
    if result is not None:
        for found, value in zip(run(model, {"x": x}).values(), result, strict=True):
            np.testing.assert_array_equal(found, np.broadcast_to(value, found.shape))
    return result


LAST = channels_last(3, 6)
HEADS = LAST.reshape(1, 1, 3, 2)
TURNED = LAST.transpose(0, 2, 1)


def test_channels_last() -> None:
    np.testing.assert_array_equal(channels_last(3, 4), [[[0, 1, 2, 3]]])
    np.testing.assert_array_equal(channels_last(1, 2), [0, 1])


@pytest.mark.parametrize(
    ("text", "layout", "shape"),
    [
        ("(float[2, 5, 6] x) => (float[2, 5, 6] y) { y = Identity(x) }", LAST, (1, 1, 6)),
        ("(float[2, 5, 6] x) => (float[6, 5, 2] y) { y = Transpose(x) }", LAST, (6, 1, 1)),
        ("(float[2, 5, 6] x) => (float[2, 6, 5] y) { y = Transpose <perm = [0, 2, 1]> (x) }", LAST, (1, 6, 1)),
        (
            "(float[2, 5, 3, 2] x) => (float[2, 3, 2, 5] y) { y = Transpose <perm = [0, 2, 3, 1]> (x) }",
            HEADS,
            (1, 3, 2, 1),
        ),
        (
            "(float[2, 5, 6] x) => (float[2, 5, 3, 2] y) <int64[4] s = {2, 5, 3, 2}> { y = Reshape(x, s) }",
            LAST,
            (1, 1, 3, 2),
        ),
        ("(float[2, 5, 6] x) => (float[10, 6] y) <int64[2] s = {-1, 6}> { y = Reshape(x, s) }", LAST, (1, 6)),
        (
            "(float[2, 5, 3, 2] x) => (float[2, 5, 6] y) <int64[3] s = {0, 0, 6}> { y = Reshape(x, s) }",
            HEADS,
            (1, 1, 6),
        ),
        ("(float[2, 5, 6] x) => (float[2, 1, 5, 6] y) <int64[1] a = {1}> { y = Unsqueeze(x, a) }", LAST, (1, 1, 1, 6)),
        (
            "(float[2, 5, 6] x) => (float[2, 5, 6, 1] y) <int64[1] a = {-1}> { y = Unsqueeze(x, a) }",
            LAST,
            (1, 1, 6, 1),
        ),
        ("(float[1, 5, 6] x) => (float[5, 6] y) <int64[1] a = {0}> { y = Squeeze(x, a) }", LAST, (1, 6)),
        ("(float[2, 5, 6] x) => (float[2, 6] y) <int64 i = {3}> { y = Gather <axis = 1> (x, i) }", LAST, (1, 6)),
        (
            "(float[2, 5, 6] x) => (float[2, 2, 6] y) <int64[2] i = {3, 0}> { y = Gather <axis = 1> (x, i) }",
            LAST,
            (1, 1, 6),
        ),
        ("(float[2, 6, 5] x) => (float[2, 6] y) <int64 i = {0}> { y = Gather <axis = -1> (x, i) }", TURNED, (1, 6)),
        (
            "(float[2, 5, 6] x) => (float[2, 2, 6] y) <int64[1] a = {1}, int64[1] b = {3}, int64[1] c = {1}>"
            "{ y = Slice(x, a, b, c) }",
            LAST,
            (1, 1, 6),
        ),
    ],
)
def test_channels_move_with_the_elements(text: str, layout: Layout, shape: tuple[int, ...]) -> None:
    result = layouts(text, layout)
    assert result is not None
    assert [value.shape for value in result] == [shape]


def test_a_split_of_channels_gives_each_part_its_own() -> None:
    text = """(float[2, 5, 6] x) => (float[2, 5, 2] y, float[2, 5, 4] z) <int64[2] s = {2, 4}>
        { y, z = Split <axis = -1> (x, s) }"""
    result = layouts(text, LAST)
    assert result is not None
    assert [value.tolist() for value in result] == [[[[0, 1]]], [[[2, 3, 4, 5]]]]


def test_a_split_of_unsaid_sizes_gives_equal_parts_but_for_the_last() -> None:
    text = """(float[2, 5, 6] x) => (float[2, 5, 3] y, float[2, 5, 3] z)
        { y, z = Split <axis = 2, num_outputs = 2> (x) }"""
    result = layouts(text, LAST)
    assert result is not None
    assert [value.tolist() for value in result] == [[[[0, 1, 2]]], [[[3, 4, 5]]]]
    text = """(float[1, 7] x) => (float[1, 3] a, float[1, 3] b, float[1, 1] c)
        { a, b, c = Split <axis = -1, num_outputs = 3> (x) }"""
    result = layouts(text, np.arange(7).reshape(1, 7))
    assert result is not None
    assert [value.tolist() for value in result] == [[[0, 1, 2]], [[3, 4, 5]], [[6]]]


def test_a_split_of_sizes_that_are_computed_is_refused() -> None:
    text = "(float[2, 5, 6] x, int64[2] s) => (float[2, 5, m] y, float[2, 5, n] z) { y, z = Split <axis = 2> (x, s) }"
    assert layouts(text, LAST) is None


def test_a_split_of_tokens_gives_all_channels_to_each_part() -> None:
    text = "(float[2, 4, 6] x) => (float[2, 2, 6] y, float[2, 2, 6] z) { y, z = Split <axis = 1, num_outputs = 2> (x) }"
    result = layouts(text, LAST)
    assert result is not None
    assert [value.shape for value in result] == [(1, 1, 6)] * 2


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        pytest.param("(float[2, 5, 6] x) => (float[2, 5, 6] y) { y = Relu(x) }", LAST, id="no view"),
        pytest.param(
            "(float[2, 5, 6] x) => (float[2, 30] y) <int64[2] s = {2, 30}> { y = Reshape(x, s) }", LAST, id="joined"
        ),
        pytest.param(
            "(float[2, 5, 6] x) => (float[4, 15] y) <int64[2] s = {4, 15}> { y = Reshape(x, s) }", LAST, id="torn apart"
        ),
        pytest.param(
            "(float[2, 6, 5] x) => (float[10, 6] y) <int64[2] s = {10, 6}> { y = Reshape(x, s) }", TURNED, id="turned"
        ),
        pytest.param(
            "(float[2, 5, 6] x) => (float[2, 5, 1] y) <int64[1] i = {2}> { y = Gather <axis = 2> (x, i) }",
            LAST,
            id="a channel",
        ),
        pytest.param(
            "(float[2, 5, 6] x) => (float[2, 2, 2, 6] y) <int64[2, 2] i = {0, 1, 1, 0}>"
            "{ y = Gather <axis = 1> (x, i) }",
            LAST,
            id="a table of tokens",
        ),
        pytest.param(
            "(float[2, 5, 6] x) => (float[2, 5, 2] y) <int64[1] a = {1}, int64[1] b = {3}, int64[1] c = {2}>"
            "{ y = Slice(x, a, b, c) }",
            LAST,
            id="a slice of channels",
        ),
        pytest.param(
            "(float[2, 5, 6] x) => (float[1, 5, 6] y) <int64[3] a = {0, 0, 0}, int64[3] b = {1, 5, 6}>"
            "{ y = Slice(x, a, b) }",
            LAST,
            id="a slice without axes",
        ),
        pytest.param("(float[1, 5, 6] x) => (float[5, 6] y) { y = Squeeze(x) }", LAST, id="a squeeze without axes"),
    ],
)
def test_other_movements_are_refused(text: str, layout: Layout) -> None:
    assert layouts(text, layout) is None


def test_an_operator_of_another_domain_is_refused() -> None:
    node = graph("(float[2, 5, 6] x) => (float[2, 5, 6] y) { y = Identity(x) }").graph.node(0)
    node.domain = "com.example"
    assert moved(LAST, node) is None
