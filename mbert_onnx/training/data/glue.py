"""GLUE: definitions of its nine tasks and its diagnostic set, and readers for its folders and the hub.

Wang et al. 2018, arXiv 1804.07461. The folders are those of the benchmark's download (`CoLA/train.tsv`, ...). The hub's
dataset is `nyu-mll/glue`; its order of labels is used for the folders, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbert_onnx.errors import DataError, UsageError
from mbert_onnx.training.data.example import Example, Split
from mbert_onnx.training.data.table import read_table

HUB = "nyu-mll/glue"
ENTAILMENT = ("entailment", "neutral", "contradiction")
TWO_WAY = ("entailment", "not_entailment")
BINARY = ("0", "1")
# Range of the similarity scores of STS-B.
LOWEST, HIGHEST = 0.0, 5.0
COLA_COLUMNS = ("source", "label", "judgement", "sentence")


@dataclass(frozen=True)
class GlueTask:
    """A task of GLUE.

    Args:
        name: Name on the hub.
        folder: Folder name in the benchmark's download.
        columns: Columns of the first text, and of the second if there is one, in the folder's files.
        label: Label column in these files.
        labels: Names of the labels, by number; None for a regression.
        metrics: Metrics of the task, the main one first.
        files: Possible file names of each split.
        submissions: Name of the submission file of each test split.
        hub_columns: Text columns on the hub, if they differ from `columns`.
        header: Columns of train and dev files that have no header line; test files have one.
        ragged: Whether the benchmark's files have malformed rows that are commonly skipped.
    """

    name: str
    folder: str
    columns: tuple[str, ...]
    label: str
    labels: tuple[str, ...] | None
    metrics: tuple[str, ...]
    files: dict[str, tuple[str, ...]]
    submissions: dict[str, str]
    hub_columns: tuple[str, ...] = ()
    header: tuple[str, ...] | None = None
    ragged: bool = False

    @property
    def validations(self) -> list[str]:
        """The validation splits: one, or two for MNLI."""
        return [split for split in self.files if split.startswith("validation")]


ORDINARY: dict[str, tuple[str, ...]] = {"train": ("train.tsv",), "validation": ("dev.tsv",), "test": ("test.tsv",)}

TASKS: dict[str, GlueTask] = {
    task.name: task
    for task in (
        GlueTask(
            name="cola",
            folder="CoLA",
            columns=("sentence",),
            label="label",
            labels=BINARY,
            metrics=("matthews_correlation",),
            files=ORDINARY,
            submissions={"test": "CoLA.tsv"},
            header=COLA_COLUMNS,
        ),
        GlueTask(
            name="sst2",
            folder="SST-2",
            columns=("sentence",),
            label="label",
            labels=BINARY,
            metrics=("accuracy",),
            files=ORDINARY,
            submissions={"test": "SST-2.tsv"},
        ),
        GlueTask(
            name="mrpc",
            folder="MRPC",
            columns=("#1 String", "#2 String"),
            label="Quality",
            labels=BINARY,
            metrics=("f1", "accuracy"),
            files={
                "train": ("train.tsv", "msr_paraphrase_train.txt"),
                "validation": ("dev.tsv",),
                "test": ("test.tsv", "msr_paraphrase_test.txt"),
            },
            submissions={"test": "MRPC.tsv"},
            hub_columns=("sentence1", "sentence2"),
        ),
        GlueTask(
            name="stsb",
            folder="STS-B",
            columns=("sentence1", "sentence2"),
            label="score",
            labels=None,
            metrics=("spearman", "pearson"),
            files=ORDINARY,
            submissions={"test": "STS-B.tsv"},
        ),
        GlueTask(
            name="qqp",
            folder="QQP",
            columns=("question1", "question2"),
            label="is_duplicate",
            labels=BINARY,
            metrics=("f1", "accuracy"),
            files=ORDINARY,
            submissions={"test": "QQP.tsv"},
            ragged=True,
        ),
        GlueTask(
            name="mnli",
            folder="MNLI",
            columns=("sentence1", "sentence2"),
            label="gold_label",
            labels=ENTAILMENT,
            metrics=("accuracy",),
            files={
                "train": ("train.tsv",),
                "validation_matched": ("dev_matched.tsv",),
                "validation_mismatched": ("dev_mismatched.tsv",),
                "test_matched": ("test_matched.tsv",),
                "test_mismatched": ("test_mismatched.tsv",),
            },
            submissions={"test_matched": "MNLI-m.tsv", "test_mismatched": "MNLI-mm.tsv"},
            hub_columns=("premise", "hypothesis"),
        ),
        GlueTask(
            name="qnli",
            folder="QNLI",
            columns=("question", "sentence"),
            label="label",
            labels=TWO_WAY,
            metrics=("accuracy",),
            files=ORDINARY,
            submissions={"test": "QNLI.tsv"},
        ),
        GlueTask(
            name="rte",
            folder="RTE",
            columns=("sentence1", "sentence2"),
            label="label",
            labels=TWO_WAY,
            metrics=("accuracy",),
            files=ORDINARY,
            submissions={"test": "RTE.tsv"},
        ),
        GlueTask(
            name="wnli",
            folder="WNLI",
            columns=("sentence1", "sentence2"),
            label="label",
            labels=BINARY,
            metrics=("accuracy",),
            files=ORDINARY,
            submissions={"test": "WNLI.tsv"},
        ),
    )
}

# The diagnostic set has no training set: an MNLI model answers it.
DIAGNOSTIC = GlueTask(
    name="ax",
    folder="diagnostic",
    columns=("sentence1", "sentence2"),
    label="label",
    labels=ENTAILMENT,
    metrics=("matthews_correlation",),
    files={"test": ("diagnostic.tsv", "ax.tsv", "test.tsv")},
    submissions={"test": "AX.tsv"},
    hub_columns=("premise", "hypothesis"),
)


def glue_task(name: str) -> GlueTask:
    """Returns a task by its name; case, `-` and `_` do not matter.

    Raises UsageError, which lists the tasks, for an unknown name.
    """
    key = name.lower().replace("-", "").replace("_", "")
    if key not in TASKS:
        raise UsageError(f"GLUE has no task {name!r}; its tasks are {', '.join(TASKS)}")
    return TASKS[key]


def read_glue(task: GlueTask, folder: Path, split: str) -> Split:
    """Reads a split of a task from the benchmark's folder: the one of all tasks (`glue_data`), or of this task.

    Raises DataError if the file is missing or malformed.
    """
    path = _file(task, folder, split)
    with_labels = not split.startswith("test")
    # CoLA's train and dev files have no header line; its test file has one.
    header = task.header if with_labels else None
    columns = (*task.columns, task.label) if with_labels else task.columns
    ragged: list[int] = []
    rows = read_table(path, columns, header=header, on_ragged=ragged.append if task.ragged else None)
    examples = list(_examples(task, path, rows, with_labels))
    if not examples:
        raise DataError(f"{path} has no examples; expected {task.folder}'s {split} set. Download it again.")
    notes = (f"{path}: {len(ragged)} rows have too few or too many columns and are skipped",) if ragged else ()
    return Split(split, examples, task.labels, notes)


def glue_from_hub(task: GlueTask, split: str, load: Callable[..., Any]) -> Split:
    """Reads a split of a task from the hub; `load` is `datasets.load_dataset`."""
    rows = load(HUB, task.name, split=split)
    columns = task.hub_columns or task.columns
    examples = [
        Example(
            id=str(row["idx"]),
            text=row[columns[0]],
            pair=row[columns[1]] if len(columns) > 1 else None,
            # Test sets of the hub have the label -1.
            label=None if row["label"] < 0 else float(row["label"]),
        )
        for row in rows
    ]
    return Split(split, examples, task.labels)


def _file(task: GlueTask, folder: Path, split: str) -> Path:
    if not folder.is_dir():
        raise DataError(
            f"{folder} is not a folder; expected GLUE's, with {task.folder}/{task.files['train'][0]} in it."
        )
    if split not in task.files:
        raise UsageError(f"{task.name} has no split {split!r}; it has {', '.join(task.files)}")
    names = task.files[split]
    candidates = [place / name for place in (folder / task.folder, folder) for name in names]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise DataError(f"{folder} has no {task.folder}/{' or '.join(names)}; expected GLUE's folder as downloaded.")
    return found


def _examples(
    task: GlueTask, path: Path, rows: Iterator[tuple[int, dict[str, Any]]], with_labels: bool
) -> Iterator[Example]:
    for count, (number, row) in enumerate(rows):
        texts = [str(row[column]).strip() for column in task.columns]
        where = f"{path}, line {number}"
        if not all(texts):
            raise DataError(f"{where} has an empty {task.columns[texts.index('')]}. Correct or remove the line.")
        label = label_of(row[task.label], task.labels, where) if with_labels else None
        yield Example(
            id=str(row.get("index", count)), text=texts[0], pair=texts[1] if len(texts) > 1 else None, label=label
        )


def label_of(value: str, labels: tuple[str, ...] | None, where: str) -> float:
    """Returns the number of a label, or the score. Raises DataError for an unknown label or an invalid score."""
    value = value.strip()
    if labels is not None:
        if value not in labels:
            raise DataError(f"{where} has the label {value!r}; expected one of {', '.join(labels)}. Correct it.")
        return float(labels.index(value))
    try:
        score = float(value)
    except ValueError:
        score = float("nan")
    if not LOWEST <= score <= HIGHEST:
        raise DataError(f"{where} has the score {value!r}; expected a number from {LOWEST:g} to {HIGHEST:g}.")
    return score
