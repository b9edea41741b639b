"""GLUE's nine tasks and its diagnostic set, read from folders in the benchmark's format and from rows of the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from glue_folders import FILES, write_glue

from mbert_onnx.errors import DataError, UsageError
from mbert_onnx.training.data.glue import DIAGNOSTIC, TASKS, glue_from_hub, glue_task, read_glue
from mbert_onnx.training.data.source import HUB, glue_split, squad_questions
from mbert_onnx.training.inputs.corpus_rows import documents_of
from mbert_onnx.training.recipe import CorpusTable

# First rows of each task's training set: text, pair, label.
TRAIN: dict[str, list[tuple[str, str | None, float]]] = {
    "cola": [("The boat sank.", None, 1), ("Sank boat the.", None, 0)],
    "sst2": [("a joy", None, 1), ('dull and "long"', None, 0)],
    "mrpc": [("He came .", "He arrived .", 1), ("A", "B", 0)],
    "stsb": [("A dog runs.", "A dog is running.", 4.8), ("A dog runs.", "It rains.", 0)],
    "qqp": [("Who?", "Who is it?", 1), ("When?", "Where?", 0)],
    "mnli": [("He sleeps.", "He rests.", 0), ("He sleeps.", "He runs.", 2)],
    "qnli": [("Who?", "Ada.", 0), ("Who?", "Rain.", 1)],
    "rte": [("All.", "Some.", 0), ("A.", "B.", 1)],
    "wnli": [("It fit.", "The box fit.", 1), ("A.", "B.", 0)],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_glue(tmp_path / "glue_data")


def test_there_are_nine_tasks() -> None:
    assert sorted(TASKS) == sorted(TRAIN)


@pytest.mark.parametrize("name", TRAIN)
def test_a_training_set(name: str, folder: Path) -> None:
    found = read_glue(glue_task(name), folder, "train")
    assert [(example.text, example.pair, example.label) for example in found.examples] == TRAIN[name]


@pytest.mark.parametrize("name", TRAIN)
def test_a_task_may_be_given_by_its_own_folder(name: str, folder: Path) -> None:
    task = glue_task(name)
    assert read_glue(task, folder / task.folder, "train") == read_glue(task, folder, "train") or task.ragged


@pytest.mark.parametrize("name", TRAIN)
def test_validation_sets_have_labels(name: str, folder: Path) -> None:
    task = glue_task(name)
    assert task.validations
    for split in task.validations:
        found = read_glue(task, folder, split)
        assert found.is_labelled
        assert found.labels == task.labels


@pytest.mark.parametrize("name", [*TRAIN, "ax"])
def test_test_sets_have_no_labels(name: str, folder: Path) -> None:
    task = DIAGNOSTIC if name == "ax" else glue_task(name)
    for split in task.submissions:
        found = read_glue(task, folder, split)
        assert found.examples
        assert {example.label for example in found.examples} == {None}


def test_test_rows_carry_the_benchmarks_numbers(folder: Path) -> None:
    found = read_glue(glue_task("mnli"), folder, "test_mismatched")
    assert [example.id for example in found.examples] == ["0", "1"]


def test_malformed_rows_of_qqp_are_skipped_with_a_note(folder: Path) -> None:
    [note] = read_glue(glue_task("qqp"), folder, "train").notes
    assert "1 rows have too few or too many columns" in note


def test_tasks_are_also_found_by_the_benchmarks_names() -> None:
    assert glue_task("SST-2") is TASKS["sst2"]
    assert glue_task("STS-B") is TASKS["stsb"]
    with pytest.raises(UsageError, match="GLUE has no task 'snli'; its tasks are cola, sst2"):
        glue_task("snli")


@pytest.mark.parametrize(
    ("name", "file", "line", "says"),
    [
        ("sst2", "SST-2/train.tsv", "good\t2", "line 4 has the label '2'; expected one of 0, 1"),
        ("sst2", "SST-2/train.tsv", "good", "line 4 has 1 columns; expected 2"),
        ("sst2", "SST-2/train.tsv", " \t1", "line 4 has an empty sentence"),
        ("mnli", "MNLI/train.tsv", "\t".join("0--------ab-"), "line 4 has the label '-'; expected one of entailment"),
        (
            "stsb",
            "STS-B/train.tsv",
            "2\t-\t-\t-\t-\t-\t-\ta\tb\t5.1",
            "has the score '5.1'; expected a number from 0 to 5",
        ),
        ("stsb", "STS-B/train.tsv", "2\t-\t-\t-\t-\t-\t-\ta\tb\tnan", "has the score 'nan'"),
    ],
)
def test_errors_name_the_invalid_row(name: str, file: str, line: str, says: str, folder: Path) -> None:
    with (folder / file).open("a", encoding="utf-8") as opened:
        opened.write(line + "\n")
    with pytest.raises(DataError, match=says):
        read_glue(glue_task(name), folder, "train")


def test_blank_lines_are_skipped(folder: Path) -> None:
    path = folder / "RTE" / "train.tsv"
    path.write_text("\n" + path.read_text(encoding="utf-8").replace("\n", "\n\n"), encoding="utf-8")
    assert len(read_glue(glue_task("rte"), folder, "train").examples) == 2


def test_another_encoding_is_refused_with_its_line(folder: Path) -> None:
    with (folder / "SST-2" / "dev.tsv").open("ab") as file:
        file.write("café\t1\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"dev\.tsv, line 4 is not UTF-8: its byte 4 is 0xe9"):
        read_glue(glue_task("sst2"), folder, "validation")


def test_missing_folders_files_and_splits_are_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="nowhere is not a folder; expected GLUE's"):
        read_glue(glue_task("rte"), Path("nowhere"), "train")
    (folder / "RTE" / "dev.tsv").unlink()
    with pytest.raises(DataError, match=r"has no RTE/dev\.tsv"):
        read_glue(glue_task("rte"), folder, "validation")
    with pytest.raises(UsageError, match="rte has no split 'dev'; it has train, validation, test"):
        read_glue(glue_task("rte"), folder, "dev")


@pytest.mark.parametrize("name", TRAIN)
def test_rows_of_the_hub_give_the_same_examples(name: str, folder: Path) -> None:
    task = glue_task(name)
    columns = task.hub_columns or task.columns
    rows = [
        {"idx": number, **dict(zip(columns, filter(None, row[:2]), strict=True)), "label": row[2]}
        for number, row in enumerate(TRAIN[name])
    ]

    def load(hub: str, config: str, *, split: str) -> list[dict[str, Any]]:
        assert (hub, config, split) == ("nyu-mll/glue", name, "train")
        return rows

    found = glue_from_hub(task, "train", load)
    assert [(e.text, e.pair, e.label) for e in found.examples] == TRAIN[name]


def test_test_sets_of_the_hub_have_no_labels() -> None:
    found = glue_from_hub(glue_task("sst2"), "test", lambda *_, **__: [{"idx": 0, "sentence": "a", "label": -1}])
    assert found.examples[0].label is None


def test_the_test_folders_cover_the_benchmark() -> None:
    assert set(FILES) == {task.folder for task in TASKS.values()} | {DIAGNOSTIC.folder}


def test_an_unreachable_hub_gives_a_one_line_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise ConnectionError("Couldn't reach it\non the Hub")

    monkeypatch.setattr("datasets.load_dataset", unreachable)
    with pytest.raises(DataError, match="nyu-mll/glue cannot be loaded from the hub"):
        glue_split(glue_task("sst2"), HUB, "train")
    with pytest.raises(DataError, match="rajpurkar/squad_v2 cannot be loaded from the hub"):
        squad_questions("squad_v2", HUB, "train")
    with pytest.raises(DataError, match="wikimedia/wikipedia cannot be loaded from the hub"):
        list(documents_of(CorpusTable(hub="wikimedia/wikipedia")))
