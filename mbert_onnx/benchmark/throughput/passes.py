"""A pass: every text of a file is read, tokenized, batched, answered and written, by the code of `predict`."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import pyarrow as pa

from mbert_onnx.benchmark.throughput.subject_model import SubjectModel
from mbert_onnx.prediction.predictor import Predictor
from mbert_onnx.prediction.reading.columns import ColumnNames, count_arguments, find_layout
from mbert_onnx.prediction.reading.delimited import header_of
from mbert_onnx.prediction.reading.reader import read
from mbert_onnx.prediction.reading.sources import find_sources
from mbert_onnx.prediction.settings import Settings
from mbert_onnx.prediction.types import result_of
from mbert_onnx.prediction.writing.formats import open_writer, output_format
from mbert_onnx.runtime.jobs.statistics import BatchStatistics
from mbert_onnx.text.tasks import (
    MULTIPLE_CHOICE,
    NEXT_SENTENCE_PREDICTION,
    QUESTION_ANSWERING,
    TEXT_CLASSIFICATION,
    Task,
)
from mbert_onnx.text.text_files import CalibrationText
from perf.timing.texts.throughput import Stages, WorkerPass

# Columns of the files that the passes read.
FIRST, SECOND = "first_text", "second_text"


def write_texts(path: Path, texts: Sequence[CalibrationText]) -> None:
    """Writes texts as the CSV file that a pass reads, with a second column where all of them are pairs."""
    has_pairs = all(text.pair is not None for text in texts)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([FIRST, SECOND] if has_pairs else [FIRST])
        writer.writerows([text.text, text.pair] if has_pairs else [text.text] for text in texts)


def pass_of(model: SubjectModel, texts: Path, output: Path) -> Callable[[], WorkerPass]:
    """Returns a function that makes one pass over the texts of a file of `write_texts`, and writes their answers.

    Raises what `predict` raises.
    """
    sources = find_sources([texts])
    names = _columns(model.task, has_pairs=SECOND in header_of(sources[0]))
    predictor = Predictor(Settings(str(model.bundle.model_path), count_arguments(model.task, names)), model)
    added = predictor.columns.schema
    layout = find_layout(sources, model.task, names, added.names, keep_json=False)
    assert layout.schema is not None
    schema = pa.schema([*layout.schema, *added])
    form = output_format(output.name)

    def run() -> WorkerPass:
        statistics = BatchStatistics()
        sent = model.sender.sending
        reading = writing = 0.0
        begin = perf_counter()
        with output.open("wb") as stream:
            writer = open_writer(form, stream, schema, is_first=True)
            chunks = read(sources, layout)
            while True:
                start = perf_counter()
                chunk = next(chunks, None)
                reading += perf_counter() - start
                if chunk is None:
                    break
                answers = predictor.answers(chunk.arguments, statistics)
                start = perf_counter()
                writer.write(result_of(chunk, answers))
                writing += perf_counter() - start
            start = perf_counter()
            writer.close()
            writing += perf_counter() - start
        seconds = perf_counter() - begin
        sent = model.sender.sending - sent
        stages = Stages(
            reading=reading,
            tokenizing=statistics.tokenizing,
            batching=statistics.batching,
            model=statistics.model - sent,
            answers=statistics.finishing,
            writing=writing,
        )
        return WorkerPass(statistics.texts, statistics.tokens, statistics.padded_tokens, seconds - sent, stages)

    return run


def _columns(task: Task, *, has_pairs: bool) -> ColumnNames:
    """Returns the columns of a task's arguments."""
    second = SECOND if has_pairs else FIRST
    if task is QUESTION_ANSWERING:
        return ColumnNames(question=FIRST, context=second)
    if task is MULTIPLE_CHOICE:
        return ColumnNames(text=FIRST, choice=(second, second))
    if task is NEXT_SENTENCE_PREDICTION or (task is TEXT_CLASSIFICATION and has_pairs):
        return ColumnNames(text=FIRST, pair=second)
    return ColumnNames(text=FIRST)
