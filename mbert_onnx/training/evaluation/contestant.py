"""A model that takes part: whatever runs it, rows of token ids go in and logits come out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mbert_onnx.benchmark.models.builder import ModelBuilder
from mbert_onnx.bundles.inputs import inputs_of
from mbert_onnx.bundles.reader import CONFIG, TOKENIZER, is_bundle, read_bundle
from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.reference import is_reference
from mbert_onnx.runtime.batching import RowRunner
from mbert_onnx.text.encoder import Row, TextEncoder
from mbert_onnx.text.tasks import Task
from perf.providers import resolve
from perf.sessions.opener import Opener
from perf.sessions.session import Session

TORCH = "torch"

# Seconds. A line for each tenth of the rows is enough, and none for what is done at once.
TELL_EVERY = 5.0


@dataclass(frozen=True)
class Contestant:
    """A model, opened.

    Args:
        name: As it was given.
        task: What it answers.
        session: What runs it.
        encoder: Its own tokenizer.
        labels: The names of its labels, by number; None where its config has none.
        runner: Runs rows, those of like length together.
        tell: Called with a line now and then, where they take long.
    """

    name: str
    task: Task
    session: Session
    encoder: TextEncoder
    labels: tuple[str, ...] | None
    runner: RowRunner
    tell: Callable[[str], None]

    def run(self, rows: Sequence[Row], *outputs: str) -> Iterator[tuple[int, list[np.ndarray]]]:
        """For each row its number and its part of each output; in whatever order is cheap."""
        told, tenth = time.monotonic(), 0
        for done, found in enumerate(self.runner.run(rows, *outputs), start=1):
            yield found
            if done * 10 // len(rows) > tenth and time.monotonic() - told > TELL_EVERY:
                told, tenth = time.monotonic(), done * 10 // len(rows)
                self.tell(f"{self.name}: {done:,} of {len(rows):,} rows")


class Opening:
    """Opens contestants, and closes what they need.

    Args:
        stack: What is closed in the end.
        task: What they shall answer.
        max_length: The most tokens of a row; None for the model's own.
        threads: How many a model may use.
        kernels: As of `bench`.
        seed: Of the built-in random models.
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
        self._tell = progress
        self._opener = stack.enter_context(Opener(progress))

    def open(self, name: str) -> Contestant:
        """A model by its name: a checkpoint, or `torch:CHECKPOINT`, runs in torch; all else as `bench` takes it.

        Raises UsageError for one that answers something else, BundleError for one that has no tokenizer, and whatever
        `bench` raises.
        """
        kind, colon, inner = name.partition(":")
        if colon and kind == TORCH and not Path(name).exists():
            return self._in_torch(name, inner)
        path = Path(name)
        if is_reference(name) or ((path / CONFIG).is_file() and not is_bundle(path)):
            return self._in_torch(name, name)
        return self._in_onnxruntime(name)

    def _in_onnxruntime(self, name: str) -> Contestant:
        subject = self._builder.subject(name)
        bundle = read_bundle(subject.path)
        if bundle.tokenizer_path is None:
            raise BundleError(
                f"{name} has no tokenizer.json, which texts need; put the checkpoint's beside config.json"
            )
        session = self._opener.open(subject, subject.path, resolve("cpu"), self._threads)
        return self._contestant(name, session, bundle.task, bundle.tokenizer_path, bundle.config)

    def _in_torch(self, name: str, checkpoint: str) -> Contestant:
        from mbert_onnx.training.evaluation.torch_session import open_in_torch

        opened = open_in_torch(checkpoint, self._task, self._threads, self._seed)
        if not (opened.folder / TOKENIZER).is_file():
            raise BundleError(f"{name} has no tokenizer.json, which texts need; put one beside config.json")
        return self._contestant(name, opened.session, opened.task, opened.folder / TOKENIZER, opened.config)

    def _contestant(
        self, name: str, session: Session, task: Task, tokenizer: Path, config: dict[str, Any]
    ) -> Contestant:
        if task != self._task:
            raise UsageError(f"{name} does {task.name}, and {self._task.name} is asked for; give a model for that")
        inputs = inputs_of(session, task, name)
        positions = inputs.sequence or int(config["max_position_embeddings"])
        encoder = TextEncoder(
            tokenizer, min(positions, self._max_length or positions), vocab_size=config.get("vocab_size")
        )
        names = config.get("id2label")
        labels = tuple(names[key] for key in sorted(names, key=int)) if isinstance(names, dict) and names else None
        runner = RowRunner(session, task, inputs, int(config.get("pad_token_id") or 0), name)
        return Contestant(name, task, session, encoder, labels, runner, self._tell)
