"""Rows of a template: the outputs of the function, from the places of the tokens."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from graphs.functions.text.body.nodes import Nodes, i64
from graphs.functions.text.body.wordpiece import Tokens
from graphs.functions.text.rows.places import Places, RowForm
from graphs.functions.text.rows.windows import Windows

# The attribute that says whether a node's offsets are wanted.
SPANS = "spans"
# Sequence id of special tokens and padding.
NO_SEQUENCE = -1


def write_rows(g: Nodes, tokens: Tokens, form: RowForm, places: Places, windows: Windows | None) -> None:
    """Adds the nodes of all outputs."""
    template, options, parts, index = form.template, form.options, form.parts, places.index
    most = 2**31 if options.segments is None else options.segments - 1
    ids = [part.id if part.id is not None else 0 for part in template]
    types = [min(part.type, most) for part in template]
    sequences = [part.sequence if part.sequence is not None else NO_SEQUENCE for part in template]
    g("Gather", g.join(i64([*ids, options.padding]), tokens.ids), index, name="input_ids")
    g("Cast", g("Less", places.part, i64(parts)), to=TensorProto.INT64, name="attention_mask")
    g("Gather", i64([*types, 0]), places.part, name="token_type_ids")

    def offsets() -> list[str]:
        spans = g("Sub", tokens.add_spans(), g.column(places.start))  # bytes are counted in the token's own text
        none = i64([[0] * 4] * (parts + 1))
        return g.several("Split", 2, g("Gather", g.join(none, spans), index), axis=2, num_outputs=2)

    def no_offsets() -> list[str]:
        return [g("Identity", np.zeros((0, 0, 2), np.int64)) for _ in range(2)]

    # Tasks that do not read them save a tenth of the nodes. onnxruntime computes what nothing reads, too.
    kinds = dict.fromkeys(("offsets", "word_offsets"), TensorProto.INT64)
    found = g.choose(g.bool(g.attribute(SPANS)), kinds, offsets, no_offsets)
    for name, value in zip(kinds, found, strict=True):
        g("Identity", value, name=name)
    g("Gather", i64([*sequences, NO_SEQUENCE]), places.part, name="sequence_ids")
    g("Identity", places.row_texts, name="row_texts")
    g("Identity", places.cut, name="cut")
    if windows is not None:
        after = g("GreaterOrEqual", index, g.column(g("Add", windows.owned_from, i64([parts + 1]))))
        before = g("Less", index, g.column(g("Add", windows.owned_to, i64([parts + 1]))))
        g("And", g("And", after, before), g("Equal", "sequence_ids", i64(options.windowed)), name="owned")
