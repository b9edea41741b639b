"""`bench --throughput`: texts per second of models, numbers of tokens per run, and numbers of worker processes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

from mbert_onnx.benchmark.models.builder import BuiltModel, ModelBuilder
from mbert_onnx.benchmark.models.prefixes import parse
from mbert_onnx.benchmark.options import checked_names, kernels_on
from mbert_onnx.benchmark.texts import reader_of
from mbert_onnx.benchmark.throughput.passes import write_texts
from mbert_onnx.benchmark.throughput.worker import Worker, WorkerModel, ask_all
from mbert_onnx.bundles.model_file import TextReader, check_ordinary
from mbert_onnx.bundles.reader import find_text_file
from mbert_onnx.errors import UsageError
from mbert_onnx.runtime.jobs.batching import TOKENS_PER_RUN
from mbert_onnx.runtime.native_kernels import AUTO, library_for
from mbert_onnx.runtime.size_limits import MAX_SEQ_LEN, MAX_TEXTS, check_threads
from mbert_onnx.text.calibration_text import read_first
from mbert_onnx.text.tasks import Task
from mbert_onnx.text.text_files import CalibrationText, read_text_file
from perf.sessions.types import Progress, no_progress
from perf.timing.texts.throughput import Configuration, Pass, ThroughputReport, WorkerPass, time_throughput

# Files of fixed length are built for this one, SQuAD's usual window, unless --seq-len names another.
SEQ_LEN = 384
MAX_WORKERS = 256
MAX_TOKENS_PER_RUN = 2**20
DEPENDS = "its answers depend on the other texts of a run; one text in each run is --run-tokens 1"


def bench_throughput(
    models: str | Path | Sequence[str | Path],
    texts: str | Path,
    *,
    first: int = 1000,
    run_tokens: Sequence[int] | None = None,
    workers: Sequence[int] = (1,),
    threads: int = 1,
    seq_len: int | None = None,
    provider: str = "cpu",
    task: str | None = None,
    seed: int = 0,
    kernels: str = AUTO,
    json: str | Path | None = None,
    progress: Progress | None = None,
) -> ThroughputReport:
    """Measures how many texts of a file models read, answer and write in a second.

    All models have the same tokenizer code, batches and output, which are those of `predict`, so that they differ by
    their session alone. Each worker is a process of its own with one session.

    Args:
        models: The models, as `bench` takes them, with one task. Configurations are compared with the first.
        texts: A file in a format of `--calibrate`; for question answering, questions with contexts.
        first: The number of its texts to use, from its start.
        run_tokens: Numbers of padded tokens of a run, each of which is timed; default: that of `predict`.
        workers: Numbers of worker processes, each of which is timed.
        threads: Threads of each worker's session.
        seq_len: Length in tokens of models of fixed length.
        provider: The execution provider, as in `bench`.
        task: The task that a checkpoint is exported for, as in `bench`.
        seed: The seed of random weights, and of the order of models.
        kernels: `auto`, `native` or `portable`, as in `bench`.
        json: The file to which the report is written.
        progress: Called with a line at the start of each stage.

    Raises:
        UsageError: a model without a tokenizer or of another task, or an option out of range.
        CalibrationError: a file without texts.
        MbertError: as `bench` does.
    """
    progress = progress or no_progress
    run_tokens = run_tokens or (TOKENS_PER_RUN,)
    names = _checked(models, first, run_tokens, workers, threads, seq_len, json)
    read_text_file(Path(texts), "--texts")  # before minutes are spent on models
    kernels = kernels_on(provider, kernels)
    library_for(kernels)
    with ExitStack() as stack:
        builder = ModelBuilder(
            stack,
            task=task,
            seed=seed,
            seq_lens=[seq_len or SEQ_LEN],
            batch=1,
            kernels=kernels,
            progress=progress,
        )
        built = [(model, reader_of(model)) for model in map(builder.model, names)]
        found = read_first(Path(texts), _common_task(built), first)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mbert-onnx-")))
        shares = {count: _write_shares(folder, found, min(count, len(found))) for count in sorted(set(workers))}
        passes: dict[Configuration, Pass] = {}
        groups: dict[str, _Group] = {}
        for model, reader in built:
            name = model.subject.name
            progress(f"{name}: loading")
            file = model.subject.file(seq_len or SEQ_LEN)
            own = [
                stack.enter_context(Worker(WorkerModel(model.subject, file, reader, provider, threads, place)))
                for place in _folders(folder / str(len(groups)), max(map(len, shares.values())))
            ]
            group = groups[name] = _Group(own, shares)
            for tokens, count in product(run_tokens, shares):
                configuration = Configuration(name, tokens, count)
                group.prepare(tokens, count)
                passes[configuration] = partial(group.make_pass, tokens, count)
        report = time_throughput(
            passes,
            memory=lambda one: groups[one.model].memory(one.workers),
            notes={name: [DEPENDS] for name, group in groups.items() if group.depends_on_batch},
            source=Path(texts).name,
            texts=len(found),
            threads=threads,
            seed=seed,
            progress=progress,
        )
    if json is not None:
        report.write_json(Path(json))
    return report


@dataclass
class _Group:
    """The workers of one model, and the files with their shares of the texts by number of workers."""

    workers: list[Worker]
    shares: dict[int, list[Path]]
    depends_on_batch: bool = False

    def prepare(self, tokens: int, count: int) -> None:
        depends = ask_all(*self._arguments("prepare", tokens, count))
        self.depends_on_batch = self.depends_on_batch or any(depends)

    def make_pass(self, tokens: int, count: int) -> list[WorkerPass]:
        return ask_all(*self._arguments("run", tokens, count))

    def memory(self, count: int) -> int:
        return sum(ask_all(self.workers[: len(self.shares[count])], "memory"))

    def _arguments(self, request: str, tokens: int, count: int) -> tuple[list[Worker], str, list[int], list[Path]]:
        files = self.shares[count]
        return self.workers[: len(files)], request, [tokens] * len(files), files


def _checked(
    models: str | Path | Sequence[str | Path],
    first: int,
    run_tokens: Sequence[int],
    workers: Sequence[int],
    threads: int,
    seq_len: int | None,
    json: str | Path | None,
) -> list[str]:
    """Returns the models' names. Raises UsageError for an option out of range, and for a text file as a model."""
    limits = (
        ("first", [first], MAX_TEXTS),
        ("run-tokens", run_tokens, MAX_TOKENS_PER_RUN),
        ("workers", workers, MAX_WORKERS),
        ("seq-len", [] if seq_len is None else [seq_len], MAX_SEQ_LEN),
    )
    for what, values, most in limits:
        for value in values:
            if not 1 <= value <= most:
                raise UsageError(f"--{what} is {value}; expected 1 to {most:,}")
    check_threads(threads)
    names = checked_names(models, json=json)
    for name in names:
        if (file := find_text_file(parse(name).inner)) is not None:
            check_ordinary(file, "bench --throughput")
    if len(set(names)) < len(names):
        raise UsageError(
            f"{next(name for name in names if names.count(name) > 1)} is given twice; give each model once"
        )
    return names


def _common_task(built: Sequence[tuple[BuiltModel, TextReader]]) -> Task:
    (first, reader), *others = built
    for model, other in others:
        if other.task is not reader.task:
            raise UsageError(
                f"{first.subject.name} is for {reader.task.name}, and {model.subject.name} for {other.task.name}; "
                "expected models of one task, which read the same texts"
            )
    return reader.task


def _write_shares(folder: Path, texts: Sequence[CalibrationText], count: int) -> list[Path]:
    """Writes every `count`-th text into each of `count` files."""
    files = [folder / f"texts-{number + 1}-of-{count}.csv" for number in range(count)]
    for number, file in enumerate(files):
        write_texts(file, texts[number::count])
    return files


def _folders(base: Path, count: int) -> list[Path]:
    folders = [base / str(number) for number in range(count)]
    for folder in folders:
        folder.mkdir(parents=True)
    return folders
