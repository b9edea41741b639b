"""`predict` and its command, in one process: columns of each task, bad rows, and what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

import mbert_onnx
from mbert_onnx.cli.application import app
from mbert_onnx.cli.printing.prediction import progress_text
from mbert_onnx.prediction.report import Progress
from mbert_onnx.runtime.answers import as_json

TEXTS = ["ada wrote the first program", "who wrote it in london ?", "the fox jumps"]
REVIEWS = ["A warm and funny film.", "Two hours that I will never get back.", "", "Dull."]


class Example(Protocol):
    folder: Path


Bundles = Callable[..., Example]


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["predict", *map(str, arguments)])


def complaint(result: Result, code: int) -> str:
    """The one line on standard error, with nothing on standard output."""
    assert (result.exit_code, result.stdout) == (code, ""), result.output
    [line] = result.stderr.splitlines()
    return line.removeprefix("mbert-onnx: ")


def reviews(folder: Path, texts: Sequence[str] = REVIEWS) -> Path:
    path = folder / "reviews.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["id", "text"], *enumerate(texts)])
    return path


TASKS: dict[str, tuple[dict[str, Any], dict[str, Any], Callable[[Any], list[dict[str, Any]]]]] = {
    "text-classification": (
        {"text": TEXTS},
        {"all_scores": True},
        lambda model: [
            {"label": one.label, "score": one.score, **{f"score_{label.label}": label.score for label in one.labels}}
            for one in model.classify(TEXTS)
        ],
    ),
    "question-answering": (
        {"question": ["who wrote it ?"] * 3, "context": TEXTS},
        {"max_answer_len": 3},
        lambda model: [as_json(one[0]) for one in model.answer("who wrote it ?", TEXTS, max_answer_len=3)],
    ),
    "token-classification": (
        {"text": TEXTS},
        {"aggregation": "first"},
        lambda model: [{"entities": as_json(one)} for one in model.tag(TEXTS, aggregation="first")],
    ),
    "feature-extraction": (
        {"text": TEXTS},
        {"normalize": True},
        lambda model: [{"embedding": one.tolist()} for one in model.embed(TEXTS, normalize=True)],
    ),
    "fill-mask": (
        {"text": [f"{text} [MASK]" for text in TEXTS]},
        {"top_k": 2},
        lambda model: [{"masks": as_json(one)} for one in model.fill([f"{text} [MASK]" for text in TEXTS], top_k=2)],
    ),
    "multiple-choice": (
        {"text": TEXTS, "a": ["the river"] * 3, "b": ["a moth"] * 3},
        {"choice": ("b", "a"), "all_scores": True},
        lambda model: [
            {
                "choice": one.choice,
                "score": one.choices[0].score,
                "scores": [item.score for item in sorted(one.choices, key=lambda item: item.index)],
            }
            for one in model.choose(TEXTS, ["a moth", "the river"])
        ],
    ),
    "next-sentence-prediction": (
        {"text": TEXTS, "pair": TEXTS[::-1]},
        {},
        lambda model: [
            {"is_next": one.is_next, "not_next": one.not_next} for one in model.next_sentence(TEXTS, TEXTS[::-1])
        ],
    ),
}


@pytest.mark.parametrize("task", TASKS)
def test_columns_of_each_task(task: str, runtime_bundle: Bundles, tmp_path: Path) -> None:
    folder = runtime_bundle(task).folder
    columns, options, expected = TASKS[task]
    pq.write_table(pa.table(columns | {"kept": [1.5, None, 2.5]}), tmp_path / "in.parquet")
    report = mbert_onnx.predict(folder, tmp_path / "in.parquet", tmp_path / "out.parquet", prefix="its_", **options)
    assert (report.rows, report.bad, report.errors) == (3, 0, None)
    assert report.tokens >= 20
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.select(columns).to_pydict() == columns
    assert found.column("kept").to_pylist() == [1.5, None, 2.5]
    plain = json.loads(json.dumps(expected(mbert_onnx.load(folder))))  # lists for tuples
    rows = [{f"its_{name}": value for name, value in row.items()} for row in plain]
    assert set(rows[0]) == set(found.column_names) - set(columns) - {"kept"}
    assert found.select(list(rows[0])).to_pylist() == rows
    if task == "feature-extraction":
        assert pa.types.is_fixed_size_list(found.schema.field("its_embedding").type)
        np.testing.assert_allclose(np.linalg.norm(found.column("its_embedding").to_pylist(), axis=1), 1, rtol=1e-5)
    report = mbert_onnx.predict(folder, tmp_path / "in.parquet", tmp_path / "out.csv", **options)
    cells = list(csv.DictReader((tmp_path / "out.csv").open(newline="")))
    for row, found_row in zip(plain, cells, strict=True):
        for name, value in row.items():
            assert found_row[name] == value if isinstance(value, str) else json.loads(found_row[name]) == value


def test_the_command(tmp_path: Path) -> None:
    source, output = reviews(tmp_path), tmp_path / "out.jsonl"
    result = call("reference", source, "-o", output, "--all")
    assert (result.exit_code, result.stderr) == (0, "")
    first, bad = result.stdout.splitlines()
    assert first.startswith(f"{output}  3 rows in ")
    assert bad == f"  bad        1 row could not be processed: {output}.errors.jsonl"
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [(row["id"], row["label"]) for row in rows] == [("0", "positive"), ("1", "negative"), ("3", "negative")]
    assert list(rows[0]) == ["id", "text", "label", "score", "score_negative", "score_positive"]
    [error] = (tmp_path / "out.jsonl.errors.jsonl").read_text().splitlines()
    assert json.loads(error) == {"file": str(source), "line": 4, "reason": "The text is empty. Give some text."}
    assert complaint(call("reference", source, "-o", output), 2) == (
        f"{output} exists; pass --overwrite to replace it, or choose another --output"
    )
    again = call("reference", source, "-o", output, "--overwrite", "--json", "--workers", "1")
    assert json.loads(again.stdout) | {"seconds": 0} == {
        "output": str(output),
        "rows": 3,
        "bad": 1,
        "errors": f"{output}.errors.jsonl",
        "truncated": 0,
        "done_before": 0,
        "tokens": json.loads(again.stdout)["tokens"],
        "seconds": 0,
    }


def test_strict_stops_at_the_first_bad_row(tmp_path: Path) -> None:
    source, output = reviews(tmp_path), tmp_path / "out.csv"
    line = complaint(call("reference", source, "-o", output, "--strict"), 1)
    assert line.startswith(f"{source}, line 4: The text is empty. Give some text; correct it and pass --overwrite")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reviews.csv"]


def test_a_file_without_a_good_row(tmp_path: Path) -> None:
    source, output = reviews(tmp_path, ["", " "]), tmp_path / "out.csv"
    result = call("reference", source, "-o", output)
    assert result.exit_code == 1
    assert "none of the 2 rows could be processed; " in result.stderr
    assert output.read_text() == "id,text,label,score\n"


def test_rows_of_empty_and_odd_json_lines(tmp_path: Path) -> None:
    """A file without rows; objects that are always empty; numbers that JSON has not."""
    source = tmp_path / "in.jsonl"
    source.write_text("\n")
    for name, content in (("none.jsonl", ""), ("none.csv", "text,label,score\n")):
        assert mbert_onnx.predict("reference", source, tmp_path / name).rows == 0
        assert (tmp_path / name).read_text() == content
    source.write_text('{"text": "good", "m": {}, "l": [{}]}\n')
    mbert_onnx.predict("reference", source, tmp_path / "out.parquet")
    [row] = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert (row["m"], row["l"]) == ("{}", "[{}]")
    pq.write_table(pa.table({"text": ["good\rbad"], "n": [[float("nan"), 1.0]]}), tmp_path / "in.parquet")
    mbert_onnx.predict("reference", tmp_path / "in.parquet", tmp_path / "out.jsonl")
    assert '"n": [null, 1.0]' in (tmp_path / "out.jsonl").read_text()
    mbert_onnx.predict("reference", tmp_path / "in.parquet", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_bytes().startswith(b'text,n,label,score\n"good\rbad","[null, 1.0]",')


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["reviews.csv", "--text", "body"], 2, "has no column body, only id, text; name one of those"),
        (["reviews.csv", "--pair", "body"], 2, "has no column body, only id, text; name one of those"),
        (["reviews.csv", "--context", "text"], 2, "--context is not for text-classification, which takes --text and"),
        (["reviews.csv", "--normalize"], 2, "--normalize is not for text-classification, which takes --all; leave"),
        (["reviews.csv", "--top-k", "2"], 2, "--top-k is not for text-classification, which takes --all; leave it out"),
        (["reviews.csv", "--workers", ""], 2, "--workers is ''; expected 1 to 1,024, or auto"),
        (["-"], 2, "- is not supported: a job that continues reads its input again; write the rows to a file"),
        (
            ["a.csv.errors.jsonl", "--output", "a.csv"],
            2,
            "a.csv.errors.jsonl is an input, and a.csv.errors.jsonl is written beside the --output a.csv; choose",
        ),
        (
            ["b.csv.parts/part-00000.csv", "--output", "b.csv"],
            2,
            "part-00000.csv is an input, and b.csv.parts is written beside the --output b.csv; choose",
        ),
        (["reviews.csv", "--workers", "0"], 2, "--workers is 0; expected 1 to 1,024, or auto"),
        (["reviews.csv", "--workers", "many"], 2, "--workers is many; expected 1 to 1,024, or auto"),
        (["reviews.csv", "--workers", "auto", "--threads", "2"], 2, "--threads is not for --workers auto"),
        (["reviews.csv", "--format", "json"], 2, "--format is 'json'; expected one of csv, tsv, jsonl, parquet, txt"),
        (["none.csv"], 1, "none.csv does not exist; check the path"),
        (["b.csv.parts", "--output", "b.csv.parts/out.csv"], 2, "inside the input folder"),
        (["reviews.csv", "--output", "reviews.csv", "--overwrite"], 2, "which is an input; choose another path"),
        (["reviews.csv", "--output", "out.txt"], 2, "--output is out.txt; expected one of the suffixes"),
        (["reviews.csv", "--output", "folder.csv"], 2, "--output is folder.csv, a folder; expected a file"),
        (["reviews.csv", "--output", "foo://out.csv"], 2, "foo://out.csv cannot be opened"),
    ],
)
def test_what_is_refused(
    arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reviews(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "a.csv.errors.jsonl").write_text('{"text": "x"}\n')
    (tmp_path / "b.csv.parts").mkdir()
    (tmp_path / "b.csv.parts" / "part-00000.csv").write_text("text\nx\n")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    output = [] if "--output" in arguments else ["--output", "out.csv"]
    assert message in complaint(call("reference", *arguments, *output), code)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bundle_without_a_tokenizer(runtime_bundle: Bundles, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    folder.mkdir()
    for path in runtime_bundle("text-classification").folder.rglob("*"):
        if path.is_file() and path.name != "tokenizer.json":
            target = folder / path.relative_to(runtime_bundle("text-classification").folder)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(path.read_bytes())
    line = complaint(call(folder, reviews(tmp_path), "-o", tmp_path / "out.csv"), 1)
    assert line.startswith(f"{folder} has no tokenizer.json, which text needs")
    assert complaint(call(tmp_path / "none", reviews(tmp_path), "-o", tmp_path / "out.csv"), 1).startswith(
        f"{tmp_path / 'none'} does not exist"
    )


def test_progress_text() -> None:
    state = Progress(rows=1_500, done_before=500, bad=2, tokens=25_000, share=0.75, share_before=0.25, seconds=10.0)
    assert progress_text(state) == "1,500 rows, 2 of them bad, 100 texts/s, 2,500 tokens/s, 0:00:05 left"
