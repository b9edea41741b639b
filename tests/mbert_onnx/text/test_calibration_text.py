"""Calibration texts: file formats and their errors, the split into fit and held-out texts, and the model's inputs."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import BertTokenizerFast

from mbert_onnx.errors import CalibrationError, MbertError, UsageError
from mbert_onnx.text import builtin_sentences, text_files
from mbert_onnx.text.calibration_text import CalibrationTexts, encode, read_calibration
from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.text.tasks import (
    FEATURE_EXTRACTION,
    FILL_MASK,
    MULTIPLE_CHOICE,
    NEXT_SENTENCE_PREDICTION,
    PRETRAINING,
    QUESTION_ANSWERING,
    TASKS,
    TEXT_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    Task,
)
from mbert_onnx.text.text_files import CalibrationText

# Nine distinct first texts, and nine second texts that pair with them.
FIRST = [f"ada walked {number} times in london" for number in range(9)]
SECOND = [f"grace found moth {number} in the machine" for number in range(9)]
SINGLES = [CalibrationText(text) for text in FIRST]
BOTH = [CalibrationText(first, second) for first, second in zip(FIRST, SECOND, strict=True)]
SQUAD = {
    "data": [
        {"title": "t", "paragraphs": [{"context": second, "qas": [{"id": "1", "question": first}]}]}
        for first, second in zip(FIRST, SECOND, strict=True)
    ]
}


def written(folder: Path, name: str, content: str | bytes) -> Path:
    """Writes a file of that name, gzipped if the name ends in `.gz`."""
    path = folder / name
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data, mtime=0) if name.endswith(".gz") else data)
    return path


def lines(*texts: str) -> str:
    return "".join(text + "\n" for text in texts)


def jsonl(*objects: object) -> str:
    return lines(*map(json.dumps, objects))


def table(*rows: tuple[object, ...], by: str = "\t") -> str:
    return lines(*(by.join(map(str, row)) for row in rows))


def in_order(texts: CalibrationTexts) -> list[CalibrationText]:
    """Returns the texts of both parts in file order; every third is held out."""
    fit, held_out = iter(texts.fit), iter(texts.held_out)
    count = len(texts.fit) + len(texts.held_out)
    return [next(held_out if number % 3 == 2 else fit) for number in range(count)]


def objects(first: str, second: str | None = None) -> list[dict[str, Any]]:
    return [
        {"id": number, first: text} | ({} if second is None else {second: SECOND[number]})
        for number, text in enumerate(FIRST)
    ]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.txt", lines(*FIRST), SINGLES),
        ("A.JSONL", jsonl(*FIRST), SINGLES),
        ("a.txt.gz", lines(*FIRST), SINGLES),
        ("a.log", lines(*FIRST), SINGLES),
        ("no extension", "\n".join(FIRST), SINGLES),
        ("a.txt", "\n \n".join(f"  {text}\t" for text in FIRST), SINGLES),
        ("windows.txt", "\r\n".join(FIRST), SINGLES),
        ("old mac.txt", "\r".join(FIRST), SINGLES),
        ("bom.txt", "\ufeff" + lines(*FIRST), SINGLES),
        ("a.txt", gzip.compress(lines(*FIRST).encode(), mtime=0), SINGLES),  # gzipped, although its name lacks .gz
        ("a.jsonl", jsonl(*objects("text")), SINGLES),
        ("a.jsonl.gz", jsonl(*objects("Sentence")), SINGLES),
        ("a.jsonl", jsonl(*FIRST), SINGLES),
        ("a.jsonl", jsonl(*objects("phrase"), {"text": " "}, {"text": None}, {"text": ""}), SINGLES),
        ("a.jsonl", jsonl(*objects("question", "context")), BOTH),
        ("a.jsonl", jsonl(*objects("sentence1", "sentence2")), BOTH),
        ("a.jsonl", jsonl(*objects("premise", "hypothesis")), BOTH),
        ("a.jsonl", jsonl(*({"context": b, "question": a} for a, b in zip(FIRST, SECOND, strict=True))), BOTH),
        ("a.jsonl", jsonl(*({"question": a, "context": ""} for a in FIRST)), SINGLES),
        ("a.jsonl", jsonl(*({"text": f"{a}\u2028{a}"} for a in FIRST)).replace("\\u2028", "\u2028"), None),
        ("a.json", json.dumps(SQUAD, indent=1), BOTH),
        ("a.json.gz", json.dumps(SQUAD), BOTH),
        ("a.json", json.dumps(objects("text")), SINGLES),
        ("a.json", json.dumps({"data": objects("question", "context")}), BOTH),
        ("a.tsv", table(("id", "Text", "longest column"), *((n, t, t + t) for n, t in enumerate(FIRST))), SINGLES),
        ("a.tsv.gz", table(("label", "sentence"), *((1, text) for text in FIRST)), SINGLES),
        ("a.tsv", table(("context", "question"), *zip(SECOND, FIRST, strict=True)), BOTH),
        ("headless.tsv", table(*((number, "gj", text, 0.5) for number, text in enumerate(FIRST))), SINGLES),
        ("one column.tsv", lines(*FIRST), SINGLES),
        ("blank.tsv", "\n" + table(("text", "n"), *((text, 1) for text in FIRST), ("", 1)) + "\t\n", SINGLES),
        ("a.csv", table(("n", "review"), *((1, f'"{text}"') for text in FIRST), by=","), SINGLES),
        ("semicolons.csv", table(("text", "label"), *((text, "0,5") for text in FIRST), by=";"), SINGLES),
        ("pairs.csv", table(("question", "context"), *zip(FIRST, SECOND, strict=True), by=";"), BOTH),
        ("bom.csv", "\ufeff" + table(("text", "n"), *((text, 1) for text in FIRST), by=";"), SINGLES),
        ("tabs.csv", table(("text", "n"), *((text, 1) for text in FIRST), by="\t"), SINGLES),
        ("bars.csv", table(("n", "text"), *((1, text) for text in FIRST), by="|"), SINGLES),
        ("excel.csv", "sep=;\r\n" + table(("text", "n"), *((text, 1) for text in FIRST), by=";"), SINGLES),
        ("headless.csv", table(*((number, text, "0,5") for number, text in enumerate(FIRST)), by=";"), SINGLES),
    ],
)
def test_formats(tmp_path: Path, name: str, content: str | bytes, expected: list[CalibrationText] | None) -> None:
    texts = read_calibration(written(tmp_path, name, content), TEXT_CLASSIFICATION)
    if expected is None:
        expected = [CalibrationText(f"{text}\u2028{text}") for text in FIRST]
    assert in_order(texts) == expected
    assert texts.source == name
    assert texts.notes == [f"{name} has only 9 different texts; 32 or more give safer ranges"]


def test_a_quoted_cell_loses_its_quotes_and_a_quotation_keeps_them(tmp_path: Path) -> None:
    cells = ['"he said ""no"" again"', '"no" and "yes"', '"', '""', '"a tab', "it's", *FIRST]
    texts = read_calibration(written(tmp_path, "a.tsv", table(*((c, 0) for c in cells))), TEXT_CLASSIFICATION)
    kept = ['he said "no" again', '"no" and "yes"', '"', '"a tab', "it's", *FIRST]
    assert in_order(texts) == [CalibrationText(text) for text in kept]


def test_a_cell_of_a_csv_may_have_commas_quotes_and_lines(tmp_path: Path) -> None:
    rows = [("text", "n"), ('"a, ""b""\nand c"', 1), *((text, 2) for text in FIRST)]
    texts = read_calibration(written(tmp_path, "a.csv", table(*rows, by=",")), TEXT_CLASSIFICATION)
    assert in_order(texts)[0] == CalibrationText('a, "b"\nand c')


def test_a_semicolon_in_a_text_separates_nothing(tmp_path: Path) -> None:
    cells = ["he said; she said", "a, b; c", *FIRST]
    quoted = [("text", "n"), *((f'"{cell}"', 1) for cell in cells)]
    for by in (",", ";"):
        texts = read_calibration(written(tmp_path, "a.csv", table(*quoted, by=by)), TEXT_CLASSIFICATION)
        assert in_order(texts) == [CalibrationText(cell) for cell in cells]
    one_column = written(tmp_path, "a.csv", lines("text", "he said; she said", *FIRST))
    assert in_order(read_calibration(one_column, TEXT_CLASSIFICATION))[0] == CalibrationText("he said; she said")


def test_a_ragged_csv_is_not_read_with_another_separator(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "id,remark\n1,fine\n2,fine, but late\n")
    with pytest.raises(CalibrationError, match="line 3 has 3 columns, expected 2 as in line 1"):
        read_calibration(path, TEXT_CLASSIFICATION)


def test_the_lines_of_excel_s_csv_keep_their_numbers(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "sep=;\ntext;n\na b;1\nc d;2;3\n")
    with pytest.raises(CalibrationError, match="line 4 has 3 columns, expected 2 as in line 2"):
        read_calibration(path, TEXT_CLASSIFICATION)


KEYS = "expected text, sentence, phrase, question and context, sentence1 and sentence2, or premise and hypothesis"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "@ is empty, expected at least 8 texts. Give a file with texts."),
        ("a.txt.gz", b"", "@ is empty, expected at least 8 texts. Give a file with texts."),
        ("a.txt", b" \n\t\r\n", "@ has only blank lines, expected at least 8 texts. Give a file with texts."),
        ("a.jsonl", '{"text": " "}', "@ has no text, expected at least 8. Give a file with texts."),
        ("a.json", "[]", "@ has no text, expected at least 8. Give a file with texts."),
        ("a.tsv", "id\ttext\n", "@ has no text, expected at least 8. Give a file with texts."),
        ("a.csv", '""\n', "@ has no text, expected at least 8. Give a file with texts."),
        (
            "a.txt",
            b"ok\ncaf\xe9\n",
            "@ is not UTF-8: its byte 6 is 0xe9. Convert it, from Latin-1 for example: iconv -f LATIN1 -t UTF-8.",
        ),
        (
            "a.jsonl.gz",
            b"\xef\xbb\xbf\xff",
            "@ is not UTF-8: its byte 3 is 0xff. Convert it, from Latin-1 for example: iconv -f LATIN1 -t UTF-8.",
        ),
        (
            "cut.txt",
            lines(*FIRST).encode() + "é".encode()[:1],
            "@ is not UTF-8: its byte 261 is 0xc3. Convert it, from Latin-1 for example: iconv -f LATIN1 -t UTF-8.",
        ),
        ("a.txt", "some text".encode("utf-16"), "@ is UTF-16, expected UTF-8. Convert it: iconv -f UTF-16 -t UTF-8."),
        (
            "a.txt",
            b"\xfe\xff" + "some text".encode("utf-16-be"),
            "@ is UTF-16, expected UTF-8. Convert it: iconv -f UTF-16 -t UTF-8.",
        ),
        (
            "model.onnx",
            b"\x08\x07\x00\xff",
            "@ is not text: its byte 2 is NUL. Expected UTF-8; give a .txt, .tsv, .jsonl or .json.",
        ),
        (
            "damaged.txt",
            gzip.compress(b"some text", mtime=0)[:-9],
            "@ is gzipped, but damaged (Compressed file ended before the end-of-stream marker was reached). "
            "Copy it again.",
        ),
        (
            "damaged.txt",
            b"\x1f\x8b\x01" + bytes(20),
            "@ is gzipped, but damaged (Unknown compression method). Copy it again.",
        ),
        (
            "damaged.txt.zip",
            gzip.compress(b"some text", mtime=0)[:10] + b"\xff" * 20,
            "@ is gzipped, but damaged (Error -3 while decompressing data: invalid block type). Copy it again.",
        ),
        (
            "a.jsonl",
            '{"text": "a"}\n\n{"text": \n',
            "@, line 3 is not JSON (Expecting value). Give one object a line.",
        ),
        ("a.jsonl", '{"text": "a"}\n7\n', "@, line 2 is a JSON int, expected an object. Give objects with a text."),
        (
            "a.jsonl",
            '{"id": 1, "headline": "x"}\n',
            f"@, line 1 has the keys id, headline, {KEYS}. Rename the key of the text.",
        ),
        ("a.jsonl", "{}", f"@, line 1 has the keys none, {KEYS}. Rename the key of the text."),
        (
            "a.jsonl",
            json.dumps({f"a\nkey\x1b{number}" + "x" * 99: 1 for number in range(10)}),
            "@, line 1 has the keys "
            + ", ".join(rf"'a\nkey\x1b{number}" + "x" * 23 + "…'" for number in range(8))
            + f" and 2 others, {KEYS}. Rename the key of the text.",
        ),
        (
            "a.jsonl",
            '{"text": 3}',
            "@, line 1: the text is of type int, expected a string. Correct it or remove it.",
        ),
        (
            "a.jsonl",
            '{"question": "a", "context": ["b"]}',
            "@, line 1: the text is of type list, expected a string. Correct it or remove it.",
        ),
        (
            "a.jsonl",
            '{"text": "\\ud800"}',
            "@, line 1: The text is not valid Unicode (surrogates not allowed). Decode it with its encoding.",
        ),
        (
            "a.json",
            '{"data":\n[}',
            "@, line 2, is not JSON (Expecting value). Correct it; with one object a line, name it .jsonl.",
        ),
        (
            "a.json",
            jsonl(*objects("text")),
            "@, line 2, is not JSON (Extra data). Correct it; with one object a line, name it .jsonl.",
        ),
        (
            "a.json",
            '{"version": "1.1"}',
            "@ is JSON, but neither SQuAD's (data, paragraphs, qas) nor a list of objects with texts. "
            "Give one of those, or a .jsonl.",
        ),
        (
            "a.json",
            '{"data": [{"paragraphs": [{"context": "c", "qas": [{"answers": []}]}]}]}',
            "@, entry 1 is not as in SQuAD: expected paragraphs with a context and qas, and qas with a question. "
            "Correct it, or give a .jsonl with question and context.",
        ),
        (
            "a.json",
            '{"data": [{"paragraphs": ["c"]}]}',
            "@, entry 1 is not as in SQuAD: expected paragraphs with a context and qas, and qas with a question. "
            "Correct it, or give a .jsonl with question and context.",
        ),
        (
            "a.json",
            '["one", 2]',
            "@, entry 2 is a JSON int, expected an object. Give objects with a text.",
        ),
        (
            "a.tsv",
            "id\ttext\n1\tone\n\n2\ttwo\tthree\n",
            "@, line 4 has 3 columns, expected 2 as in line 1. Correct it, or give the texts one a line as .txt.",
        ),
        (
            "a.tsv",
            "id\ttext\n1\n",
            "@, line 2 has 1 column, expected 2 as in line 1. Correct it, or give the texts one a line as .txt.",
        ),
        (
            "a.tsv",
            table(("id", "score"), *((number, number / 7) for number in range(9))),
            f"@ has no column of texts: line 1 has id, score. Give it a header with {KEYS.removeprefix('expected ')}.",
        ),
        (
            "a.csv",
            "text\n" + "x" * 200_000,
            "@, line 2 is not CSV (field larger than field limit (131072)). Correct it.",
        ),
        (
            "a.txt",
            lines(*FIRST[:7], *FIRST[:7]),
            "@ has 7 different texts, expected at least 8, better 32. Add texts such as the model will read.",
        ),
        (
            "a.txt",
            "one",
            "@ has 1 different text, expected at least 8, better 32. Add texts such as the model will read.",
        ),
        (
            "a.jsonl",
            jsonl(*({"question": text, "context": SECOND[number % 2] * 9} for number, text in enumerate(FIRST))),
            "@ has 9 pairs, but they share 2 contexts, expected at least 3: one is held out to measure the damage. "
            "Add pairs with other contexts.",
        ),
    ],
)
def test_errors(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(CalibrationError) as caught:
        read_calibration(path, TEXT_CLASSIFICATION)
    assert str(caught.value) == message.replace("@", str(path))
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("content", ["[" * 100_000, '{"text": ' + "1" * 5000 + "}"], ids=["deep", "digits"])
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_json_beyond_the_limits_of_python(tmp_path: Path, name: str, content: str) -> None:
    with pytest.raises(CalibrationError) as caught:
        read_calibration(written(tmp_path, name, content), TEXT_CLASSIFICATION)
    reason = "its values are nested too deeply|a number has 5,000 digits, expected at most 1,000: 1111111111…"
    assert re.fullmatch(
        rf".*/{re.escape(name)}(, line 1)? is not JSON \(({reason})\)\. Correct it\.", str(caught.value)
    )


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError) as caught:
        read_calibration(tmp_path / "none.txt", TEXT_CLASSIFICATION)
    assert str(caught.value) == f"{tmp_path / 'none.txt'} does not exist. Give --calibrate a file of texts."
    with pytest.raises(CalibrationError) as caught:
        read_calibration(tmp_path, TEXT_CLASSIFICATION)
    advice = "expected a file of texts. Give a .txt, .tsv, .jsonl or .json."
    assert str(caught.value) == f"{tmp_path} is a folder, {advice}"


def test_a_path_that_cannot_be_opened(tmp_path: Path) -> None:
    below = written(tmp_path, "a.txt", lines(*FIRST)) / "b.txt"
    with pytest.raises(CalibrationError) as caught:
        read_calibration(below, TEXT_CLASSIFICATION)
    assert str(caught.value) == f"{below} cannot be read (Not a directory). Give --calibrate a file of texts."
    with pytest.raises(CalibrationError) as caught:
        read_calibration(Path("a\0\nb"), TEXT_CLASSIFICATION)
    assert str(caught.value) == "a? b cannot be read (embedded null byte). Give --calibrate a file of texts."


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = written(tmp_path, "a.txt", lines(*FIRST))
    path.chmod(0)
    with pytest.raises(CalibrationError, match=r"a\.txt cannot be read \(Permission denied\)"):
        read_calibration(path, TEXT_CLASSIFICATION)


def test_questions_need_contexts(tmp_path: Path) -> None:
    path = written(tmp_path, "a.txt", lines(*FIRST))
    with pytest.raises(CalibrationError) as caught:
        read_calibration(path, QUESTION_ANSWERING)
    assert str(caught.value) == (
        f"{path} has no question with a context, which question-answering needs. "
        "Give a .jsonl or .tsv with question and context, or SQuAD's own .json."
    )


def test_questions_without_a_context_are_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl", jsonl({"question": "where ?"}, *objects("question", "context")))
    assert in_order(read_calibration(path, QUESTION_ANSWERING)) == BOTH


def test_many_texts_are_sampled_evenly(tmp_path: Path) -> None:
    texts = [f"text number {number}" for number in range(960)]
    path = written(tmp_path, "many.txt", lines(*texts, *texts))
    found = read_calibration(path, TEXT_CLASSIFICATION)
    assert in_order(found) == [CalibrationText(text) for text in texts[::10]]
    assert (len(found.fit), len(found.held_out)) == (64, 32)
    assert found.notes == ["96 of the 960 different texts in many.txt are used, evenly spread"]
    assert read_calibration(path, TEXT_CLASSIFICATION) == found


@pytest.mark.parametrize("task", [QUESTION_ANSWERING, TEXT_CLASSIFICATION, MULTIPLE_CHOICE], ids=lambda task: task.name)
@pytest.mark.parametrize("each", [2, 3, 7, 50])
def test_no_context_is_in_both_parts(tmp_path: Path, task: Task, each: int) -> None:
    contexts = [f"{number} " + "a long context " * 9 for number in range(11)]
    rows = [{"question": f"what {number} ?", "context": text} for text in contexts for number in range(each)]
    found = read_calibration(written(tmp_path, "a.jsonl", jsonl(*rows)), task)
    fit, held_out = ({text.pair for text in part} for part in (found.fit, found.held_out))
    assert fit
    assert held_out
    assert not fit & held_out
    assert len(found.fit) <= 64
    assert len(found.held_out) <= 32
    assert {text.text for text in found.fit} & {text.text for text in found.held_out}  # a question may be in both


def test_no_premise_is_in_both_parts(tmp_path: Path) -> None:
    rows = [("sentence1", "sentence2")]
    rows += [(f"a long premise of number {number}", f"{n}") for number in range(9) for n in range(3)]
    found = read_calibration(written(tmp_path, "a.tsv", table(*rows)), TEXT_CLASSIFICATION)
    assert len(found.fit) == 18
    assert not {text.text for text in found.fit} & {text.text for text in found.held_out}


@pytest.mark.parametrize("task", [TOKEN_CLASSIFICATION, FILL_MASK, FEATURE_EXTRACTION], ids=lambda task: task.name)
def test_tasks_of_one_text_read_both_texts_of_a_pair_alone(tmp_path: Path, task: Task) -> None:
    found = read_calibration(written(tmp_path, "a.jsonl", jsonl(*objects("question", "context"))), task)
    both = itertools.chain.from_iterable(zip(FIRST, SECOND, strict=True))
    assert in_order(found) == [CalibrationText(text) for text in both]


@pytest.mark.parametrize("task", [NEXT_SENTENCE_PREDICTION, PRETRAINING], ids=lambda task: task.name)
def test_tasks_of_two_texts_pair_neighbours_of_the_same_part(tmp_path: Path, task: Task) -> None:
    found = read_calibration(written(tmp_path, "a.txt", lines(*FIRST)), task)
    fit, held_out = ([FIRST[number] for number in part] for part in ([0, 1, 3, 4, 6, 7], [2, 5, 8]))
    assert [(text.text, text.pair) for text in found.fit] == list(zip(fit, fit[1:] + fit[:1], strict=True))
    assert [(text.text, text.pair) for text in found.held_out] == list(
        zip(held_out, held_out[1:] + held_out[:1], strict=True)
    )
    given_pairs = read_calibration(written(tmp_path, "a.jsonl", jsonl(*objects("text", "text_pair"))), task)
    assert in_order(given_pairs) == BOTH


def test_few_texts_are_noted_and_enough_are_not(tmp_path: Path) -> None:
    path = written(tmp_path, "a.txt", lines(*map(str, range(31))))
    notes = ["a.txt has only 31 different texts; 32 or more give safer ranges"]
    assert read_calibration(path, TEXT_CLASSIFICATION).notes == notes
    written(tmp_path, "a.txt", lines(*map(str, range(32))))
    assert read_calibration(path, TEXT_CLASSIFICATION).notes == []


def test_long_lines_are_cut_and_compared_after_the_cut(tmp_path: Path) -> None:
    long = "word " * 400_000
    texts = read_calibration(written(tmp_path, "a.txt", lines(long + "a", long + "b", *FIRST)), TEXT_CLASSIFICATION)
    assert in_order(texts) == [CalibrationText(("word " * 4000).strip()), *SINGLES]


def test_only_the_beginning_of_a_huge_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "MAX_BYTES", 2**20)
    whole = [f"{number} " + "é" * 500 for number in range(3000)]
    path = written(tmp_path, "a.txt.gz", lines(*whole))
    texts = read_calibration(path, TEXT_CLASSIFICATION)
    count = 2**20 // 1005
    assert texts.notes[0] == "only the first 1 MB of a.txt.gz were read"
    assert re.fullmatch(rf"96 of the {count}\d? different texts in a\.txt\.gz are used, evenly spread", texts.notes[1])
    assert set(in_order(texts)) <= {CalibrationText(text) for text in whole}  # the incomplete last line is dropped

    path = written(tmp_path, "a.json", json.dumps(objects("text")) + " " * 2**20)
    with pytest.raises(CalibrationError) as caught:
        read_calibration(path, TEXT_CLASSIFICATION)
    assert str(caught.value) == f"{path} has more than 1 MB, and JSON cannot be read in part. Give a .jsonl."

    path = written(tmp_path, "one line.txt", "a" + "é" * 2**20)  # cut inside a UTF-8 sequence
    with pytest.raises(CalibrationError, match="has 1 different text, expected"):
        read_calibration(path, TEXT_CLASSIFICATION)


def test_the_last_row_of_a_cut_csv_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "MAX_LINES", 21)
    rows = [f'{number},"two\nlines {number}"' for number in range(100)]
    texts = read_calibration(written(tmp_path, "a.csv", lines("n,text", *rows)), TEXT_CLASSIFICATION)
    assert in_order(texts)[-1] == CalibrationText("two\nlines 8")
    assert texts.notes[0] == "only the first 21 lines of a.csv were read"


def test_lines_beyond_the_limit_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "MAX_LINES", 40)
    path = written(tmp_path, "a.txt", lines(*map(str, range(41))))
    texts = read_calibration(path, TEXT_CLASSIFICATION)
    assert in_order(texts) == [CalibrationText(str(number)) for number in range(40)]
    assert texts.notes == ["only the first 40 lines of a.txt were read"]
    written(tmp_path, "a.txt", lines(*map(str, range(40))))
    assert read_calibration(path, TEXT_CLASSIFICATION).notes == []


# Built-in sentences

PAIRED = (QUESTION_ANSWERING, NEXT_SENTENCE_PREDICTION, PRETRAINING)


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_built_in_sentences(task: Task) -> None:
    texts = read_calibration(None, task)
    assert texts.source == "built-in sentences"
    assert texts.notes == [
        "ranges were measured on built-in English sentences; --calibrate FILE with texts of your own is better"
    ]
    assert len(texts.fit) >= 24
    assert len(texts.held_out) >= 12
    assert not set(texts.fit) & set(texts.held_out)
    if task in PAIRED:
        assert all(text.pair for text in texts.fit + texts.held_out)
    if task is QUESTION_ANSWERING:
        assert not {text.pair for text in texts.fit} & {text.pair for text in texts.held_out}
    for part in (texts.fit, texts.held_out):
        words = [len(f"{text.text} {text.pair or ''}".split()) for text in part]
        assert min(words) <= (25 if task in PAIRED else 5)
        assert max(words) >= 100


def test_built_in_sentences_are_clean_and_distinct() -> None:
    singles, questions = builtin_sentences.texts(), builtin_sentences.questions()
    contexts = list(dict.fromkeys(context for _, context in questions))
    everything = [*singles, *contexts, *(question for question, _ in questions)]
    assert len(singles) + len(contexts) == 48
    assert len(questions) == 36
    assert len(set(everything)) == len(everything)
    assert all(text == text.strip() and text.isprintable() and "  " not in text for text in everything)
    assert all(question.endswith("?") for question, _ in questions)
    assert {len(text.split()) for text in singles} >= {3, 4, 5}
    # No text is dropped by the split.
    texts = read_calibration(None, TEXT_CLASSIFICATION)
    assert {text.pair or text.text for text in texts.fit + texts.held_out} == {*singles, *contexts}


# Model inputs


@pytest.fixture(scope="module")
def encoder(runtime_tokenizer: BertTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    folder = tmp_path_factory.mktemp("tokenizer")
    runtime_tokenizer.save_pretrained(folder)
    return TextEncoder(folder / "tokenizer.json", 512)


def ids_of(encoder: TextEncoder, text: str, pair: str | None = None) -> list[int]:
    return list(encoder.tokenizer.encode(text, *([] if pair is None else [pair])).ids)


SHORT, LONGER, LONGEST = "ada walked", "the quick brown fox", "grace found a moth in the machine in new york " * 9


@pytest.mark.parametrize(
    "task",
    [TEXT_CLASSIFICATION, TOKEN_CLASSIFICATION, FEATURE_EXTRACTION, NEXT_SENTENCE_PREDICTION, QUESTION_ANSWERING],
)
def test_texts_keep_their_length(encoder: TextEncoder, task: Task) -> None:
    texts = [CalibrationText(SHORT), CalibrationText(SHORT, LONGER), CalibrationText(LONGER)]
    found = encode(texts, encoder, task, seq_len=None, max_positions=48, choices=None)
    assert len(found.feeds) == 3
    for text, feed in zip(texts, found.feeds, strict=True):
        ids = ids_of(encoder, text.text, text.pair)
        assert list(feed) == ["input_ids", "attention_mask", "token_type_ids"]
        assert {array.dtype for array in feed.values()} == {np.dtype(np.int64)}
        assert feed["input_ids"].tolist() == [ids]
        assert feed["attention_mask"].tolist() == [[1] * len(ids)]
        first = len(ids_of(encoder, text.text)) if text.pair else len(ids)
        assert feed["token_type_ids"].tolist() == [[0] * first + [1] * (len(ids) - first)]
    assert found.tokens == sum(feed["input_ids"].size for feed in found.feeds) - 2 - 3 - 2
    assert (found.unknown, found.cut, found.dropped, found.notes) == (0, 0, 0, [])


def test_long_texts_are_cut_and_counted(encoder: TextEncoder) -> None:
    texts = [CalibrationText(SHORT), CalibrationText(LONGEST), CalibrationText(SHORT, LONGEST)]
    found = encode(texts, encoder, TEXT_CLASSIFICATION, seq_len=None, max_positions=20, choices=None)
    assert [feed["input_ids"].shape for feed in found.feeds[1:]] == [(1, 20), (1, 20)]
    assert found.feeds[1]["input_ids"][0, :19].tolist() == ids_of(encoder, LONGEST)[:19]
    assert found.cut == 2
    assert found.notes == ["2 of 3 calibration texts were cut to 20 tokens"]
    held_out = encode(
        texts, encoder, TEXT_CLASSIFICATION, seq_len=None, max_positions=20, choices=None, kind="held-out"
    )
    assert held_out.notes == ["2 of 3 held-out texts were cut to 20 tokens"]
    assert encoder.max_length == 512  # the caller's encoder is unchanged


@pytest.mark.parametrize(("seq_len", "cut"), [(16, 1), (24, 1), (200, 0)])
def test_a_fixed_length_pads_and_cuts(encoder: TextEncoder, seq_len: int, cut: int) -> None:
    texts = [CalibrationText(SHORT), CalibrationText(LONGEST)]
    found = encode(
        texts, encoder, TEXT_CLASSIFICATION, seq_len=seq_len, max_positions=300, choices=None, pad_token_id=7
    )
    ids = ids_of(encoder, SHORT)
    padding = seq_len - len(ids)
    assert {array.shape for feed in found.feeds for array in feed.values()} == {(1, seq_len)}
    assert found.feeds[0]["input_ids"].tolist() == [ids + [7] * padding]
    assert found.feeds[0]["attention_mask"].tolist() == [[1] * len(ids) + [0] * padding]
    assert found.cut == cut
    assert found.feeds[1]["attention_mask"].sum() == min(seq_len, len(ids_of(encoder, LONGEST)))
    assert found.tokens == sum(feed["attention_mask"].sum() - 2 for feed in found.feeds)


def test_every_choice_is_a_text(encoder: TextEncoder) -> None:
    texts = [CalibrationText(SHORT, "moth"), CalibrationText(LONGER), CalibrationText("grace built")]
    endings = [
        ["moth", LONGER, "grace built", "moth"],
        ["grace built", "moth", LONGER, "grace built"],
        ["moth", LONGER, "grace built", "moth"],
    ]
    found = encode(texts, encoder, MULTIPLE_CHOICE, seq_len=None, max_positions=48, choices=4)
    for text, expected, feed in zip(texts, endings, found.feeds, strict=True):
        rows = [ids_of(encoder, text.text, ending) for ending in expected]
        length = max(map(len, rows))
        assert feed["input_ids"].shape == (1, 4, length)
        assert feed["input_ids"].tolist() == [[row + [0] * (length - len(row)) for row in rows]]
        assert feed["attention_mask"].sum() == sum(map(len, rows))
    fixed = encode(texts, encoder, MULTIPLE_CHOICE, seq_len=32, max_positions=48, choices=None)
    assert {array.shape for feed in fixed.feeds for array in feed.values()} == {(1, 2, 32)}
    alone = encode(texts[1:2], encoder, MULTIPLE_CHOICE, seq_len=None, max_positions=48, choices=3)
    assert alone.feeds[0]["input_ids"].tolist() == [[ids_of(encoder, LONGER, LONGER)] * 3]
    # A text is counted once, even if several of its rows are cut.
    cut = encode(
        [CalibrationText(SHORT), CalibrationText(LONGEST)],
        encoder,
        MULTIPLE_CHOICE,
        seq_len=None,
        max_positions=48,
        choices=3,
    )
    assert cut.cut == 2


@pytest.mark.parametrize("task", [FILL_MASK, PRETRAINING], ids=lambda task: task.name)
def test_every_seventh_token_is_masked(encoder: TextEncoder, task: Task) -> None:
    pair = CalibrationText(LONGER, SHORT)
    for text in (pair, CalibrationText(LONGEST), CalibrationText("ada")):
        [feed] = encode([text], encoder, task, seq_len=None, max_positions=512, choices=None).feeds
        expected = np.array(ids_of(encoder, text.text, text.pair))
        places = np.flatnonzero(~np.isin(expected, [encoder.tokenizer.token_to_id(t) for t in ("[CLS]", "[SEP]")]))
        expected[places[3::7]] = encoder.mask_id
        assert feed["input_ids"].tolist() == [expected.tolist()]
        assert (encoder.mask_id in expected) == (text.text != "ada")


def test_without_a_mask_token_nothing_is_masked(encoder: TextEncoder, tmp_path: Path) -> None:
    encoder.tokenizer.save(str(tmp_path / "tokenizer.json"))
    without = TextEncoder(tmp_path / "tokenizer.json", 512, mask_token="<mask>")
    [feed] = encode([CalibrationText(LONGER)], without, FILL_MASK, seq_len=None, max_positions=48, choices=None).feeds
    assert feed["input_ids"].tolist() == [ids_of(encoder, LONGER)]


def test_texts_outside_the_vocabulary(encoder: TextEncoder) -> None:
    known, strange = CalibrationText("ada " * 4), CalibrationText("λ")
    found = encode([known] * 3 + [strange] * 4, encoder, FILL_MASK, seq_len=None, max_positions=48, choices=None)
    assert found.unknown == 4 / 16  # exactly the maximum passes; special tokens and padding are not counted
    with pytest.raises(CalibrationError) as caught:
        encode([known] * 3 + [strange] * 5, encoder, FILL_MASK, seq_len=64, max_positions=48, choices=None)
    assert str(caught.value) == (
        "29% of the tokens of the calibration texts are [UNK], expected at most 25%: the model does not know their "
        "language or script. Give texts in the model's language, with --calibrate FILE."
    )


def test_texts_without_tokens_are_left_out(encoder: TextEncoder) -> None:
    texts = [CalibrationText("\u200b\u0301"), CalibrationText(SHORT), CalibrationText(SHORT, "\u200b")]
    found = encode(texts, encoder, TEXT_CLASSIFICATION, seq_len=None, max_positions=48, choices=None)
    assert [feed["input_ids"].tolist() for feed in found.feeds] == [[ids_of(encoder, SHORT)]]
    assert found.dropped == 2
    assert found.notes == ["2 of 3 calibration texts were left out: the tokenizer drops all of them"]
    with pytest.raises(CalibrationError) as caught:
        encode(texts[:1], encoder, TEXT_CLASSIFICATION, seq_len=None, max_positions=48, choices=None)
    assert str(caught.value) == "No calibration text has a token that the model reads. Give other texts."


def test_texts_of_special_tokens_only(encoder: TextEncoder) -> None:
    found = encode([CalibrationText("[SEP]")], encoder, FILL_MASK, seq_len=None, max_positions=48, choices=None)
    assert (found.tokens, found.unknown) == (0, 0)


def test_a_length_without_room_for_a_text(encoder: TextEncoder) -> None:
    with pytest.raises(
        UsageError,
        match=r"A text has 2 special ones, which leave no room in a row of 2 tokens. Use a model of more tokens.",
    ):
        encode([CalibrationText(SHORT)], encoder, FILL_MASK, seq_len=2, max_positions=48, choices=None)


def test_a_vocabulary_without_an_unknown_token(tmp_path: Path) -> None:
    Tokenizer(models.BPE({"a": 0, "b": 1}, [])).save(str(tmp_path / "tokenizer.json"))
    encoder = TextEncoder(tmp_path / "tokenizer.json", 48)
    found = encode([CalibrationText("abba")], encoder, FILL_MASK, seq_len=None, max_positions=48, choices=None)
    assert found.feeds[0]["input_ids"].tolist() == [[0, 1, 1, 0]]
    assert (found.tokens, found.unknown) == (4, 0)


# Arbitrary file contents


FRAGMENTS = ['{"text": "', '{"data": [', '{"paragraphs": [', '"question": "a"', '"context": "b"', '"}', "]", "}", ","]
FRAGMENTS += ["\t", "\n", '"', "text\tid\n", "ada", "null", "1e999", "\\ud800", "\r", "\u2028", "\ufeff", "\x1b", "é"]
names = ["text", "question", "context", "data", "paragraphs", "qas", "id", "sentence1", "sentence2"]
values = st.recursive(
    st.none() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.sampled_from(names), inner, max_size=3),
    max_leaves=12,
)
contents = st.one_of(
    st.binary(max_size=200),
    st.lists(st.text(max_size=12), min_size=8, max_size=40).map(
        lambda texts: "\n".join(texts).encode("utf-8", "replace")
    ),
    st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(lambda parts: "".join(parts).encode()),
    st.lists(values, max_size=12).map(lambda some: jsonl(*some).encode()),
    values.map(lambda value: json.dumps(value).encode()),
    st.lists(st.sampled_from(["[SEP]", "ada walked", "\u0301", "λ", "fox " * 60]), min_size=8, max_size=40).map(
        lambda texts: lines(*(f"{text} {'x' * number}" for number, text in enumerate(texts))).encode()
    ),
)


@settings(max_examples=300, deadline=None)
@given(
    content=contents,
    name=st.sampled_from(["a.txt", "a.tsv", "a.csv", "a.jsonl", "a.json", "a", "a.json.gz", "line\nfeed.tsv"]),
    task=st.sampled_from(TASKS),
)
def test_any_file_gives_texts_or_a_one_line_error(
    tmp_path_factory: pytest.TempPathFactory, encoder: TextEncoder, content: bytes, name: str, task: Task
) -> None:
    path = written(tmp_path_factory.getbasetemp(), name, content)
    message = None
    try:
        texts = read_calibration(path, task)
        feeds = [
            encode(part, encoder, task, seq_len=None, max_positions=48, choices=None)
            for part in (texts.fit, texts.held_out)
        ]
    except MbertError as error:
        message = str(error)
    if message is not None:
        assert message.isprintable()
        return
    assert 0 < len(texts.fit) <= 64
    assert 0 < len(texts.held_out) <= 32
    assert not set(texts.fit) & set(texts.held_out)
    for part, found in zip((texts.fit, texts.held_out), feeds, strict=True):
        assert all(text.text.strip() and text.pair != "" for text in part)
        assert len(found.feeds) == len(part) - found.dropped > 0
        assert all(array.shape[-1] <= 48 for feed in found.feeds for array in feed.values())
