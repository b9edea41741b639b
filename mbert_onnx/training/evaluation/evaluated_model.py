"""Models of an evaluation: any runtime, with rows of token ids as input and logits as output."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mbert_onnx.benchmark.models.builder import ModelBuilder
from mbert_onnx.bundles.inputs import inputs_of
from mbert_onnx.bundles.model_file import TextReader, check_ordinary
from mbert_onnx.bundles.reader import Bundle, find_text_file, is_bundle, read_bundle
from mbert_onnx.bundles.records import CONFIG, METADATA, TOKENIZER
from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.reference import is_reference
from mbert_onnx.runtime.jobs.batching import RowBatch, RowRunner
from mbert_onnx.text.encoder import Row, TextEncoder
from mbert_onnx.text.json_files import read_json
from mbert_onnx.text.labels import names_of
from mbert_onnx.text.sentence_embedding import MODULES, EmbeddingSettings, read_modules, settings_in
from mbert_onnx.text.tasks import FEATURE_EXTRACTION, SENTENCE_SIMILARITY, Task, task_of_graph
from mbert_onnx.text.tokenizer import padding_in_config
from perf.providers import resolve
from perf.sessions.opener import Opener
from perf.sessions.session import Session
from perf.sessions.subject import Subject

TORCH = "torch"

# Smallest time between two progress lines in seconds; lines are printed per tenth of the rows.
PROGRESS_SECONDS = 5.0


@dataclass(frozen=True)
class EvaluatedModel:
    """An open model.

    Args:
        name: Name given by the user.
        task: Its task.
        session: Its session.
        encoder: Its tokenizer.
        labels: Names of its labels, by number; None if its config has none.
        config: Its config.
        embedding: Its settings of sentence embeddings; None without any.
        runner: Runs rows in batches of similar length.
        report: Progress callback, called with a line.
    """

    name: str
    task: Task
    session: Session
    encoder: TextEncoder
    labels: tuple[str, ...] | None
    config: Mapping[str, Any]
    embedding: EmbeddingSettings | None
    runner: RowRunner
    report: Callable[[str], None]

    def run(self, rows: Sequence[Row], *outputs: str) -> Iterator[tuple[int, list[np.ndarray]]]:
        """Yields each row's number and its part of each output, in the order of the batches."""
        for batch in self.batches(rows, *outputs):
            yield from batch.rows()

    def batches(self, rows: Sequence[Row], *outputs: str) -> Iterator[RowBatch]:
        """Yields the outputs of each run, and reports progress."""
        reported, done, tenth = time.monotonic(), 0, 0
        for batch in self.runner.batches(rows, outputs):
            yield batch
            done += len(batch.numbers)
            if done * 10 // len(rows) > tenth and time.monotonic() - reported > PROGRESS_SECONDS:
                reported, tenth = time.monotonic(), done * 10 // len(rows)
                self.report(f"{self.name}: {done:,} of {len(rows):,} rows")


class _NamedOutputs:
    """A session of any runtime that returns the outputs that are asked for, as onnxruntime's does."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._names = [output.name for output in session.get_outputs()]

    def run(self, names: Sequence[str], feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        values = dict(zip(self._names, self._session.run(None, feed), strict=True))
        return [values[name] for name in names]


def _settings_of(bundle: Bundle) -> EmbeddingSettings | None:
    record = (bundle.metadata or {}).get("sentence_embedding")
    return None if record is None else settings_in(record, bundle.folder / METADATA)


class ModelOpener:
    """Opens the models of an evaluation.

    Args:
        stack: Closes sessions and temporary files.
        task: Task that the models must have; for sentence similarity a bundle may have feature extraction, too.
        max_length: Largest number of tokens in a row; None for the model's own limit.
        threads: Threads per model.
        kernels: `auto`, `native` or `portable`, as in `bench`.
        seed: Random seed of the built-in random models.
        progress: Called with a line at the start of each stage.
    """

    def __init__(
        self,
        stack: ExitStack,
        *,
        task: Task,
        max_length: int | None,
        threads: int,
        kernels: str,
        seed: int,
        progress: Callable[[str], None],
    ) -> None:
        self._task, self._max_length, self._threads, self._seed = task, max_length, threads, seed
        self._builder = ModelBuilder(
            stack, task=task.name, seed=seed, seq_lens=None, batch=1, kernels=kernels, progress=progress
        )
        self._progress = progress
        self._opener = stack.enter_context(Opener(progress))

    def open(self, name: str) -> EvaluatedModel:
        """Opens a model by name: a checkpoint, or `torch:CHECKPOINT`, in torch; all other names as in `bench`.

        Raises UsageError for a model of another task, BundleError for one without a tokenizer, and any error of
        `bench`.
        """
        kind, colon, inner = name.partition(":")
        if colon and kind == TORCH and not Path(name).exists():
            return self._in_torch(name, inner)
        path = Path(name)
        is_checkpoint = any((path / file).is_file() for file in (CONFIG, MODULES)) and not is_bundle(path)
        if is_reference(name) or is_checkpoint:
            return self._in_torch(name, name)
        return self._in_onnxruntime(name)

    def _in_onnxruntime(self, name: str) -> EvaluatedModel:
        if (text_file := find_text_file(name)) is not None:
            check_ordinary(text_file, "evaluate")
        built = self._builder.model(name)
        subject = built.subject
        try:
            bundle = read_bundle(name if Path(name).exists() else subject.path)  # the subject's file may be a copy
        except BundleError:
            # A file that another tool made has no config beside it; its tokenizer is that of what it was made from.
            if Path(name).exists() or (reader := built.find_reader()) is None:
                raise
            return self._made(name, subject, reader)
        if bundle.tokenizer_path is None:
            raise BundleError(
                f"{name} has no tokenizer.json, which texts need; put the checkpoint's beside config.json"
            )
        session = self._opener.open(subject, subject.path, resolve("cpu"), self._threads)
        tokenizer, settings = bundle.tokenizer_path, _settings_of(bundle)
        return self._evaluated_model(name, session, bundle.task, tokenizer, bundle.config, settings)

    def _made(self, name: str, subject: Subject, reader: TextReader) -> EvaluatedModel:
        """Returns the model in a file that a tool made of a bundle or a checkpoint, whose folder has the tokenizer."""
        folder = reader.tokenizer.parent
        config: dict[str, Any] = {}
        settings = None
        if is_bundle(folder):
            bundle = read_bundle(folder)
            config, settings = bundle.config, _settings_of(bundle)
        elif (folder / CONFIG).is_file():
            config = read_json(folder / CONFIG)
            modules = read_modules(name, folder)
            settings = None if modules is None else modules.embedding_settings(reader.max_positions)[0]
        config = {**config, "max_position_embeddings": reader.max_positions, "vocab_size": reader.vocab_size}
        session = self._opener.open(subject, subject.path, resolve("cpu"), self._threads)
        task = task_of_graph(reader.task, [output.name for output in session.get_outputs()]) or reader.task
        return self._evaluated_model(name, session, task, reader.tokenizer, config, settings)

    def _in_torch(self, name: str, checkpoint: str) -> EvaluatedModel:
        from mbert_onnx.training.evaluation.torch_session import open_in_torch

        opened = open_in_torch(checkpoint, self._task, self._threads, self._seed)
        if not (opened.folder / TOKENIZER).is_file():
            raise BundleError(f"{name} has no tokenizer.json, which texts need; put one beside config.json")
        tokenizer = opened.folder / TOKENIZER
        return self._evaluated_model(name, opened.session, opened.task, tokenizer, opened.config, opened.embedding)

    def _evaluated_model(
        self,
        name: str,
        session: Session,
        task: Task,
        tokenizer: Path,
        config: dict[str, Any],
        embedding: EmbeddingSettings | None,
    ) -> EvaluatedModel:
        if task != self._task and {task, self._task} != {SENTENCE_SIMILARITY, FEATURE_EXTRACTION}:
            raise UsageError(f"{name} has the task {task.name}; expected {self._task.name}. Give a model for that task")
        inputs = inputs_of(session, task, name)
        positions = inputs.sequence or int(config["max_position_embeddings"])
        encoder = TextEncoder(
            tokenizer,
            min(positions, self._max_length or positions),
            vocab_size=config.get("vocab_size"),
            segments=config.get("type_vocab_size"),
        )
        names = config.get("id2label")
        labels = tuple(names_of(names, len(names)).values()) if isinstance(names, dict) and names else None
        padding = encoder.padding_id
        padding = padding_in_config(config.get("pad_token_id")) if padding is None else padding
        runner = RowRunner(_NamedOutputs(session), task, inputs, padding, name)
        return EvaluatedModel(name, task, session, encoder, labels, config, embedding, runner, self._progress)
