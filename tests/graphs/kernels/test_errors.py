"""Malformed nodes: the native kernels refuse them with an error, and never crash."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from built_kernels import LIBRARY, needs_kernels
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_models import Arrays, Widths, attention_feed, ffn_feed, session, with_8_bit_weights, with_scales
from onnx import TensorProto, helper, numpy_helper

from graphs.functions import DOMAIN, VERSION

pytestmark = needs_kernels

WIDTHS = Widths(16, 8, 12, 2, 1)
RUN_TIME = ("x", "residual", "mask", "heads")
FFN = ("x", "residual", "weight1_0", "bias1_0", "weight2_0", "weight_out")
ATTENTION = ("x", "mask", "heads", "weight_in", "bias_in", "weight_qk", "bias_qk", "weight_out")


def inputs_of(kind: str) -> tuple[str, Arrays, list[str]]:
    """Returns an operator's name, its inputs, and the names of these in order."""
    feed = ffn_feed(WIDTHS, 6) if kind.startswith("StackedFFN") else attention_feed(WIDTHS, [3, 2])
    names = list(FFN if kind.startswith("StackedFFN") else ATTENTION)
    if kind.endswith("Int8"):
        feed = with_8_bit_weights(feed)
        names = with_scales(names)
    return kind, {n: a if a.dtype.kind == "i" else a.astype(np.float32) for n, a in feed.items()}, names


KINDS = ("StackedFFN", "StackedFFNInt8", "BottleneckAttention", "BottleneckAttentionInt8")


def compute(kind: str, feed: Arrays, names: list[str], variable: tuple[str, ...] = RUN_TIME) -> np.ndarray:
    """Runs a session of one node whose operator has no function body."""
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(feed[n].dtype), [None] * feed[n].ndim)
        for n in dict.fromkeys(names)
        if n in variable and n in feed
    ]
    constants = [numpy_helper.from_array(a, n) for n, a in feed.items() if n not in variable and n in names]
    node = helper.make_node(kind, [n if n in feed else "" for n in names], ["y"], domain=DOMAIN)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, None])
    model = helper.make_model(
        helper.make_graph([node], "g", inputs, [output], constants),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, VERSION)],
        ir_version=10,
    )
    opened = session(model.SerializeToString(), LIBRARY)
    y = opened.run(None, {value.name: feed[value.name] for value in opened.get_inputs()})[0]
    assert isinstance(y, np.ndarray)
    return y


@pytest.mark.parametrize("kind", KINDS)
def test_a_valid_node_needs_no_function(kind: str) -> None:
    assert np.isfinite(compute(*inputs_of(kind))).all()


WRONG: list[tuple[str, str, Any, str]] = [
    ("StackedFFN", "x", lambda a: a[:, :5], r"x is float \[6, 5\]; expected float \[tokens, 8\]"),
    ("StackedFFN", "x", lambda a: a.astype(np.int64), r"x is int64 \[6, 8\]; expected float"),
    ("StackedFFN", "x", lambda a: a[None], r"x is float \[1, 6, 8\]"),
    ("StackedFFN", "residual", lambda a: a[:3], r"residual is float \[3, 16\]; expected float \[6, 16\]"),
    ("StackedFFN", "weight1_0", lambda a: a[:0], r"weight1 is float \[0, 12\]; expected sizes of 1 to 65536"),
    ("StackedFFN", "weight2_0", lambda a: a.T, r"weight2 is float \[8, 12\]; expected \[12, 8\]"),
    ("StackedFFN", "weight_out", lambda a: a[0], r"weight_out is float \[16\]; expected float \[in, out\]"),
    ("StackedFFN", "bias1_0", lambda a: a[1:], r"the bias of weight1 is float \[11\]; expected float \[12\]"),
    ("StackedFFNInt8", "weight1_0", lambda a: a.astype(np.float32), r"weight1 is float \[8, 12\]; expected int8"),
    ("StackedFFNInt8", "scale_out", lambda a: a[:1], r"the scale of weight_out is float \[1\]; expected float \[16\]"),
    (
        "BottleneckAttention",
        "mask",
        lambda a: a[..., :2],
        r"mask is float \[2, 1, 1, 2\]; expected float \[batch, 1, 1, seq\], or what else broadcasts to",
    ),
    ("BottleneckAttention", "mask", lambda a: a[..., None], r"mask is float \[2, 1, 1, 3, 1\]"),
    ("BottleneckAttention", "mask", lambda a: a.astype(np.float64), r"mask is double \[2, 1, 1, 3\]"),
    ("BottleneckAttention", "heads", lambda a: a[:3], r"heads is int64 \[3\]; expected int64 \[4\]"),
    (
        "BottleneckAttention",
        "heads",
        lambda a: a * 0,
        r"heads is \[0, 0, 0, 0\]; expected the 6 tokens of x as \[batch, seq\], and heads that divide 8",
    ),
    ("BottleneckAttention", "heads", lambda a: a + 1, r"and heads that divide 8 channels"),
    (
        "BottleneckAttention",
        "weight_in",
        lambda a: a[:, 1:],
        r"the bias of weight_in is float \[24\]; expected float \[23\]",
    ),
    ("BottleneckAttention", "weight_qk", lambda a: a[:, 1:], r"weight_qk is float \[8, 15\]; expected \[8, 16\]"),
    ("BottleneckAttentionInt8", "x", lambda a: a[:, 1:], r"x is float \[6, 15\]; expected float \[tokens, 16\]"),
]


@pytest.mark.parametrize(("kind", "name", "change", "line"), WRONG)
def test_wrong_shapes_and_types_are_refused(kind: str, name: str, change: Any, line: str) -> None:
    kind, feed, names = inputs_of(kind)
    feed[name] = np.ascontiguousarray(change(feed[name]))
    with pytest.raises(Exception, match=line):
        compute(kind, feed, names)


def test_a_projection_of_a_wrong_width_is_refused() -> None:
    kind, feed, names = inputs_of("BottleneckAttention")
    for name in ("weight_in", "bias_in"):
        feed[name] = np.ascontiguousarray(feed[name][..., 1:])
    with pytest.raises(Exception, match="weight_in has 23 columns; expected a multiple of 3"):
        compute(kind, feed, names)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_and_superfluous_inputs_are_refused(kind: str) -> None:
    kind, feed, names = inputs_of(kind)
    for wrong in (names[:-1], names[:2], names[:1], [*names, names[-1]]):
        with pytest.raises(Exception, match=rf"{kind} has \d+ inputs; expected"):
            compute(kind, feed, wrong)
    for missing in names:
        with pytest.raises(Exception, match="ONNXRuntimeError"):
            compute(kind, {n: a for n, a in feed.items() if n != missing}, names)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_no_constants_are_refused(kind: str) -> None:
    kind, feed, names = inputs_of(kind)
    with pytest.raises(Exception, match="is not a constant; expected an initializer"):
        compute(kind, feed, names, (*RUN_TIME, "weight_out"))


def test_no_tokens() -> None:
    for kind in KINDS:
        kind, feed, names = inputs_of(kind)
        feed["x"] = feed["x"][:0]
        if "mask" in feed:
            feed["mask"], feed["heads"] = feed["mask"][:0], np.array([0, 3, 2, 4])
        else:
            feed["residual"] = feed["residual"][:0]
        assert compute(kind, feed, names).shape[0] == 0


def test_sequences_whose_sums_would_overflow_are_refused() -> None:
    """In 8 bits, a product with the values adds as many products of bytes as the sequence has tokens."""
    kind, feed, names = inputs_of("BottleneckAttentionInt8")
    tokens = 2**16 + 1
    feed["x"], feed["mask"] = np.zeros((tokens, 16), np.float32), np.zeros((1, 1, 1, tokens), np.float32)
    feed["heads"] = np.array([1, tokens, 2, 4])
    with pytest.raises(Exception, match=r"for \[1, 65537\] tokens; expected at most 1048576 sequences of 65536"):
        compute(kind, feed, names)


TYPES = (np.float32, np.float64, np.int8, np.int64, np.float16)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_inputs_give_an_output_or_an_error(data: st.DataObject) -> None:
    kind, feed, names = inputs_of(data.draw(st.sampled_from(KINDS)))
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(feed)))
        shape = data.draw(st.lists(st.integers(0, 17), max_size=5))
        dtype = data.draw(st.sampled_from(TYPES))
        values = data.draw(st.sampled_from([-(2.0**40), -1.0, 0.0, 1.0, 3.0, 2.0**40]))
        with np.errstate(over="ignore", invalid="ignore"):
            feed[name] = np.full(shape, values).astype(dtype)
    names = data.draw(st.sampled_from([names, names[::-1], names[1:], [*names, *names[-3:]], [*names[:4], *names[2:]]]))
    with contextlib.suppress(Exception):
        assert compute(kind, feed, names).dtype == np.float32
