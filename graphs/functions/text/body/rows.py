"""Rows of a template: special tokens and sequences side by side, padded to one length."""

from __future__ import annotations

from collections.abc import Sequence

from graphs.functions.text.body.nodes import Nodes, i64
from graphs.functions.text.body.truncation import Kept
from graphs.functions.text.body.windows import Windows
from graphs.functions.text.body.wordpiece import Tokens
from graphs.functions.text.tables.row_options import RowOptions
from graphs.functions.text.tables.settings import TemplatePart

# Sequence id of special tokens and padding.
NO_SEQUENCE = -1


def write_rows(
    g: Nodes,
    tokens: Tokens,
    template: Sequence[TemplatePart],
    kept: Sequence[Kept],
    row_texts: str,
    options: RowOptions,
    windows: Windows | None = None,
) -> None:
    """Adds the nodes of all outputs of the function that have rows.

    Args:
        tokens: The tokens of all texts; their bytes are counted in their own text.
        template: The parts of a row.
        kept: The tokens of each sequence in each row.
        row_texts: The text of each row, int64 [rows].
        windows: The windows, if rows are windows.
    """
    parts, one = len(template), g("Expand", i64([1]), g("Shape", row_texts))
    counts = [one if part.sequence is None else kept[part.sequence].count for part in template]
    # [rows, parts]: the place behind each part.
    ends = g("CumSum", g("Concat", *map(g.column, counts), axis=1), i64(1))
    total = g("Gather", ends, i64(parts - 1), axis=1)
    longest = i64([options.columns]) if options.columns else g("ReduceMax", total, keepdims=1)
    places = g.range(longest)
    behind = g("GreaterOrEqual", g("Unsqueeze", places, i64([0, 2])), g("Unsqueeze", ends, i64([1])))
    part = g("ReduceSum", g.int64(behind), i64([2]), keepdims=0)  # [rows, longest], of padding `parts`
    # The tokens behind one token for each part, and one for padding: a place in a part is a place there, less a shift.
    first_of_part = [
        g("Mul", one, i64([number])) if part.sequence is None else g("Add", kept[part.sequence].first, i64([parts + 1]))
        for number, part in enumerate(template)
    ]
    begins = g("Concat", g("Mul", g.column(one), i64([0])), g("Slice", ends, i64([0]), i64([-1]), i64([1])), axis=1)
    shifts = g("Sub", g("Concat", *map(g.column, first_of_part), axis=1), begins)
    shifts = g("Concat", shifts, g("Mul", g.column(one), i64([0])), axis=1)
    is_token = g("Less", part, i64(parts))
    index = g("Where", is_token, g("Add", g("GatherElements", shifts, part, axis=1), places), i64(parts))
    _outputs(g, tokens, template, index, part, is_token, options)
    g("Identity", row_texts, name="row_texts")
    if windows is not None:
        after = g("GreaterOrEqual", index, g.column(g("Add", windows.owned_from, i64([parts + 1]))))
        before = g("Less", index, g.column(g("Add", windows.owned_to, i64([parts + 1]))))
        g("And", g("And", after, before), g("Equal", "sequence_ids", i64(options.windowed)), name="owned")


def _outputs(
    g: Nodes,
    tokens: Tokens,
    template: Sequence[TemplatePart],
    index: str,
    part: str,
    is_token: str,
    options: RowOptions,
) -> None:
    most = 2**31 if options.segments is None else options.segments - 1
    ids = [part.id if part.id is not None else 0 for part in template]
    types = [min(part.type, most) for part in template]
    sequences = [part.sequence if part.sequence is not None else NO_SEQUENCE for part in template]
    g("Gather", g.join(i64([*ids, options.padding]), tokens.ids), index, name="input_ids")
    g("Cast", is_token, to=7, name="attention_mask")
    g("Gather", i64([*types, 0]), part, name="token_type_ids")
    none = i64([[0] * 4] * (len(template) + 1))
    g.split_into(("offsets", "word_offsets"), g("Gather", g.join(none, tokens.spans), index), axis=2)
    g("Gather", i64([*sequences, NO_SEQUENCE]), part, name="sequence_ids")
