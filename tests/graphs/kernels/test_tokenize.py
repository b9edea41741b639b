"""The native kernels of the Tokenize operators: equal to the bodies; malformed nodes are refused.

The tests of the bodies in tests/graphs/functions/text compare each of their results with the kernel's, too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cache

import numpy as np
import onnx
import pytest
from built_kernels import needs_kernels
from onnx import TensorProto, helper, numpy_helper
from text_functions import LIMIT, NORMALIZERS, Tried, check_equal, difficult_texts, joined, text_session, trained
from tokenizers import AddedToken

from graphs.functions.text.function import outputs, text_model
from graphs.functions.text.tables.row_options import Form, RowOptions, Truncation

pytestmark = needs_kernels

TEXTS = ["the un\u00e9 [MASK] \u5317\u4eac!", "", "a  b \t covid-19", "\ud55c\uae00 x"]


@cache
def tried(name: str = "uncased") -> Tried:
    tokenizer = trained(options=NORMALIZERS[name])
    flags = dict(zip(("lstrip", "rstrip", "single_word"), (True, True, False), strict=True))
    tokenizer.add_tokens(["covid", "\u5317\u4eac", AddedToken("aa", single_word=True), AddedToken("b b", lstrip=True)])
    tokenizer.add_special_tokens([AddedToken("<x>", special=True, **flags)])
    return Tried(tokenizer)


def feed_of(form: Form, texts: list[str] | list[str | bytes], max_length: int = LIMIT) -> dict[str, np.ndarray]:
    """Returns the inputs of a function without the tables; a pair is the text before."""
    feed = dict(zip(("text", "row_splits"), joined(texts), strict=True)) | {"max_length": np.array([max_length])}
    if form.has_pair:
        feed |= dict(zip(("pair", "pair_splits"), joined([*texts[-1:], *texts[:-1]]), strict=True))
    return feed | ({"stride": np.array([-1])} if form.has_windows else {})


@cache
def model_bytes(form: Form) -> bytes:
    serialized: bytes = text_model(form, tried().tables, RowOptions(limit=512)).SerializeToString()
    return serialized


def changed(form: Form, change: Callable[[onnx.ModelProto], None]) -> onnx.ModelProto:
    model = onnx.load_from_string(model_bytes(form))
    change(model)
    return model


def table(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[onnx.ModelProto], None]:
    """Returns a change of a table."""

    def replace(model: onnx.ModelProto) -> None:
        (initializer,) = (tensor for tensor in model.graph.initializer if tensor.name == name)
        initializer.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(initializer).copy()), name))

    return replace


def attribute(name: str, value: object) -> Callable[[onnx.ModelProto], None]:
    """Returns a change of an attribute; None removes it."""

    def replace(model: onnx.ModelProto) -> None:
        (node,) = model.graph.node
        kept = [found for found in node.attribute if found.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, *([] if value is None else [helper.make_attribute(name, value)])])
        if value is None:
            del model.functions[:]

    return replace


def native(model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    found: list[np.ndarray] = text_session(model.SerializeToString(), native=True).run(None, feed)
    return found


def with_first(value: int) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array[...] = value
        return array

    return change


REFUSED: list[tuple[Form, Callable[[onnx.ModelProto], None], str]] = [
    (
        Form.TEXT,
        table("check", lambda a: a.astype(np.int32)),
        r"Tokenize: check is int32 \[\d+\]; expected uint16 \[slo",
    ),
    (
        Form.PAIR,
        table("expansions", lambda a: a[0]),
        r"TokenizePair: expansions is uint16 \[\d\]; expected uint16 \[",
    ),
    (Form.TEXT, table("added", lambda a: a[:, :1]), r"added is int32 \[\d+, 1\]; expected int32 \[added tokens, 2\]"),
    (Form.TEXT, table("blocks", lambda a: a[:-2]), r"blocks is uint16 \[\d+\]; expected one for each block of code"),
    (
        Form.WINDOWS,
        table("raw_symbols", lambda a: a[1:]),
        r"raw_symbols is .*; expected as many as expansions has",
    ),
    (Form.TEXT, table("class_flags", lambda a: a[1:]), r"class_flags is .*; expected as many as expansions has rows"),
    (Form.TEXT, table("base", lambda a: a[1:]), r"base is uint16 \[\d+\]; expected as many as check has"),
    (Form.TEXT, table("lengths", lambda a: a[1:]), r"lengths is uint8 \[\d+\]; expected as many as entries has"),
    (
        Form.TEXT,
        table("classes", lambda a: a[:9]),
        "a table has a number for which another table has no place",
    ),
    (Form.TEXT, table("classes", with_first(65535)), "a table has a number for which another table has no place"),
    (Form.TEXT, table("lengths", with_first(255)), "a table has a number for which another table has no place"),
    (Form.TEXT, table("symbol_flags", lambda a: a[:1]), "a table has a number for which another table has no place"),
    (Form.TEXT, attribute("template", [0, 1]), "attribute template has 2 numbers; expected three for each part"),
    (Form.TEXT, attribute("template", [1, 1, 0]), "attribute template is 1; expected 0 to 0"),
    (Form.TEXT, attribute("roots", [1, 2, 3]), "attribute roots has 3 numbers; expected 4"),
    (Form.TEXT, attribute("roots", [1, -2, 3, 4]), "attribute roots is -2; expected 0 to 2147483647"),
    (Form.TEXT, attribute("shift", 64), "Tokenize: attribute shift is 64; expected 0 to 20"),
    (
        Form.TEXT,
        attribute("first_added", 65535),
        r"added is int32 \[\d+, 2\]; expected tokens whose symbols are below 6",
    ),
    (Form.TEXT, attribute("truncation", 4), "attribute truncation is 4; expected 0 to 3"),
    (Form.PAIR_WINDOWS, attribute("windowed", 2), "TokenizePairWindows: attribute windowed is 2; expected 0 to 1"),
    (Form.TEXT, attribute("columns", -1), "attribute columns is -1; expected 0 to 2147483647"),
    (Form.TEXT, attribute("limit", None), "limit"),
]


@pytest.mark.parametrize(("form", "change", "line"), REFUSED, ids=[line[:40] for *_, line in REFUSED])
def test_wrong_tables_and_attributes_are_refused(
    form: Form, change: Callable[[onnx.ModelProto], None], line: str
) -> None:
    with pytest.raises(Exception, match=line):
        native(changed(form, change), feed_of(form, TEXTS))


def retyped(name: str, kind: int, rank: int) -> Callable[[onnx.ModelProto], None]:
    def replace(model: onnx.ModelProto) -> None:
        (value,) = (value for value in model.graph.input if value.name == name)
        value.CopyFrom(helper.make_tensor_value_info(name, kind, [None] * rank))
        del model.functions[:]

    return replace


@pytest.mark.parametrize(
    ("name", "array", "line"),
    [
        ("text", np.zeros(3, np.int8), r"TokenizePairWindows: text is int8 \[3\]; expected uint8 \[bytes\]"),
        ("pair", np.zeros((1, 3), np.uint8), r"pair is uint8 \[1, 3\]; expected uint8 \[bytes\]"),
        ("row_splits", np.zeros(3, np.int32), r"row_splits is int32 \[3\]; expected int64 \[texts \+ 1\]"),
        ("max_length", np.zeros(2, np.int64), r"max_length is int64 \[2\]; expected int64 \[\] or \[1\]"),
        ("stride", np.zeros(1, np.float32), r"stride is float \[1\]; expected int64"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 12 else "",
)
def test_wrong_inputs_are_refused(name: str, array: np.ndarray, line: str) -> None:
    form = Form.PAIR_WINDOWS
    model = changed(form, retyped(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.ndim))
    with pytest.raises(Exception, match=line):
        native(model, feed_of(form, TEXTS) | {name: array})


def test_a_wrong_number_of_inputs_is_refused() -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node[0].input.pop()
        del model.functions[:]

    with pytest.raises(Exception, match="Tokenize has 13 inputs; expected 14"):
        native(changed(Form.TEXT, change), feed_of(Form.TEXT, TEXTS))


def test_outputs_that_nothing_reads_are_left_out() -> None:
    form = Form.PAIR_WINDOWS
    kept = ("attention_mask", "row_texts", "cut")

    def change(model: onnx.ModelProto) -> None:
        (node,) = model.graph.node
        names = [name if name in kept else "" for name in node.output][: outputs(form).index("cut") + 1]
        del node.output[:]
        node.output.extend(names)
        for value in [value for value in model.graph.output if value.name not in kept]:
            model.graph.output.remove(value)

    feed = feed_of(form, TEXTS, 12)
    whole = dict(zip(outputs(form), native(onnx.load_from_string(model_bytes(form)), feed), strict=True))
    check_equal(dict(zip(kept, native(changed(form, change), feed), strict=True)), {name: whole[name] for name in kept})


@pytest.mark.parametrize("which", [("classes", "check"), ("added",)])
def test_tables_need_not_be_constants(which: tuple[str, ...]) -> None:
    form, arrays = Form.WINDOWS, tried().tables.arrays

    def change(model: onnx.ModelProto) -> None:
        for name in which:
            kind = helper.np_dtype_to_tensor_dtype(arrays[name].dtype)
            model.graph.input.append(helper.make_tensor_value_info(name, kind, arrays[name].shape))
            model.graph.initializer.remove(next(one for one in model.graph.initializer if one.name == name))

    feed = feed_of(form, TEXTS, 12)
    expected = native(onnx.load_from_string(model_bytes(form)), feed)
    found = native(changed(form, change), feed | {name: arrays[name] for name in which})
    check_equal(dict(zip(outputs(form), found, strict=True)), dict(zip(outputs(form), expected, strict=True)))
    if "classes" in which:
        with pytest.raises(Exception, match="a table has a number for which another table has no place"):
            native(changed(form, change), feed | {name: np.full_like(arrays[name], 31000) for name in which})


def test_characters_with_more_symbols_than_bytes() -> None:
    def change(model: onnx.ModelProto) -> None:
        table("expansions", lambda a: np.maximum(a, a[:, :1]))(model)

    model = changed(Form.TEXT, change)
    assert tried().tables.arrays["expansions"].shape[1] > 1
    feed = feed_of(Form.TEXT, ["abc" * 100, "", "ab ! x" * 40])
    body, kernel = (text_session(model.SerializeToString(), native=own).run(None, feed) for own in (False, True))
    check_equal(dict(zip(outputs(Form.TEXT), kernel, strict=True)), dict(zip(outputs(Form.TEXT), body, strict=True)))


def test_a_megabyte() -> None:
    session = text_session(model_bytes(Form.TEXT), native=True)
    for piece in ("a", "[", "\u5317", "covid", " ", "!", "aa ", "\0"):
        texts = [piece * (1_000_000 // len(piece.encode()))]
        found = dict(zip(outputs(Form.TEXT), session.run(None, feed_of(Form.TEXT, texts)), strict=True))
        assert found["input_ids"].shape[0] == 1
        assert found["input_ids"].shape[1] <= 512


def compare_random(seeds: range, texts_of_each: int) -> None:
    """Fails where kernel and body differ: random forms, settings, batches of random texts, splits, lengths."""
    for seed in seeds:
        rng = np.random.default_rng(seed)
        one = tried(list(NORMALIZERS)[rng.integers(len(NORMALIZERS))])
        form = list(Form)[rng.integers(4)]
        options = RowOptions(
            limit=int(rng.choice([3, 20, 300])),
            columns=int(rng.choice([0, 0, 300])),
            truncation=Truncation(int(rng.integers(1, 4))),
            cut_left=bool(rng.integers(2)),
            windowed=int(rng.integers(2)),
        )
        model = text_model(form, one.tables, options).SerializeToString()
        body, kernel = text_session(model), text_session(model, native=True)
        texts: list[str] = list(difficult_texts(texts_of_each, seed=seed))[-texts_of_each:]
        for begin in range(0, len(texts), 8):
            some = texts[begin : begin + int(rng.integers(1, 9))]
            feed = feed_of(form, some, int(rng.integers(-2, 60)))
            if rng.integers(4) == 0:
                feed["text"] = rng.integers(0, 256, len(feed["text"])).astype(np.uint8)
            if rng.integers(4) == 0:
                feed["row_splits"] = rng.integers(-3, len(feed["text"]) + 3, rng.integers(0, 9))
            if form.has_windows:
                feed["stride"] = rng.integers(-1, 30, 1)
            try:
                check_equal(*(dict(zip(outputs(form), run.run(None, feed), strict=True)) for run in (kernel, body)))
            except AssertionError as error:
                raise AssertionError(f"seed {seed}, {form}, {options}, {feed}: {error}") from error


def test_random_batches() -> None:
    compare_random(range(4), 64)


@pytest.mark.full
def test_many_random_batches() -> None:
    compare_random(range(100, 300), 2000)


def test_wrong_numbers_in_tables_give_outputs_or_an_error() -> None:
    rng = np.random.default_rng(0)
    form, feed = Form.PAIR, feed_of(Form.PAIR, list(difficult_texts(3, seed=1))[-3:] + TEXTS, 60)
    for _ in range(40):

        def spoil(array: np.ndarray) -> np.ndarray:
            flat = array.reshape(-1)
            flat[rng.integers(0, len(flat), 1 + len(flat) // 20)] = rng.integers(0, np.iinfo(flat.dtype).max)
            return array

        name = list(tried().tables.arrays)[rng.integers(11)]
        with contextlib.suppress(Exception):
            assert native(changed(form, table(name, spoil)), feed)[0].dtype == np.int64


def test_the_node_says_its_types_without_a_function() -> None:
    """A file may contain the node alone, for programs that always have the kernels."""

    def change(model: onnx.ModelProto) -> None:
        del model.functions[:]

    session = text_session(changed(Form.WINDOWS, change).SerializeToString(), native=True)
    kinds = {value.name: value.type for value in session.get_outputs()}
    assert kinds.pop("owned") == "tensor(bool)"
    assert set(kinds.values()) == {"tensor(int64)"}
    assert TensorProto.BOOL == 9
