"""Rows of a template: the outputs of the function, from the places of the tokens."""

from __future__ import annotations

from onnx import TensorProto

from graphs.functions.text.body.nodes import Nodes, i64
from graphs.functions.text.body.wordpiece import Tokens
from graphs.functions.text.rows.places import Places, RowForm
from graphs.functions.text.rows.windows import Windows

# Sequence id of special tokens and padding.
NO_SEQUENCE = -1


def write_rows(
    g: Nodes, tokens: Tokens, form: RowForm, places: Places, row_texts: str, windows: Windows | None
) -> None:
    """Adds the nodes of all outputs; row_texts is the text of each row, int64 [rows]."""
    template, options, parts, index = form.template, form.options, form.parts, places.index
    most = 2**31 if options.segments is None else options.segments - 1
    ids = [part.id if part.id is not None else 0 for part in template]
    types = [min(part.type, most) for part in template]
    sequences = [part.sequence if part.sequence is not None else NO_SEQUENCE for part in template]
    g("Gather", g.join(i64([*ids, options.padding]), tokens.ids), index, name="input_ids")
    g("Cast", g("Less", places.part, i64(parts)), to=TensorProto.INT64, name="attention_mask")
    g("Gather", i64([*types, 0]), places.part, name="token_type_ids")
    spans = g("Sub", tokens.spans, g.column(places.start))  # bytes are counted in the token's own text
    none = i64([[0] * 4] * (parts + 1))
    g.split_into(("offsets", "word_offsets"), g("Gather", g.join(none, spans), index), axis=2)
    g("Gather", i64([*sequences, NO_SEQUENCE]), places.part, name="sequence_ids")
    g("Identity", row_texts, name="row_texts")
    g("Identity", places.cut, name="cut")
    if windows is not None:
        after = g("GreaterOrEqual", index, g.column(g("Add", windows.owned_from, i64([parts + 1]))))
        before = g("Less", index, g.column(g("Add", windows.owned_to, i64([parts + 1]))))
        g("And", g("And", after, before), g("Equal", "sequence_ids", i64(options.windowed)), name="owned")
