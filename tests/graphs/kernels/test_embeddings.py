"""The embeddings operator computes trigrams, their projection, positions and token types as its standard graph does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from built_kernels import LIBRARY, needs_kernels
from kernel_models import FLIPPED, Arrays, off, rows_in_8_bits, session
from onnx import TensorProto, helper, numpy_helper

from graphs.functions import DOMAIN, VERSION
from graphs.precision.int8 import quantized

pytestmark = needs_kernels

KINDS = ("", "Int8", "Float16")
NAMES = ("input_ids", "token_type_ids", "words", "positions", "types", "weight")
VOCABULARY, EMBEDDING, HIDDEN, POSITIONS, TYPES = 50, 12, 40, 70, 2


def inputs_of(kind: str, batch: int, length: int) -> Arrays:
    """Returns random inputs by name, in the types of the operator's kind; in int8 with scales."""
    rng = np.random.default_rng(length)
    feed: Arrays = {
        "input_ids": rng.integers(-VOCABULARY, VOCABULARY, (batch, length)),
        "token_type_ids": rng.integers(0, TYPES, (batch, length)),
    }
    real = np.float16 if kind == "Float16" else np.float32
    for name, shape in {
        "words": (VOCABULARY, EMBEDDING),
        "positions": (POSITIONS, HIDDEN),
        "types": (TYPES, HIDDEN),
        "weight": (3 * EMBEDDING, HIDDEN),
    }.items():
        array = rng.normal(size=shape)
        if kind == "Int8" and name in ("words", "weight"):
            feed[name], scales = quantized(array, axis=1 if name == "words" else 0)
            feed[f"{name}_scales"] = scales.reshape(-1, 1) if name == "words" else scales
        else:
            feed[name] = array.astype(real)
    return feed


def compute(kind: str, feed: Arrays, threads: int = 1) -> np.ndarray:
    """Runs a session of one node whose operator has no function body."""
    inputs = [helper.make_tensor_value_info(n, TensorProto.INT64, [None, None]) for n in NAMES[:2]]
    names = [part for name in NAMES for part in (name, f"{name}_scales") if part in feed]
    constants = [numpy_helper.from_array(feed[name], name) for name in names[2:]]
    output = TensorProto.FLOAT16 if kind == "Float16" else TensorProto.FLOAT
    node = helper.make_node(f"Embeddings{kind}", names, ["y"], domain=DOMAIN)
    graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info("y", output, None)], constants)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, VERSION)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    opened = session(model.SerializeToString(), LIBRARY, threads)
    for _ in range(4):  # the first runs find out how many threads there are
        y = opened.run(None, {name: feed[name] for name in NAMES[:2]})[0]
    assert isinstance(y, np.ndarray)
    return y


def by_hand(feed: Arrays) -> np.ndarray:
    """Returns y [batch · length, hidden] in float64; int8 reads each trigram rounded to 8 bits."""
    scaled = {n: feed[n] * feed[f"{n}_scales"] if f"{n}_scales" in feed else feed[n] for n in NAMES[2:]}
    tables = {name: array.astype(np.float64) for name, array in scaled.items()}
    words = tables["words"][feed["input_ids"]]
    none = np.zeros_like(words[:, :1])
    trigrams = np.concatenate(
        [np.concatenate([words[:, 1:], none], 1), words, np.concatenate([none, words[:, :-1]], 1)], -1
    )
    if "weight_scales" in feed:
        trigrams = rows_in_8_bits(trigrams)
    y = trigrams @ tables["weight"] + tables["types"][feed["token_type_ids"]]
    return np.asarray((y + tables["positions"][: words.shape[1]]).reshape(-1, HIDDEN))


@pytest.mark.parametrize(("kind", "most"), [("", 1e-6), ("Int8", FLIPPED), ("Float16", 3e-4)])
def test_embeddings(isa: str, kind: str, most: float) -> None:
    for batch, length in ((1, 1), (1, 2), (3, 7), (2, 70)):
        feed = inputs_of(kind, batch, length)
        found = compute(kind, feed)
        assert off(found.astype(np.float64), by_hand(feed)) < most
        np.testing.assert_array_equal(found, compute(kind, feed, threads=3))


@pytest.mark.parametrize(
    ("kind", "name", "change", "line"),
    [
        ("", "input_ids", lambda a: a * 0 + 50, "input_ids has an id out of data bounds, 50; expected -50 to 49"),
        ("", "input_ids", lambda a: a * 0 - 51, "input_ids has an id out of data bounds, -51; expected -50 to 49"),
        ("", "token_type_ids", lambda a: a + 2, "token_type_ids has an id out of data bounds, [23]; expected -2 to 1"),
        (
            "",
            "token_type_ids",
            lambda a: a[:, 1:],
            r"token_type_ids is int64 \[2, 4\]; expected \[2, 5\], as input_ids",
        ),
        ("", "positions", lambda a: a[:4], r"input_ids is int64 \[2, 5\]; expected at most 4 tokens"),
        ("", "types", lambda a: a[:, 1:], r"types is float \[2, 39\]; expected float \[rows, 40\]"),
        ("", "weight", lambda a: a[1:], "weight has 35 rows; expected a multiple of 3"),
        ("Int8", "words", lambda a: a.astype(np.float32), r"words is float \[50, 12\]; expected int8 \[rows, 12\]"),
        ("Int8", "words_scales", lambda a: a[1:], r"its scales are float \[49, 1\]; expected as many rows"),
        ("Float16", "words", lambda a: a.astype(np.float32), r"words is float \[50, 12\]; expected float16 \[rows"),
    ],
)
def test_wrong_inputs_are_refused(kind: str, name: str, change: Callable[[np.ndarray], np.ndarray], line: str) -> None:
    feed = inputs_of(kind, 2, 5)
    feed[name] = np.ascontiguousarray(change(feed[name]))
    with pytest.raises(Exception, match=line):
        compute(kind, feed)
