"""`bench --texts`: times models on real texts, at their own lengths and padded to one length."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from mbert_onnx.benchmark.models.builder import BuiltModel, ModelBuilder
from mbert_onnx.benchmark.models.prefixes import parse
from mbert_onnx.benchmark.options import checked_names, kernels_on
from mbert_onnx.bundles.model_file import TextReader, check_ordinary
from mbert_onnx.bundles.reader import find_text_file
from mbert_onnx.errors import UsageError
from mbert_onnx.runtime.native_kernels import AUTO, library_for
from mbert_onnx.runtime.size_limits import MAX_SEQ_LEN, MAX_TEXTS, check_threads
from mbert_onnx.text.calibration_text import BENCHMARK, encode, read_first
from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.text.text_files import CalibrationText, read_text_file
from perf.providers import resolve
from perf.sessions.inputs import as_declared, declared_inputs, fixed_seq_len
from perf.sessions.opener import Opener
from perf.sessions.subject import Subject
from perf.sessions.types import Progress, no_progress
from perf.timing.texts.padding import Reading, TextsReport, time_texts

# The default length, if all models take it: SQuAD's usual window.
SEQ_LEN = 384


def bench_texts(
    models: str | Path | Sequence[str | Path],
    texts: str | Path,
    *,
    first: int = 200,
    seq_len: int | None = None,
    provider: str = "cpu",
    threads: int = 1,
    task: str | None = None,
    seed: int = 0,
    kernels: str = AUTO,
    json: str | Path | None = None,
    progress: Progress | None = None,
) -> TextsReport:
    """Times models on the first texts of a file: at their own lengths, where a model takes any, and padded to one.

    Args:
        models: The models, as `bench` takes them. The others are compared with the first.
        texts: A file in a format of `--calibrate`; for question answering, questions with contexts.
        first: The number of its texts to use, from its start.
        seq_len: Length in tokens: longer texts are cut to it, and padded ones are padded to it. Default: 384, or the
            largest length that all models take.
        provider: The execution provider, as in `bench`.
        threads: The number of threads.
        task: The task that a checkpoint is exported for, as in `bench`.
        seed: The seed of random weights, and of the order of models.
        kernels: `auto`, `native` or `portable`, as in `bench`.
        json: The file to which the report is written.
        progress: Called with a line at the start of each stage.

    Raises:
        UsageError: a model without a tokenizer or for other lengths, or an option out of range.
        CalibrationError: a file without texts.
        MbertError: as `bench` does.
    """
    for what, value, most in (("first", first, MAX_TEXTS), ("seq-len", seq_len, MAX_SEQ_LEN)):
        if value is not None and not 1 <= value <= most:
            raise UsageError(f"--{what} is {value}; expected 1 to {most:,}")
    check_threads(threads)
    names = checked_names(models, json=json)
    read_text_file(Path(texts), "--texts")  # before minutes are spent on models
    kernels = kernels_on(provider, kernels)
    library_for(kernels)
    with ExitStack() as stack:
        builder = ModelBuilder(
            stack, task=task, seed=seed, seq_lens=[seq_len or SEQ_LEN], batch=1, kernels=kernels, progress=progress
        )
        opener = stack.enter_context(Opener(progress or no_progress))
        for name in names:
            if (file := find_text_file(parse(name).inner)) is not None:
                check_ordinary(file, "bench --texts")
        built = [(model.subject, reader_of(model)) for model in map(builder.model, names)]
        length = seq_len or min(SEQ_LEN, *(reader.max_positions for _, reader in built))
        readings = [
            reading
            for subject, reader in built
            for reading in _readings(subject, reader, opener, Path(texts), first, length, provider, threads)
        ]
        report = time_texts(
            readings, source=Path(texts).name, threads=threads, seed=seed, progress=progress or no_progress
        )
    if json is not None:
        report.write_json(Path(json))
    return report


def reader_of(model: BuiltModel) -> TextReader:
    """Returns the reader of texts for a model. Raises UsageError for one without a tokenizer."""
    reader = model.find_reader()
    if reader is None:
        raise UsageError(f"{model.subject.name} has no tokenizer; expected a bundle, or a checkpoint that has one")
    return reader


def _readings(
    subject: Subject,
    reader: TextReader,
    opener: Opener,
    path: Path,
    first: int,
    seq_len: int,
    provider: str,
    threads: int,
) -> list[Reading]:
    """Returns a model's two readings, at the texts' own lengths and padded; only the latter for fixed shapes."""
    if seq_len > reader.max_positions:
        raise UsageError(f"--seq-len is {seq_len}; {subject.name} takes at most {reader.max_positions} tokens")
    session = opener.open(subject, subject.file(seq_len), resolve(provider), threads)
    declared = declared_inputs(session)
    fixed = fixed_seq_len(declared)
    if fixed not in (None, seq_len):
        raise UsageError(f"{subject.name} takes {fixed} tokens, not {seq_len}: pass --seq-len {fixed}")
    texts = read_first(path, reader.task, first)
    encoder = TextEncoder(reader.tokenizer, seq_len, vocab_size=reader.vocab_size, segments=reader.segments)
    variants: dict[str, int | None] = {"own lengths": None} if fixed is None else {}
    variants[f"padded to {seq_len}"] = seq_len

    def feeds(texts: Sequence[CalibrationText], length: int | None) -> list[dict[str, np.ndarray]]:
        found = encode(texts, encoder, reader.task, seq_len=length, max_positions=seq_len, choices=None, kind=BENCHMARK)
        return [as_declared(subject.name, feed, declared) for feed in found.feeds]

    return [Reading(f"{subject.name}, {way}", session, feeds(texts, length)) for way, length in variants.items()]
