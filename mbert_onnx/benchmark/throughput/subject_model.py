"""A model of a benchmark, in any runtime, with the methods and the batching of `Model`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from mbert_onnx.bundles.inputs import inputs_of
from mbert_onnx.bundles.model_file import TextReader
from mbert_onnx.bundles.ports import with_outputs
from mbert_onnx.bundles.reader import Bundle
from mbert_onnx.errors import MbertError
from mbert_onnx.runtime.jobs.batching import RowRunner, Sharing
from mbert_onnx.runtime.model import Model
from mbert_onnx.text.encoder import PROBE, Row
from mbert_onnx.text.tasks import task_named
from perf.sessions.inputs import as_declared, declared_inputs
from perf.sessions.session import Session, TimesRuns
from perf.sessions.subject import Subject


class JobSession:
    """A session of a benchmark with onnxruntime's `run`, which returns the outputs that are asked for.

    `sending` is how many seconds of its runs were spent on sending arrays to another process and back.
    """

    def __init__(self, name: str, session: Session) -> None:
        self.sending = 0.0
        self._session = session
        self._name = name
        self._declared = declared_inputs(session)
        self._outputs = [output.name for output in session.get_outputs()]

    def get_inputs(self) -> Sequence[Any]:
        return self._session.get_inputs()

    def get_outputs(self) -> Sequence[Any]:
        return self._session.get_outputs()

    def run(self, names: Sequence[str], feeds: Mapping[str, np.ndarray]) -> list[Any]:
        feeds = as_declared(self._name, feeds, self._declared)
        if isinstance(self._session, TimesRuns):
            start = perf_counter()
            values, own_ns = self._session.timed_run(feeds)
            self.sending += perf_counter() - start - own_ns / 1e9
        else:
            values = self._session.run(None, feeds)
        found = dict(zip(self._outputs, values, strict=True))
        return [found[name] for name in names]


class SubjectModel(Model):
    """A subject's session with the methods of `Model`: the tokenizer, the batches and the answers are the same code.

    Rows share a run up to `tokens_per_run` padded tokens in every model that runs a batch, also where that changes its
    answers, as it does where all tokens of a run have one int8 scale or a trigram reads padding: `depends_on_batch` is
    then True.

    Args:
        subject: The model.
        reader: Reader of texts for it.
        session: Its session.
        tokens_per_run: Padded tokens of a run; None for the default.
    """

    def __init__(self, subject: Subject, reader: TextReader, session: Session, tokens_per_run: int | None) -> None:
        self.sender = JobSession(subject.name, session)
        self.task = task_named(reader.task.name)  # tasks are compared by identity, and another process pickled this one
        self.session = with_outputs(self.sender, self.task)
        self.config: dict[str, Any] = {}
        self.bundle = Bundle(subject.path.parent, subject.path, self.config, None, self.task, None, {})
        self._embedding = None
        self._encoder = reader.encoder()
        self.inputs = inputs_of(self.session, self.task, subject.name)
        padding = self._encoder.padding_id or 0
        arguments = (self.session, self.task, self.inputs, padding, subject.name)
        runner = RowRunner(*arguments, tokens_per_run=tokens_per_run)
        outputs = [output.name for output in self.task.outputs if not output.optional]
        tried = runner.sharing(*self._tried_rows(), outputs)
        sharing = tried if tried is Sharing.ALL else self._sharing_that_runs(runner)
        self.depends_on_batch = sharing is not tried
        self._runner = RowRunner(*arguments, tokens_per_run=tokens_per_run, sharing=sharing)

    def _tried_rows(self) -> tuple[Row, Row]:
        """Returns two rows of different lengths."""
        assert self._encoder is not None
        first, second = ([self._encoder.encode(text).ids[0]] for text in PROBE)
        return self._encoder.row(first), self._encoder.row(second * min(8, self._encoder.max_length - 2))

    def _sharing_that_runs(self, runner: RowRunner) -> Sharing:
        """Returns ALL for a session that runs two rows of different lengths at once, whatever their outputs are."""
        if self.inputs.batch == 1 or "attention_mask" not in self.inputs.names:
            return Sharing.NONE
        names = [output.name for output in self.task.outputs][:1]
        try:
            runner.outputs(self._tried_rows(), names)
        except MbertError:
            return Sharing.NONE
        return Sharing.ALL
