"""`predict`: answers the rows of whole files, and continues where a killed run ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, islice
from pathlib import Path

import pyarrow as pa

from mbert_onnx.errors import DataError, UsageError
from mbert_onnx.prediction.engines.choice import LOCAL, RAY, check_engine, cluster_engine
from mbert_onnx.prediction.engines.cores import usable_cores
from mbert_onnx.prediction.engines.engine import Engine, InProcess, Input
from mbert_onnx.prediction.engines.local import LocalWorkers
from mbert_onnx.prediction.engines.trial import choose_workers
from mbert_onnx.prediction.jobs.folder import ERRORS, PARTS
from mbert_onnx.prediction.jobs.identity import identity
from mbert_onnx.prediction.jobs.job import Job
from mbert_onnx.prediction.predictor import Predictor
from mbert_onnx.prediction.reading.columns import ColumnNames, count_arguments, find_layout
from mbert_onnx.prediction.reading.sources import JSONL, Source, find_sources
from mbert_onnx.prediction.report import PredictionReport, Progress
from mbert_onnx.prediction.settings import Settings, check_options
from mbert_onnx.prediction.storage import Location, locate
from mbert_onnx.prediction.types import Result
from mbert_onnx.prediction.writing.formats import output_format
from mbert_onnx.reference import is_reference
from mbert_onnx.runtime.loading import load
from mbert_onnx.runtime.size_limits import check_threads

# The number of workers that a trial finds.
AUTO = "auto"
# A mistyped number would start as many processes.
MAX_WORKERS = 1024


def _no_notes(_: str) -> None:
    """No-op callback."""


def predict(
    bundle: str | Path,
    inputs: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    text: str | None = None,
    pair: str | None = None,
    question: str | None = None,
    context: str | None = None,
    choice: Sequence[str] = (),
    input_format: str | None = None,
    all_scores: bool = False,
    top_k: int | None = None,
    max_answer_len: int | None = None,
    handle_impossible_answer: bool = False,
    aggregation: str | None = None,
    normalize: bool = False,
    prefix: str = "",
    engine: str = LOCAL,
    address: str | None = None,
    workers: int | str | None = None,
    threads: int | None = None,
    kernels: str = "auto",
    strict: bool = False,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
    notes: Callable[[str], None] = _no_notes,
) -> PredictionReport:
    """Answers every row of one or more files, and writes the rows with their answers to one file.

    A run that was killed continues after its finished parts, which are in the folder `OUTPUT.parts`, when it is called
    again with the same inputs, model and options. Each row is written once, in the order of the input. Rows that cannot
    be processed are in `OUTPUT.errors.jsonl`, with their line and the reason.

    Args:
        bundle: A bundle, one of its `.onnx` files, a text file, or `reference`.
        inputs: Files or folders; `.csv`, `.tsv`, `.jsonl`, `.parquet` or `.txt`, those of text also gzipped. Local
            paths, or URIs of pyarrow's file systems such as `s3://`.
        output: The file to write, of one of these formats except lines; also a URI.
        text: The column with the text, or the prompt; default: `text`, or the only column.
        pair: The column with the second text, for text-classification and next-sentence-prediction; default of the
            latter: `pair`.
        question: The column with the question, for question-answering; default: `question`.
        context: The column with its context; default: `context`.
        choice: The columns with the choices, for multiple-choice.
        input_format: csv, tsv, jsonl, parquet or txt for inputs with other names.
        all_scores: Adds a column `score_LABEL` for each label; for multiple-choice a column `scores` with a list.
        top_k: fill-mask: how many tokens there are for each mask.
        max_answer_len: question-answering: the longest answer in tokens.
        handle_impossible_answer: question-answering: whether an answer may be empty.
        aggregation: token-classification: as in `Model.tag`.
        normalize: feature-extraction: whether vectors have length 1.
        prefix: The beginning of the names of output columns.
        engine: `local` answers in processes of this machine, `ray` on the nodes of a Ray cluster, to which the model is
            sent. The output is the same.
        address: HOST:PORT of the Ray cluster's head node; default: RAY_ADDRESS, or the cluster that this machine is in,
            or else a new one of this machine alone.
        workers: How many processes answer; default: one for each core. `auto` tries for two seconds whether one process
            with all threads is faster. An input of one chunk, up to 1,024 rows, is answered in this process.
        threads: How many threads the session of each process uses; default: 1.
        kernels: As in `load`.
        strict: Stops at the first row that cannot be processed.
        overwrite: Replaces a finished output, and discards an unfinished job that differs.
        progress: Called after each chunk of rows.
        notes: Called with a line about what is not as usual, such as the parts of an earlier run.

    Raises:
        UsageError: options that the task does not have, a column that is not there (`ColumnError`), and an output that
            exists, or is among the inputs.
        DataError: inputs that cannot be read, an output that cannot be written, a bad row with `strict`.
        BundleError: a bundle that cannot be loaded, or has no tokenizer.
    """
    since = time.monotonic()
    given = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    sources = find_sources(given, input_format)
    target = locate(output)
    form = output_format(target.name)
    _check_apart(target, given, sources)
    columns = ColumnNames(text, pair, question, context, tuple(choice))
    check_engine(engine, address, workers)
    count, threads = _parallelism(workers, threads)
    model = load(bundle, threads=threads, kernels=kernels)
    options = {
        "top_k": top_k,
        "max_answer_len": max_answer_len,
        "handle_impossible_answer": handle_impossible_answer or None,
        "aggregation": aggregation,
        "normalize": normalize or None,
    }
    check_options(model.task, options, all_scores=all_scores)
    settings = Settings(
        bundle=str(bundle) if is_reference(bundle) else str(Path(bundle).absolute()),
        arguments=count_arguments(model.task, columns),
        threads=threads,
        kernels=kernels,
        options={name: value for name, value in options.items() if value is not None},
        all_scores=all_scores,
        prefix=prefix,
    )
    predictor = Predictor(settings, model)
    added = predictor.columns.schema
    layout = find_layout(sources, model.task, columns, added.names, keep_json=form.name == JSONL)
    schema = None if layout.schema is None else pa.schema([*layout.schema, *added])
    record = identity(model.bundle, settings, sources, layout)
    job = Job(target, form, schema, record, overwrite=overwrite)
    try:
        with job:
            before = _rows_done(job)
            if before:
                notes(f"continuing after {before:,} rows in {job.output.name}{PARTS}")
            if not (job.is_complete or job.is_finished):
                rows = Input(sources, layout, job.position)
                opened = (
                    cluster_engine(settings, workers, address, notes)
                    if engine == RAY
                    else _engine(predictor, settings, count, rows, notes)
                )
                with opened as answering:
                    del predictor, model, opened  # workers have their own
                    _write(job, answering.results(rows), sources, strict=strict, progress=progress)
            if not job.is_finished:
                job.finish()
    except BaseException:
        if job.parts:
            notes(f"{_rows_done(job):,} rows are in {job.output.name}{PARTS}; the same command continues after them")
        raise
    bad = sum(part.bad for part in job.parts)
    return PredictionReport(
        output=job.output.name,
        rows=sum(part.rows for part in job.parts),
        bad=bad,
        errors=job.errors.name if bad else None,
        truncated=sum(part.truncated for part in job.parts),
        done_before=before,
        tokens=sum(part.tokens for part in job.parts),
        seconds=time.monotonic() - since,
    )


def _parallelism(workers: int | str | None, threads: int | None) -> tuple[int | str, int]:
    """Returns how many processes answer, or AUTO, and how many threads each has. Raises UsageError for other values."""
    if workers == AUTO:
        if threads is not None:
            raise UsageError("--threads is not for --workers auto, which chooses them; leave one of them out")
        return AUTO, 1
    if workers is not None and not (isinstance(workers, int) and 1 <= workers <= MAX_WORKERS):
        shown = workers if str(workers).strip() else repr(workers)
        raise UsageError(f"--workers is {shown}; expected 1 to {MAX_WORKERS:,}, or {AUTO}")
    if threads is not None:
        check_threads(threads)
    return workers or usable_cores(), threads or 1


def _engine(
    predictor: Predictor, settings: Settings, workers: int | str, rows: Input, notes: Callable[[str], None]
) -> Engine:
    """Returns the engine for some rows: for a chunk alone, starting processes would take longer than its answers."""
    first = list(islice(rows.chunks(), 2))
    if len(first) > 1 and workers == AUTO:
        workers, threads = choose_workers(settings, usable_cores(), first[0], notes)
        settings = replace(settings, threads=threads)
    if len(first) < 2 or (workers == 1 and settings.threads == predictor.settings.threads):
        return InProcess(predictor)
    return LocalWorkers(settings, int(workers), notes)


def _rows_done(job: Job) -> int:
    return sum(part.rows + part.bad for part in job.parts)


def _write(
    job: Job,
    results: Iterator[Result],
    sources: Sequence[Source],
    *,
    strict: bool,
    progress: Callable[[Progress], None] | None,
) -> None:
    """Writes results as they come, and reports the progress."""
    since = time.monotonic()
    before = rows = _rows_done(job)
    bad = sum(part.bad for part in job.parts)
    tokens = 0
    ends = [0, *accumulate(source.size for source in sources)]
    total = max(ends[-1], 1)
    share_before = (ends[job.position.source] + job.parts[-1].bytes_read) / total if job.parts else 0.0
    for result in results:
        if strict and result.bad:
            row = result.bad[0]
            reason = row.reason.rstrip(".")
            raise DataError(
                f"{row.file}, line {row.line}: {reason}; correct it and pass --overwrite, or give the same "
                "command without --strict, which continues"
            )
        job.write(result)
        rows += result.rows.num_rows + len(result.bad)
        bad += len(result.bad)
        tokens += result.tokens
        if progress is not None:
            share = min((ends[result.end.source] + result.bytes_read) / total, 1.0)
            progress(Progress(rows, before, bad, tokens, share, share_before, time.monotonic() - since))


def _check_apart(output: Location, inputs: Sequence[str | Path], sources: Sequence[Source]) -> None:
    """Raises UsageError for an output that is an input, or in a folder of inputs: it would be read as one of them.

    The list of bad rows and the folder of parts, which are beside the output, must not be inputs either.
    """
    place = output.identity
    errors, parts = output.beside(ERRORS), output.beside(PARTS)
    for source in sources:
        read = source.location().identity
        if read == place:
            raise UsageError(f"--output is {output.name}, which is an input; choose another path")
        if read == errors.identity or read.startswith(f"{parts.identity}/"):
            taken = errors if read == errors.identity else parts
            raise UsageError(
                f"{source.name} is an input, and {taken.name} is written beside the --output {output.name}; choose "
                "another path"
            )
    for one in inputs:
        folder = locate(one)
        if place.startswith(f"{folder.identity.rstrip('/')}/") and folder.is_folder():
            raise UsageError(
                f"--output is {output.name}, inside the input folder {folder.name}, where the next run would read it "
                "as an input; choose a path outside of it"
            )
