"""Chunks of rows: what is read from each format, which rows are bad and why, and the places from which it continues."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mbert_onnx.errors import ColumnError, DataError, MbertError, UsageError
from mbert_onnx.prediction.reading import blocks
from mbert_onnx.prediction.reading.columns import ColumnNames, find_layout
from mbert_onnx.prediction.reading.reader import read
from mbert_onnx.prediction.reading.sources import Source, find_sources
from mbert_onnx.prediction.types import Chunk, Position
from mbert_onnx.text.tasks import FEATURE_EXTRACTION, QUESTION_ANSWERING, TEXT_CLASSIFICATION, Task

FILES: dict[str, bytes] = {
    "a.csv": b'\xef\xbb\xbfid,text\r\n1,good\r\n2,"two\r\nlines"\r\n3\r\n\r\n4,\xff\r\n'
    b'5,"say ""x"""\r\n6,"open\r\n7,fine\r\n',
    "b.tsv": b'id\ttext\n1\t"a ""b"""\n2\t"open\n3\ta\tb\n',
    "c.jsonl": b'{"text": "a", "n": 1}\n\n[1]\n{"text": 1}\n{"text": null}\n{"n": 2}\n{"text": "b", "text": "c"}\n'
    b'{bad}\n{"text": "\\ud800"}\n{"text": "d", "label": 1}\n{"text": "e", "n": 10000000000000000000000}\n\xff\n',
    "d.txt": b"one\n\ntwo\r\nthr\xffee",
    "e.csv": b"sep=;\nid;text\n1;a,b\n",
    "g.csv": b'\n\n"a,b,c";text;"i\rd"\n1;"one\n2;"two\n3;"three" more;\n4;a "b" c;x\n5;"a\rb\nc";x;y\n6;"last',
}
# Of each file the texts with their lines, and the bad rows.
FOUND: dict[str, tuple[list[tuple[int, str]], list[tuple[int, str]]]] = {
    "a.csv": (
        [(2, "good"), (3, "two\r\nlines"), (8, 'say "x"'), (10, "fine")],
        [
            (5, "the row has 1 field, expected 2 as in the header"),
            (7, "not valid UTF-8: byte 2 of the line is 0xff"),
            (9, "a quote is opened and not closed"),
        ],
    ),
    "b.tsv": ([(2, 'a "b"'), (3, '"open')], [(4, "the row has 3 fields, expected 2 as in the header")]),
    "c.jsonl": (
        [(1, "a"), (11, "e")],
        [
            (3, "a JSON array, expected an object"),
            (4, "text is a JSON number, expected a string"),
            (5, "text is null"),
            (6, "no key text, only n"),
            (7, "not JSON that can be read (the key 'text' is there twice)"),
            (8, "not JSON (Expecting property name enclosed in double quotes at character 2)"),
            (9, "not valid Unicode: half of a surrogate pair is missing"),
            (10, "the key label is that of an output column; give --prefix for those"),
            (12, "not valid UTF-8: byte 0 of the line is 0xff"),
        ],
    ),
    "d.txt": ([(1, "one"), (2, ""), (3, "two")], [(4, "not valid UTF-8: byte 3 of the line is 0xff")]),
    "e.csv": ([(3, "a,b")], []),
    "g.csv": (
        [(7, 'a "b" c')],
        [
            (4, "a quote is opened and not closed"),
            (5, "a quote is opened and not closed"),
            (6, 'text is behind the quote that closes a value; write quotes in a value as ""'),
            (8, "the row has 4 fields, expected 3 as in the header; its quotes go to line 9"),
            (10, "a quote is opened and not closed"),
        ],
    ),
}


def chunks(
    sources: Sequence[Source], start: Position | None = None, *, keep_json: bool = True, outputs: Sequence[str] = ()
) -> list[Chunk]:
    layout = find_layout(sources, TEXT_CLASSIFICATION, ColumnNames(text="text"), outputs, keep_json=keep_json)
    return list(read(sources, layout, start or Position()))


def written(tmp_path: Path, name: str, content: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def texts_of(found: Sequence[Chunk]) -> list[tuple[int, str]]:
    return [pair for chunk in found for pair in zip(chunk.lines, chunk.arguments[0], strict=True)]


def bad_of(found: Sequence[Chunk]) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for chunk in found for row in chunk.bad]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_rows_and_bad_rows(name: str, packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = FILES[name]
    if name == "c.jsonl":  # whose later rows have a key that the first ones have not
        monkeypatch.setattr("mbert_onnx.prediction.reading.json_lines.FIRST_ROWS", 1)
    if packed:
        content = gzip.compress(content[:9]) + gzip.compress(content[9:])
    path = written(tmp_path, name + ".gz" * packed, content)
    [source] = find_sources([path])
    layout = find_layout([source], TEXT_CLASSIFICATION, ColumnNames(text="text"), ["label"], keep_json=True)
    found = list(read([source], layout))
    assert (texts_of(found), bad_of(found)) == FOUND[name]
    assert found[-1].bytes_read == path.stat().st_size
    rows = [row for chunk in found for row in chunk.rows.to_pylist()]
    assert len(rows) == len(FOUND[name][0])
    if name == "c.jsonl":  # as it was written
        assert rows[-1] == {"json": '{"text": "e", "n": 10000000000000000000000}'}


@pytest.mark.parametrize("name", [*FILES, "f.parquet"])
def test_it_continues_at_every_row(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MOST_ROWS", 1)
    monkeypatch.setattr("mbert_onnx.prediction.reading.parquet.MOST_ROWS", 1)
    monkeypatch.setattr("mbert_onnx.prediction.reading.parquet.BATCH_ROWS", 2)
    if name == "f.parquet":
        pq.write_table(pa.table({"text": list("abcdefg")}), tmp_path / name, row_group_size=3)
        sources = find_sources([tmp_path / name, written(tmp_path, "g.csv", b"text\nh\n")])
    else:
        sources = find_sources([written(tmp_path, name, FILES[name]), written(tmp_path, f"z{name}", FILES[name])])
    whole = chunks(sources)
    for place, chunk in enumerate(whole, 1):
        rest = chunks(sources, chunk.end)
        assert texts_of(rest) == texts_of(whole[place:])
        assert bad_of(rest) == bad_of(whole[place:])
        assert [chunk.end for chunk in rest[-1:]] == [chunk.end for chunk in whole[place:][-1:]]


def test_parquet_keeps_types_and_names_bad_rows(tmp_path: Path) -> None:
    offsets = pa.array([0, 1, 2, 3, 4, 4], pa.int32()).buffers()[1]
    text = pa.Array.from_buffers(pa.string(), 5, [None, offsets, pa.py_buffer(b"a\xffbc")])
    kept = pa.array([[1], None, [2, 3], [4], []], pa.list_(pa.int8()))
    pq.write_table(pa.table({"kept": kept, "text": text}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"kept": kept[:2], "text": [None, "x"]}), tmp_path / "b.parquet")
    found = chunks(find_sources([tmp_path]))
    assert texts_of(found) == [(1, "a"), (3, "b"), (4, "c"), (5, ""), (2, "x")]
    assert bad_of(found) == [(2, "text is not valid UTF-8"), (1, "text is null")]
    assert found[0].rows.column("kept").to_pylist() == [[1], [2, 3], [4], []]
    assert found[0].rows.schema.field("kept").type == pa.list_(pa.int8())


def test_parquet_reads_views_as_strings(tmp_path: Path) -> None:
    columns = {"text": pa.array(["a", None, "b"], pa.string_view()), "b": pa.array([b"x"] * 3, pa.binary_view())}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    [found] = chunks(find_sources([tmp_path]))
    assert found.arguments[0] == ["a", "b"]
    assert found.rows.schema == pa.schema({"text": pa.string(), "b": pa.binary()})
    assert found.rows.column("b").to_pylist() == [b"x", b"x"]


def test_json_lines_as_a_table_keep_nan(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", b'{"text": "a", "v": NaN}\n{"text": "b", "v": 0.5}\n')
    [found] = chunks(find_sources([path]), keep_json=False)
    assert found.bad == []
    assert str(found.rows.column("v").to_pylist()) == "[nan, 0.5]"


def test_a_value_that_is_too_long_is_called_so(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", b"text\n" + b"x" * (2**20 + 1) + b"\nfine\n")
    limit = csv.field_size_limit()
    assert bad_of(chunks(find_sources([path]))) == [(2, "a value has more than 1,048,576 characters; shorten it")]
    assert csv.field_size_limit() == limit  # of the whole process


def test_json_lines_as_a_table_have_the_columns_of_the_first_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mbert_onnx.prediction.reading.json_lines.FIRST_ROWS", 3)
    rows: list[dict[str, Any]] = [
        {"text": "a", "n": 1, "mixed": "x", "empty": []},
        {"text": "b", "n": None, "mixed": 1},
        {"text": "c", "more": {"k": [1]}},
        {"text": "d", "n": 2, "mixed": [1], "more": {"k": [2]}},
        {"text": "e", "n": 2.5},
        {"text": "f", "new": 1},
        {"text": "g", "more": {"k": "x"}},
        {"text": "h", "more": {"k": [1], "j": 1}},
    ]
    path = written(tmp_path, "a.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows).encode())
    found = chunks(find_sources([path]), keep_json=False)
    assert pa.concat_tables(chunk.rows for chunk in found).to_pylist() == [
        {"text": "a", "n": 1, "mixed": "x", "empty": "[]", "more": None},
        {"text": "b", "n": None, "mixed": "1", "empty": None, "more": None},
        {"text": "c", "n": None, "mixed": None, "empty": None, "more": {"k": [1]}},
        {"text": "d", "n": 2, "mixed": "[1]", "empty": None, "more": {"k": [2]}},
    ]
    assert [line for line, _ in bad_of(found)] == [5, 6, 7, 8]
    assert "n is 2.5, which is no int64 as in the first rows; write .jsonl" in bad_of(found)[0][1]
    assert "the keys new are in none of the first rows" in bad_of(found)[1][1]


def test_time_is_in_proportion_to_lines_that_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line opens a quote, also where one is open already, so that each record goes to the end of the file."""
    monkeypatch.setattr("mbert_onnx.prediction.reading.delimited.LONGEST_RECORD", 2**12)
    path = written(tmp_path, "a.csv", b"id,text\n" + b'5",,"\n' * 20_000 + b"\n")
    bad = bad_of(chunks(find_sources([path])))
    assert [line for line, _ in bad] == list(range(2, 20_002))
    assert {reason for _, reason in bad} == {"a quote is opened and not closed"}


def test_a_long_first_line_is_one_bad_row(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", b'{"text": "' + b"x" * 2**22 + b'\n{"text": "a"}\n')
    found = chunks(find_sources([path]))
    assert (texts_of(found), [line for line, _ in bad_of(found)]) == ([(2, "a")], [1])


def test_chunks_are_small(tmp_path: Path) -> None:
    long = "word " * 2**14
    quoted, pair = f'"{long}"\n', f'{{"text": "{long}"}}\n'
    for name, content in (("a.csv", "text\n" + quoted * 6), ("b.jsonl", pair * 6)):
        found = chunks(find_sources([written(tmp_path, name, content.encode())]))
        assert [len(chunk.lines) for chunk in found] == [2, 2, 2]
    pq.write_table(pa.table({"text": [long] * 6}), tmp_path / "c.parquet")
    assert max(len(chunk.lines) for chunk in chunks(find_sources([tmp_path / "c.parquet"]))) <= 2


def test_a_line_that_never_ends_is_one_bad_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "LONGEST_LINE", 2**10)
    path = written(tmp_path, "a.txt", b"a\n" + b"x" * 5_000 + b"\nb\n")
    found = chunks(find_sources([path]))
    assert texts_of(found) == [(1, "a"), (3, "b")]
    assert [line for line, _ in bad_of(found)] == [2]


REFUSED: list[tuple[str, bytes, dict[str, Any], type[MbertError], str]] = [
    ("a.csv", b"a,a\n1,2\n", {}, DataError, "has two columns called 'a'; rename one of them"),
    ("a.csv", b"a,b\n1,2\n", {}, ColumnError, "has no column text, only a, b; name the column with --text"),
    ("a.csv", b"a,b\n1,2\n", {"text": "c"}, ColumnError, "has no column c, only a, b; name one of those"),
    ("a.csv", b"text,label\n1,2\n", {}, UsageError, "has a column label, as the output has; give --prefix"),
    ("a.csv", b"", {}, DataError, "is empty; expected the names of the columns in line 1"),
    ("a.csv", "text\n".encode("utf-16"), {}, DataError, "is UTF-16, expected UTF-8; convert it: iconv"),
    ("a.csv", b"a\0b\n", {}, DataError, "is not text; expected CSV"),
    ("a.csv", b"\xff\n", {}, DataError, "line 1: not valid UTF-8"),
    ("a.csv", gzip.compress(b"text\nx\n", mtime=0)[:-4], {}, DataError, "cannot be read"),
    ("a.parquet", b"text", {}, DataError, "is not Parquet"),
    (
        "a.jsonl",
        b"\n[1]\n",
        {},
        DataError,
        "has no JSON object in its first lines; expected one in each line: convert a list",
    ),
    ("a.jsonl", b"{ }\n", {}, ColumnError, "has no key text: its first objects are empty; give them this key"),
    ("a.csv", b'id,"text\n1,"x\n', {}, DataError, "line 1: a quote is opened and not closed; expected the names"),
    ("a.csv", b"text,id\rx,1\r", {}, DataError, "line 1 has line ends of \\r alone; expected"),
    ("a.xlsx", b"", {}, UsageError, "has none of the suffixes .csv, .tsv, .jsonl, .ndjson, .parquet, .txt"),
]


@pytest.mark.parametrize(("name", "content", "columns", "error", "message"), REFUSED, ids=lambda value: str(value)[:20])
def test_files_that_cannot_be_read(
    name: str, content: bytes, columns: dict[str, Any], error: type[MbertError], message: str, tmp_path: Path
) -> None:
    path = written(tmp_path, name, content)

    def attempt() -> None:
        sources = find_sources([path])
        layout = find_layout(sources, TEXT_CLASSIFICATION, ColumnNames(**columns), ["label"], keep_json=True)
        list(read(sources, layout))

    with pytest.raises(error) as found:
        attempt()
    assert message in str(found.value)
    assert "\n" not in str(found.value)


def test_folders(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "_SUCCESS", ".hidden.csv", "readme.md", "sub/c.csv.gz", "_temporary/d.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        written(tmp_path, name, b"text\nx\n")
    found = find_sources([tmp_path])
    assert [Path(source.name).relative_to(tmp_path).as_posix() for source in found] == [
        "a.csv",
        "b.csv",
        "sub/c.csv.gz",
    ]
    assert len(find_sources([tmp_path], "csv")) == 4
    with pytest.raises(UsageError, match="is given twice"):
        find_sources([tmp_path / "a.csv", tmp_path])
    with pytest.raises(DataError, match=r"has no file of a known format, only d\.doc"):
        find_sources([_without_texts(tmp_path)])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no file of a known format: it is empty; expected"):
        find_sources([tmp_path / "empty"])
    with pytest.raises(UsageError, match="is given twice"):
        find_sources([tmp_path / "a.csv", tmp_path / "sub" / ".." / "a.csv"])
    with pytest.raises(UsageError, match="is given twice"):
        find_sources([tmp_path / "a.csv", (tmp_path / "a.csv").as_uri()])
    with pytest.raises(DataError, match="does not exist; check the path"):
        find_sources([tmp_path / "none.csv"])
    with pytest.raises(UsageError, match=r"foo://x cannot be opened .* expected a local path, or a URI"):
        find_sources(["foo://x"])
    with pytest.raises(UsageError, match="expected either JSON Lines or tables"):
        find_sources([tmp_path / "a.csv", written(tmp_path, "z.jsonl", b"{}\n")])


def _without_texts(tmp_path: Path) -> Path:
    folder = tmp_path / "other"
    folder.mkdir()
    written(folder, "d.doc", b"")
    return folder


def test_files_with_other_columns(tmp_path: Path) -> None:
    first, second = written(tmp_path, "a.csv", b"id,text\n1,x\n"), written(tmp_path, "b.csv", b"text,id\ny,2\n")
    found = chunks(find_sources([first, second]))
    assert [chunk.rows.to_pylist() for chunk in found] == [[{"id": "1", "text": "x"}], [{"id": "2", "text": "y"}]]
    pq.write_table(pa.table({"id": [3], "text": ["z"]}), tmp_path / "c.parquet")
    for other, message in (
        (written(tmp_path, "d.csv", b"text\nx\n"), "has the columns text, and .* id, text; expected the same"),
        (tmp_path / "c.parquet", "has int64 in the column id, and .* string; expected the same"),
    ):
        with pytest.raises(DataError, match=message):
            chunks(find_sources([first, other]))
    with pytest.raises(DataError, match="the column id is int64, expected strings"):
        find_layout(
            find_sources([tmp_path / "c.parquet"]), FEATURE_EXTRACTION, ColumnNames(text="id"), [], keep_json=True
        )


@pytest.mark.parametrize(
    ("task", "columns", "expected"),
    [
        (TEXT_CLASSIFICATION, ColumnNames(), ("text",)),
        (TEXT_CLASSIFICATION, ColumnNames(pair="context"), ("text", "context")),
        (QUESTION_ANSWERING, ColumnNames(), ("question", "context")),
        (QUESTION_ANSWERING, ColumnNames(context="text"), ("question", "text")),
    ],
)
def test_default_columns(task: Task, columns: ColumnNames, expected: tuple[str, ...], tmp_path: Path) -> None:
    sources = find_sources([written(tmp_path, "a.csv", b"question,context,text\nq,c,t\n")])
    assert find_layout(sources, task, columns, [], keep_json=True).arguments == expected
