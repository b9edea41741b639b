"""The part of a text file before the model: the node that tokenizes, and the model's inputs from its outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphs.functions.text.function import attributes, function, outputs
from graphs.functions.text.tables.row_options import RowOptions
from graphs.functions.text_file.additions import PREFIX, Additions
from graphs.functions.text_file.layout import Layout
from graphs.functions.text_file.options import (
    FEATURE_EXTRACTION,
    MASKED,
    QUESTION_ANSWERING,
    TOKEN_CLASSIFICATION,
    TextOptions,
)
from graphs.functions.text_file.ports import ONE_TEXT, second_text
from graphs.ir.text_inputs import IDS, POSITIONS

# Tasks whose answers read which row owns a token.
OWNED = (TOKEN_CLASSIFICATION, *MASKED, FEATURE_EXTRACTION)

# Behind the end of any text.
END = 2**31

ZERO, ONE = np.array([0]), np.array([1])


@dataclass(frozen=True)
class Tokenized:
    """The node that tokenizes, and its outputs by name, with `owned` in all forms where the task needs it.

    `splits` are those of the second texts; of contexts, the first is 0, the last the number of bytes, and none is out
    of order. `count` is the number of choices, int64 [1]; None for a task without.
    """

    node: ir.Node
    values: Mapping[str, ir.Value]
    splits: ir.Value | None
    count: ir.Value | None

    def __getitem__(self, name: str) -> ir.Value:
        return self.values[name]


def tokenize(g: Additions, inputs: Mapping[str, ir.Value], options: TextOptions, layout: Layout) -> Tokenized:
    """Adds the node that tokenizes the inputs of a text file."""
    text, second, count = inputs["text"], second_text(options), None
    if layout.one_text:
        row_splits = g.constant(f"{PREFIX}row_splits", ONE_TEXT)
    elif not options.has_choices:
        row_splits = inputs["row_splits"]
    pair: list[ir.Value] = []
    if options.has_choices:
        empty = _empty(g, text) if layout.fixed else None
        choice_splits = _two_at_least(g, inputs["choice_splits"], empty)
        text, row_splits, count = _repeated(g, text, choice_splits, empty)
        pair = [inputs["choices"], choice_splits]
    elif second is not None:
        splits = row_splits if layout.one_text else inputs[f"{second}_splits"]
        if options.task == QUESTION_ANSWERING and not layout.one_text:
            # What else reads them is only the answer to a question.
            splits = _ordered(g, splits, inputs[second], row_splits)
        pair = [inputs[second], splits]
    texts = [*pair, text, row_splits] if options.context_first and pair else [text, row_splits, *pair]
    stride = [inputs["stride"]] if layout.form.has_windows else []
    tables = [g.constant(f"{PREFIX}{name}", array) for name, array in layout.tables.arrays.items()]
    form, rows = layout.form, layout.rows
    names = outputs(form)
    found = g.call(
        function(form, layout.tables, rows),
        [*texts, inputs["max_length"], *stride, *tables],
        [f"{PREFIX}{name}" for name in names],
        **attributes(form, layout.tables, rows),
    )
    values, node = dict(zip(names, found, strict=True)), found[0].producer()
    assert node is not None
    if not layout.special and not rows.columns:
        for name, filling in _fillings(rows).items():
            if name in values:
                rank = 3 if name.endswith("offsets") else 2
                values[name] = _one_column(g, values[name], filling, rank)
    if "owned" not in values and options.task in OWNED:
        values["owned"] = g("GreaterOrEqual", values["sequence_ids"], np.array(0))
    return Tokenized(node, values, pair[1] if pair else None, count)


def feed(g: Additions, graph: ir.Graph, tokens: Tokenized, options: TextOptions, layout: Layout) -> list[ir.Value]:
    """Connects the inputs of a model; returns the values in their place, which have their names."""
    fed = []
    for old in [value for value in graph.inputs if not value.is_initializer()]:
        name = str(old.name)
        value = _positions(g, tokens[IDS]) if name == POSITIONS else tokens[name]
        if layout.fixed:
            value = _of_fixed_sizes(g, value, tokens, old)
        else:
            if options.has_choices:
                value = _by_choice(g, value, layout)
            if old.dtype not in (None, ir.DataType.INT64):
                value = g("Cast", value, to=int(old.dtype))
        old.name, value.name = None, name
        value.type, value.shape = old.type or ir.TensorType(ir.DataType.INT64), old.shape
        ir.convenience.replace_all_uses_with(old, value, replace_graph_outputs=True)
        fed.append(value)
    return fed


def _fillings(rows: RowOptions) -> dict[str, np.ndarray]:
    """Returns what the outputs that have columns hold for padding."""
    zeros = ("attention_mask", "token_type_ids", "offsets", "word_offsets")
    numbers = {IDS: rows.padding, "sequence_ids": -1} | dict.fromkeys(zeros, 0)
    return {name: np.array(number) for name, number in numbers.items()} | {"owned": np.array(False)}


def _one_column(g: Additions, rows: ir.Value, filling: np.ndarray, rank: int) -> ir.Value:
    """Returns rows of one token at least: a row without special tokens has none where a text has none."""
    missing = g("Max", g("Sub", ONE, g("Shape", rows, start=1, end=2)), ZERO)
    sizes = g("Concat", np.zeros(rank + 1, np.int64), missing, *[ZERO] * (rank - 2), axis=0)
    return g("Pad", rows, sizes, filling)


def _empty(g: Additions, text: ir.Value) -> ir.Value:
    """Returns no numbers, int64 [0], of which only a run knows how many they are.

    Of what is joined with them, no size is known either, so that no provider takes a node that computes with it.
    """
    return g.int64(g("Slice", text, g("Shape", text), np.array([END])))


def _shape(g: Additions, x: ir.Value, empty: ir.Value | None) -> ir.Value:
    shape = g("Shape", x)
    return shape if empty is None else g("Concat", shape, empty, axis=0)


def _two_at_least(g: Additions, splits: ir.Value, empty: ir.Value | None) -> ir.Value:
    """Returns splits of one choice at least: not every model runs with none."""
    size = g("Max", _shape(g, splits, empty), np.array([2]))
    return g("Slice", g("Concat", splits, ONE_TEXT, axis=0), ZERO, size)


def _repeated(
    g: Additions, text: ir.Value, splits: ir.Value, empty: ir.Value | None
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Returns a prompt as many times as there are choices, its row splits, and the number of choices."""
    count = g("Sub", _shape(g, splits, empty), ONE)
    size = g("Shape", text)
    repeated = g("Reshape", g("Expand", text, g("Concat", count, size, axis=0)), np.array([-1]))
    places = g("Range", np.array(0), g("Squeeze", g("Add", count, ONE)), np.array(1))
    return repeated, g("Mul", places, size), count


def _ordered(g: Additions, splits: ir.Value, data: ir.Value, row_splits: ir.Value) -> ir.Value:
    """Returns the splits of second texts as `Tokenize` reads them: as many as the first, in order, within the bytes.

    What reads them behind the model then reads the same texts, whatever the splits are.
    """
    length = g("Shape", data)
    texts = g("Max", g("Sub", g("Shape", row_splits), ONE), ONE)
    inner = g("Slice", g("Concat", splits, g("Expand", length, texts), axis=0), ONE, texts)
    clipped = g("Max", g("Min", inner, length), ZERO)
    in_order, _ = g.several(2, "TopK", clipped, g("Shape", clipped), largest=0)
    return g("Concat", ZERO, in_order, length, axis=0)


def _positions(g: Additions, ids: ir.Value) -> ir.Value:
    shape = g("Shape", ids)
    length = g("Squeeze", g("Shape", ids, start=1))
    return g("Expand", g("Range", np.array(0), length, np.array(1)), shape)


def _of_fixed_sizes(g: Additions, value: ir.Value, tokens: Tokenized, old: ir.Value) -> ir.Value:
    """Returns rows with the type and the sizes of a model's input, which are fixed, as a neural processor needs them.

    They are not known of any value before, and it takes no node of those.
    """
    assert old.shape is not None
    sizes = np.array(old.shape.numpy())
    if tokens.count is not None:  # a model computes all of its choices: the last one fills up
        value = g("Gather", value, g("Min", np.arange(sizes[1]), g("Sub", tokens.count, ONE)))
    if old.dtype not in (None, ir.DataType.INT64):
        value = g("Cast", value, to=int(old.dtype))
    return g("Reshape", value, sizes)


def _by_choice(g: Additions, rows: ir.Value, layout: Layout) -> ir.Value:
    """Returns rows [choices, sequence] as [1, choices, sequence]; the last one fills up a fixed number of choices."""
    if layout.choices is None:
        return g("Unsqueeze", rows, ZERO)
    last = g("Sub", g("Shape", rows, end=1), ONE)
    filled = g("Gather", rows, g("Min", np.arange(layout.choices), last))
    return g("Reshape", filled, np.array([1, layout.choices, layout.rows.columns or -1]))
