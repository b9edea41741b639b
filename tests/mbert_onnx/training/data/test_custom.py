"""Custom files and corpora: formats, held-out rows, and errors."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from mbert_onnx.errors import DataError
from mbert_onnx.training.data.corpus.documents import read_corpus
from mbert_onnx.training.data.custom import Columns, read_custom
from mbert_onnx.training.data.table import read_table

REVIEWS = "id\trating\ttext\n1\t2.5\tA joy.\n10\t-0.5\tDull.\n11\t0\tSo so.\n"
RATED = Columns(label="rating", above=0.0, id="id", every=10)


def file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_rating_becomes_a_label(tmp_path: Path) -> None:
    found = read_custom(file(tmp_path, "r.tsv", REVIEWS), RATED, "all")
    assert [(e.id, e.text, e.label) for e in found.examples] == [
        ("1", "A joy.", 1),
        ("10", "Dull.", 0),
        ("11", "So so.", 0),
    ]
    assert found.labels == ("negative", "positive")


def test_held_out_rows_are_not_in_the_rest(tmp_path: Path) -> None:
    path = file(tmp_path, "r.tsv", REVIEWS)
    assert [e.id for e in read_custom(path, RATED, "test", part="held_out").examples] == ["10"]
    assert [e.id for e in read_custom(path, RATED, "train", part="rest").examples] == ["1", "11"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", 'text\tlabel\nsay "a"\tyes\nno\tno\n'),
        ("a.csv", 'text,label\n"say ""a""",yes\nno,no\n'),
        ("a.csv", '\ufefftext;label\n"say ""a""";yes\nno;no\n'),
        ("a.csv", 'sep=;\r\nlabel;text\r\nyes;"say ""a"""\r\nno;no\r\n'),
        ("a.jsonl", '{"text": "say \\"a\\"", "label": "yes"}\n\n{"text": "no", "label": "no"}\n'),
        (
            "a.jsonl.gz",
            gzip.compress(b'{"text": "say \\"a\\"", "label": "yes"}\n{"text": "no", "label": "no"}\n', mtime=0),
        ),
        ("a.tsv", b'\xef\xbb\xbftext\tlabel\r\nsay "a"\tyes\r\nno\tno\r\n'),
    ],
)
def test_the_same_rows_in_every_format(name: str, content: str | bytes, tmp_path: Path) -> None:
    found = read_custom(file(tmp_path, name, content), Columns(), "train")
    assert [(e.text, e.label) for e in found.examples] == [('say "a"', 1), ("no", 0)]
    assert found.labels == ("no", "yes")


@pytest.mark.parametrize(
    ("content", "columns", "says"),
    [
        ("text\tlabel\n\tyes\n", Columns(), "line 2 has an empty text"),
        ("text\tlabel\na\t\n", Columns(), "line 2 has an empty label"),
        ("text\tlabel\na\tyes\nb\tyes\n", Columns(), "has only the label yes in label"),
        ("text\tlabel\na\tmaybe\n", Columns(labels=("no", "yes")), "the label 'maybe'; expected one of no, yes"),
        ("text\tlabel\na\tyes\tmore\n", Columns(), "line 2 has 3 columns; expected 2: text, label"),
        ("words\tlabel\na\tyes\n", Columns(), "has the columns words, label; expected text among them"),
        ("text\tlabel\na\tgood\n", Columns(above=0.0), "line 2 has 'good' in label; expected a number"),
        ("text\tlabel\na\tinf\n", Columns(regression=True), "line 2 has 'inf' in label; expected a number"),
        (
            "text\tlabel\tid\na\t1\tx\n",
            Columns(above=0.0, id="id", every=2),
            "line 2, id is 'x'; expected an integer",
        ),
        (f"text\tlabel\na\t{'9' * 400}\n", Columns(regression=True), "in label; expected a number"),
        ("text\tlabel\n", Columns(), "has no rows"),
        ("", Columns(), "is empty; expected a header"),
    ],
)
def test_invalid_content_gives_a_one_line_error(content: str, columns: Columns, says: str, tmp_path: Path) -> None:
    part = "all" if columns.every is None else "held_out"
    with pytest.raises(DataError, match=says) as caught:
        read_custom(file(tmp_path, "a.tsv", content), columns, "train", part=part)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.tsv", "text\na\n".encode("utf-16"), "is UTF-16, expected UTF-8"),
        ("a.tsv", b"text\nna\xefve\n", "line 2 is not UTF-8: its byte 3 is 0xef"),
        ("a.tsv", b"text\na\0b\n", "line 2 has a NUL byte"),
        ("a.tsv.gz", gzip.compress(b"text\na\n", mtime=0)[:-9], "is gzipped, but damaged"),
        ("a.jsonl", b'{"text": \n', "line 1 is not JSON"),
        ("a.jsonl", b'["a"]\n', "line 1 is a JSON list; expected an object"),
        ("a.jsonl", b'{"words": "a"}\n', "line 1 has the columns words; expected text"),
        ("a.jsonl", b'{"text": "a"}\n{"text": "\\ud83d a"}\n', r"line 2 has \\ud83d, half of a surrogate pair"),
        ("a.xlsx", b"text\n", "is a .xlsx; expected .tsv, .csv or .jsonl"),
    ],
)
def test_files_that_are_not_tables_are_refused(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says):
        list(read_table(file(tmp_path, name, content), ["text"]))


def test_a_number_too_large_for_a_float_is_refused(tmp_path: Path) -> None:
    path = file(tmp_path, "a.jsonl", f'{{"text": "a", "label": 1{"0" * 400}}}\n')
    with pytest.raises(DataError, match="in label; expected a number"):
        read_custom(path, Columns(above=0.0), "train")


def test_a_surrogate_pair_of_escapes_is_one_character(tmp_path: Path) -> None:
    path = file(tmp_path, "a.jsonl", '{"text": "\\ud83d\\ude00"}\n')
    assert list(read_table(path, ["text"])) == [(1, {"text": "\U0001f600"})]


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        list(read_table(tmp_path / "a.tsv", ["text"]))
    (tmp_path / "b.tsv").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        list(read_table(tmp_path / "b.tsv", ["text"]))


def test_a_corpus_has_documents_between_blank_lines(tmp_path: Path) -> None:
    path = file(tmp_path, "c.txt", "One.\nTwo.\n\n\nThree.\n")
    assert list(read_corpus([path])) == [["One.", "Two."], ["Three."]]


def test_each_row_of_a_table_is_a_document(tmp_path: Path) -> None:
    path = file(tmp_path, "c.jsonl", '{"text": "One.\\nTwo."}\n{"text": " "}\n{"text": "Three."}\n')
    assert list(read_corpus([path])) == [["One.", "Two."], ["Three."]]


def test_held_out_rows_are_not_in_a_corpus(tmp_path: Path) -> None:
    path = file(tmp_path, "r.tsv", REVIEWS)
    assert list(read_corpus([path], id="id", every=10)) == [["A joy."], ["So so."]]
    with pytest.raises(DataError, match=r"line 2, text is 'A joy\.'; expected an integer"):
        list(read_corpus([path], id="text", every=10))


def test_a_corpus_reads_the_first_known_column_and_skips_repeated_documents(tmp_path: Path) -> None:
    path = file(tmp_path, "c.jsonl", '{"context": "One.", "q": 1}\n{"context": "One.", "q": 2}\n{"context": "Two."}\n')
    assert list(read_corpus([path], ("text", "context"))) == [["One."], ["Two."]]
    with pytest.raises(DataError, match="line 1 has the columns context, q; expected text among them"):
        list(read_corpus([path]))


def test_a_corpus_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no text; expected sentences"):
        list(read_corpus([file(tmp_path, "c.txt", "\n \n")]))
