"""Limits of a text model's inputs, from its graph and from trial runs."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir
import onnxruntime
import pytest
from graph_helpers import graph

from graphs.execution.inputs.declared import inputs_of_graph, inputs_of_session
from graphs.execution.inputs.limits import MOST_WORDS, InputLimits, tried_limits
from graphs.execution.runner import runner
from graphs.execution.types import Feed, Outputs

# A model of words, token types and positions, in which only the sizes are real. Each case replaces a part.
MODEL = """(int64[b, s] input_ids, int64[b, s] attention_mask, int64[b, s] token_type_ids) => (float[b, n, k] y)
    <float[100, 2] words, float[2, 2] types, float[200, 2] places,
     int64 one = {1}, int64[1] one1 = {1}, int64 zero = {0}, int64[1] zero1 = {0}, float half = {0.5}>
    {
        word = Gather(words, input_ids)
        type = Gather(types, token_type_ids)
        shape = Shape(input_ids)
        length = Gather(shape, one)
        range = Range(zero, length, one)
        place = Gather(places, range)
        sum = Add(word, type)
        y = Add(sum, place)
    }"""
ALL = InputLimits(vocab_size=100, segments=2, lengths=range(1, 201))

CASES = [
    pytest.param((), ALL, id="all that its tables hold"),
    pytest.param(
        (("float[200, 2] places", "float[4, 2] places"),), replace(ALL, lengths=range(1, 5)), id="4 positions"
    ),
    pytest.param((("float[200, 2] places", "float[1, 2] places"),), replace(ALL, lengths=range(1, 2)), id="1 position"),
    pytest.param((("float[2, 2] types", "float[1, 2] types"),), replace(ALL, segments=1), id="one token type"),
    pytest.param(
        (("float[100, 2] words", "int8[10, 2] stored"), ("word =", "words = DequantizeLinear(stored, half) word =")),
        replace(ALL, vocab_size=10),
        id="10 words behind DequantizeLinear",
    ),
    pytest.param(
        (
            ("float[100, 2]", "float[10, 2]"),
            ("word =", "ids = Abs(input_ids) word ="),
            ("words, input_ids", "words, ids"),
        ),
        replace(ALL, vocab_size=10),
        id="10 words out of sight",
    ),
    pytest.param(
        (
            ("y = Add(sum, place)", "w = Add(sum, place) f = Reshape(w, to) y = Add(f, w)"),
            ("int64 one =", "int64[3] to = {1, -1, 2}, int64 one ="),
        ),
        replace(ALL, batch=1),
        id="batch 1",
    ),
    pytest.param(
        (
            ("y = Add(sum, place)", "w = Add(sum, place) y = Reshape(w, to)"),
            ("int64 one =", "int64[3] to = {1, -1, 2}, int64 one ="),
        ),
        replace(ALL, batch=1),
        id="batch 1, with other texts read as one",
    ),
    pytest.param(
        (
            ("y = Add(sum, place)", "w = Add(sum, place) y = Concat <axis = 1> (w, four)"),
            ("int64 one =", "float[4, 3, 2] four, int64 one ="),
        ),
        replace(ALL, batch=4),
        id="batch 4",
    ),
    pytest.param(
        (
            ("y = Add(sum, place)", "w = Add(sum, place) t = Transpose <perm = [0, 2, 1]> (w) y = MatMul(t, m)"),
            ("int64 one =", "float[37, 3] m, int64 one ="),
        ),
        replace(ALL, lengths=range(37, 38)),
        id="37 tokens",
    ),
    *[
        pytest.param(
            (
                ("y = Add(sum, place)", "w = Add(sum, place) y = Add(w, c)"),
                ("int64 one =", f"float[{shape}] c, int64 one ="),
            ),
            replace(ALL, lengths=lengths, batch=batch),
            id=f"{shape}: sizes that others are broadcast to",
        )
        for shape, lengths, batch in (
            ("1, 7, 2", range(7, 8), None),  # neither a usual length nor next to 1
            ("1, 9, 2", range(9, 10), None),  # 1 and 9 are 8 apart
            ("2, 7, 2", range(7, 8), 2),
            ("2, 2, 2", range(2, 3), 2),
            ("2, 1, 2", ALL.lengths, 2),  # a batch of 1, too, has two rows of outputs
        )
    ],
    pytest.param(
        (
            ("y = Add(sum, place)", "w = Add(sum, place) f = Reshape(w, to) y = ReduceSum <keepdims = 0> (f, one1)"),
            ("int64 one =", "int64[4] to = {0, -1, 8, 2}, int64 one ="),
        ),
        replace(ALL, lengths=range(8, 201, 8)),
        id="multiples of 8",
    ),
    pytest.param(
        (
            ("y = Add(sum, place)", "w = Add(sum, place) f = Reshape(w, to) y = ReduceSum <keepdims = 0> (f, one1)"),
            ("int64 one =", "int64[4] to = {1, -1, 8, 2}, int64 one ="),
            ("float[200, 2] places", "float[100, 2] places"),
            ("float[2, 2] types", "float[1, 2] types"),
            ("float[100, 2] words", "float[10, 2] words"),
        ),
        InputLimits(vocab_size=10, segments=1, lengths=range(8, 97, 8), batch=1),
        id="all at once",
    ),
]


def changed(changes: tuple[tuple[str, str], ...], dtype: str) -> ir.Model:
    text = MODEL.replace("int64[b, s]", f"{dtype}[b, s]")
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return graph(text)


@pytest.mark.parametrize("dtype", ["int64", "int32"])
@pytest.mark.parametrize(("changes", "expected"), CASES)
def test_limits_are_found_by_trial(changes: tuple[tuple[str, str], ...], expected: InputLimits, dtype: str) -> None:
    model = changed(changes, dtype)
    inputs = inputs_of_graph(model)
    for start in (InputLimits.of_graph(model, inputs, positions=200), replace(ALL, vocab_size=MOST_WORDS)):
        assert tried_limits(inputs, runner(model), start) == expected


@pytest.mark.parametrize("names", [("input_ids", "attention_mask", "token_type_ids"), ("attention_mask",)])
def test_inputs_that_declare_no_shape_are_texts(names: tuple[str, ...]) -> None:
    model = graph(MODEL.replace("int64[b, s] input_ids", "int64[b, 7] input_ids"))
    for value in model.graph.inputs:
        value.shape = None if value.name in names else value.shape
    session = onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString())
    for inputs in (inputs_of_graph(model), inputs_of_session(session)):
        limits = tried_limits(inputs, runner(model), InputLimits.of_graph(model, inputs, positions=200))
        assert limits == (ALL if "input_ids" in names else replace(ALL, lengths=range(7, 8)))


def test_what_a_model_takes_is_tried_twice() -> None:
    model, runs = graph(MODEL), list[int]()
    run = runner(model)

    def counted(feed: Feed) -> Outputs:
        runs.append(1)
        return run(feed)

    assert tried_limits(inputs_of_graph(model), counted, ALL) == ALL
    assert len(runs) == 2


def test_a_model_that_runs_with_nothing_raises_its_own_error() -> None:
    def run(feed: Feed) -> Outputs:
        raise ValueError("no such operator")

    with pytest.raises(ValueError, match="no such operator"):
        tried_limits(inputs_of_graph(graph(MODEL)), run, ALL)


def test_declared_sizes_are_kept() -> None:
    inputs = inputs_of_graph(graph(MODEL.replace("int64[b, s]", "int64[2, 16]")))
    limits = InputLimits.declared(inputs, vocab_size=100)
    assert (limits.batch, limits.length, limits.lengths) == (2, 16, range(16, 17))


def test_limits_of_both() -> None:
    other = InputLimits(vocab_size=50, segments=1, lengths=range(8, 101, 8), batch=1)
    assert ALL.within(other) == InputLimits(vocab_size=50, segments=1, lengths=range(8, 97, 8), batch=1)
    assert ALL.within(replace(ALL, lengths=range(300, 301))) is None
    assert replace(ALL, batch=2).within(replace(ALL, batch=3)) is None
    lengths = replace(ALL, lengths=range(6, 101, 6)).within(other)
    assert lengths is not None
    assert [*lengths.lengths] == [24, 48, 72, 96]


@pytest.mark.parametrize(("length", "expected"), [(1, 8), (8, 8), (9, 16), (23, 24), (200, 64)])
def test_a_length_that_holds_a_text(length: int, expected: int) -> None:
    assert InputLimits(lengths=range(8, 65, 8)).fit(length) == expected
