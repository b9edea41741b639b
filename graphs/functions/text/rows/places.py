"""Places of a row's tokens: which token of all texts, or special token, stands in each column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

from onnx import TensorProto

from graphs.functions.text.body.nodes import Nodes, Operand, i64
from graphs.functions.text.body.plain import Read
from graphs.functions.text.body.texts import text_count
from graphs.functions.text.body.utf8 import SEPARATOR
from graphs.functions.text.body.wordpiece import Tokens
from graphs.functions.text.rows.truncation import Kept, clipped_length, keep_end, truncate
from graphs.functions.text.rows.windows import Windows, windows
from graphs.functions.text.tables.row_options import RowOptions
from graphs.functions.text.tables.settings import TemplatePart


@dataclass(frozen=True)
class Places:
    """The tokens of all rows, int64.

    `index` [rows, longest] counts one token for each part of the template, one for padding, then those of all texts.
    `part` [rows, longest] is the part of the template, and the number of parts for padding. `cut` [texts, sequences] is
    what truncation has removed. `start` is the first byte of each token's text, for each token, or once for all.
    `row_texts` [rows] is the text of each row.
    """

    index: str
    part: str
    cut: str
    start: str
    row_texts: str


@dataclass(frozen=True)
class RowForm:
    """Form of all rows: the parts of the template, the number of sequences, and settings."""

    template: Sequence[TemplatePart]
    sequences: int
    has_windows: bool
    options: RowOptions

    @property
    def parts(self) -> int:
        return len(self.template)

    @property
    def special(self) -> int:
        """The number of special tokens."""
        return sum(part.sequence is None for part in self.template)


def find_places(g: Nodes, tokens: Tokens, read: Read, form: RowForm) -> tuple[Places, Windows | None]:
    """Returns the places, and the windows if rows are windows."""
    length = clipped_length(g, form.special + form.has_windows, form.options.limit)
    room = g("Sub", length, i64([form.special]))
    if form.has_windows:
        return _of_windows(g, tokens, read, form, length, room)
    if form.sequences > 1 or form.options.columns:
        return _of_texts(g, tokens, read, form, room), None
    values = g.choose(
        read.is_one,
        {field.name: TensorProto.INT64 for field in fields(Places)},
        lambda: astuple(_of_one_text(g, tokens, form, room)),
        lambda: astuple(_of_texts(g, tokens, read, form, room)),
    )
    return Places(*values), None


def _of_one_text(g: Nodes, tokens: Tokens, form: RowForm, room: str) -> Places:
    """Returns what `_of_texts` does for one text without padding."""
    count = g.size(tokens.ids)
    kept = truncate(g, room, [i64([0])], [count], form.options)[0]
    first = g("Add", kept.first, i64([form.parts + 1]))
    of_text = g("Range", g("Squeeze", first), g("Squeeze", g("Add", first, kept.count)), i64(1))
    index, part = list[Operand](), list[Operand]()
    for number, piece in enumerate(form.template):
        here = i64([number])
        index.append(here if piece.sequence is None else of_text)
        part.append(here if piece.sequence is None else g("Expand", here, kept.count))
    return Places(
        g("Unsqueeze", g.join(*index), i64([0])),
        g("Unsqueeze", g.join(*part), i64([0])),
        g.column(g("Sub", count, kept.count)),
        g("Identity", i64([0])),
        g("Identity", i64([0])),
    )


def _of_texts(g: Nodes, tokens: Tokens, read: Read, form: RowForm, room: str) -> Places:
    firsts, counts, start = _by_text(g, tokens, read, form)
    kept = truncate(g, room, firsts, counts, form.options)
    index, part = _index(g, form, kept)
    cut = _cut(g, counts, [sequence.count for sequence in kept])
    return Places(index, part, cut, start, g.range(text_count(g)))


def _of_windows(g: Nodes, tokens: Tokens, read: Read, form: RowForm, length: str, room: str) -> tuple[Places, Windows]:
    firsts, counts, start = _by_text(g, tokens, read, form)
    windowed, whole = form.options.windowed, 1 - form.options.windowed
    beside: Kept | None = None
    left = list(counts)
    if form.sequences > 1:
        count = g("Min", counts[whole], g("Sub", room, i64([1])))
        beside = keep_end(g, firsts[whole], counts[whole], count, form.options)
        room, left[whole] = g("Sub", room, count), count
    found = windows(g, length, room, firsts[windowed], counts[windowed])
    kept = [found.kept] * form.sequences
    if beside is not None:
        kept[whole] = Kept(*(g("Gather", values, found.row_texts) for values in (beside.first, beside.count)))
    index, part = _index(g, form, kept)
    return Places(index, part, _cut(g, counts, left), start, found.row_texts), found


def _by_text(g: Nodes, tokens: Tokens, read: Read, form: RowForm) -> tuple[list[str], list[str], str]:
    """Returns each text's first token and number of tokens, by sequence, and where the text of each token starts."""
    ends = g("Equal", read.stream, i64(SEPARATOR).astype("int32"))
    before = g("CumSum", g.int64(ends), i64(0), exclusive=1)  # the text of each byte
    text = g("Gather", before, tokens.begins)
    places = g.where(ends)
    start = g("Gather", g.join(i64([0]), g("Add", places, i64([1]))), text)
    count = g.scatter(g("Mul", places, i64([0])), text, g("Expand", i64([1]), g("Shape", text)), "add")
    firsts, counts = [g("CumSum", count, i64(0), exclusive=1)], [count]
    if form.sequences > 1:  # all texts, then their pairs
        texts = text_count(g)
        firsts, counts = ([g.slice(values[0], 0, texts), g.slice(values[0], texts)] for values in (firsts, counts))
    return firsts, counts, start


def _cut(g: Nodes, counts: Sequence[str], kept: Sequence[str]) -> str:
    columns = [g.column(g("Sub", *sequence)) for sequence in zip(counts, kept, strict=True)]
    return g("Concat", *columns, axis=1)


def _index(g: Nodes, form: RowForm, kept: Sequence[Kept]) -> tuple[str, str]:
    """Returns `index` and `part` of rows of several lengths; `kept` has the tokens of each sequence in each row."""
    parts, template = form.parts, form.template
    one = g("Expand", i64([1]), g("Shape", kept[0].count))
    counts = [one if part.sequence is None else kept[part.sequence].count for part in template]
    # [rows, parts]: the place behind each part.
    ends = g("CumSum", g("Concat", *map(g.column, counts), axis=1), i64(1))
    total = g("Gather", ends, i64(parts - 1), axis=1)
    longest = i64([form.options.columns]) if form.options.columns else g("ReduceMax", total, keepdims=1)
    places = g.range(longest)
    behind = g("GreaterOrEqual", g("Unsqueeze", places, i64([0, 2])), g("Unsqueeze", ends, i64([1])))
    part = g("ReduceSum", g.int64(behind), i64([2]), keepdims=0)  # [rows, longest], of padding `parts`
    # A place in a part is a place among all tokens, less a shift.
    first_of_part = [
        g("Mul", one, i64([number])) if part.sequence is None else g("Add", kept[part.sequence].first, i64([parts + 1]))
        for number, part in enumerate(template)
    ]
    begins = g("Concat", g("Mul", g.column(one), i64([0])), g("Slice", ends, i64([0]), i64([-1]), i64([1])), axis=1)
    shifts = g("Sub", g("Concat", *map(g.column, first_of_part), axis=1), begins)
    shifts = g("Concat", shifts, g("Mul", g.column(one), i64([0])), axis=1)
    shifted = g("Add", g("GatherElements", shifts, part, axis=1), places)
    return g("Where", g("Less", part, i64(parts)), shifted, i64(parts)), part
