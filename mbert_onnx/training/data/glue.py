"""GLUE's nine tasks and its diagnostic set: where their columns are, in the benchmark's own folders and on the hub.

Wang et al. 2018, arXiv 1804.07461. The folders are those of the benchmark's download (`CoLA/train.tsv`, …); on the hub
it is the dataset `nyu-mll/glue`, whose order of labels is used for the folders, too.
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
# What the similarity of two sentences is measured in.
LOWEST, HIGHEST = 0.0, 5.0
COLA_COLUMNS = ("source", "label", "judgement", "sentence")


@dataclass(frozen=True)
class GlueTask:
    """One task.

    Args:
        name: As the hub calls it.
        folder: As the benchmark's download calls it.
        columns: Of the first text, and of the second where there is one, in the folder's files.
        label: The column of the label there.
        labels: Their names, by number; None for a regression.
        metrics: What it is judged by, the first one first.
        files: For each split, the names that its file may have.
        submissions: For each test split, the file that the benchmark's server takes.
        hub_columns: Where the hub's names differ, those of `columns`.
        header: The files' columns where they have no line of names; not in test files.
        ragged: Whether some rows of the benchmark's own files have too few columns, and are left out by everyone.
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
        """The splits that the task is measured on: one, or two for MNLI."""
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

# No training set: it is answered by a model of MNLI.
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
    """A task by the hub's name or the benchmark's; case, `-` and `_` do not matter.

    Raises UsageError, which lists them, for any other name.
    """
    key = name.lower().replace("-", "").replace("_", "")
    if key not in TASKS:
        raise UsageError(f"GLUE has no task {name!r}; its tasks are {', '.join(TASKS)}")
    return TASKS[key]


def read_glue(task: GlueTask, folder: Path, split: str) -> Split:
    """A split of a task out of the benchmark's folder: of all tasks (`glue_data`), or of this one.

    Raises DataError where the file is missing, or not as the benchmark has it.
    """
    path = _file(task, folder, split)
    with_labels = not split.startswith("test")
    # CoLA's files have no line of names, but its test file has.
    header = task.header if with_labels else None
    columns = (*task.columns, task.label) if with_labels else task.columns
    ragged: list[int] = []
    rows = read_table(path, columns, header=header, on_ragged=ragged.append if task.ragged else None)
    examples = list(_examples(task, path, rows, with_labels))
    if not examples:
        raise DataError(f"{path} has no example; expected {task.folder}'s {split} set. Fetch it again.")
    notes = (f"{path}: {len(ragged)} rows have too few or too many columns, and are left out",) if ragged else ()
    return Split(split, examples, task.labels, notes)


def glue_from_hub(task: GlueTask, split: str, load: Callable[..., Any]) -> Split:
    """A split of a task from the hub; `load` is `datasets.load_dataset`."""
    rows = load(HUB, task.name, split=split)
    columns = task.hub_columns or task.columns
    examples = [
        Example(
            id=str(row["idx"]),
            text=row[columns[0]],
            pair=row[columns[1]] if len(columns) > 1 else None,
            # The hub's test sets have -1.
            label=None if row["label"] < 0 else float(row["label"]),
        )
        for row in rows
    ]
    return Split(split, examples, task.labels)


def _file(task: GlueTask, folder: Path, split: str) -> Path:
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; expected GLUE's, with {task.folder}/{task.files['train'][0]} in it.")
    if split not in task.files:
        raise UsageError(f"{task.name} has no split {split!r}; it has {', '.join(task.files)}")
    names = task.files[split]
    candidates = [place / name for place in (folder / task.folder, folder) for name in names]
    found = next((path for path in candidates if path.is_file()), None)
    if found is None:
        raise DataError(f"{folder} has no {task.folder}/{' or '.join(names)}; expected GLUE's folder as it is fetched.")
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
    """The number of a label, or the score; DataError for one that the task does not have."""
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
