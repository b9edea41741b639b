"""Text files in a benchmark: the built-in sentences as bytes, in texts of the lengths that are timed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime

from graphs.functions.text_file.detach import tokenize_model
from graphs.model.loading import read_model
from graphs.model.quiet import quiet_options
from mbert_onnx.benchmark.measures import precision_of
from mbert_onnx.benchmark.models.builder import BuiltModel, ModelBuilder
from mbert_onnx.errors import UsageError
from mbert_onnx.runtime.text_files.record import TextRecord
from mbert_onnx.runtime.text_files.spans import encoded
from mbert_onnx.text.calibration_text import read_calibration
from mbert_onnx.text.tasks import FEATURE_EXTRACTION, MULTIPLE_CHOICE, QUESTION_ANSWERING
from perf.sessions.inputs import SUFFIX
from perf.sessions.subject import Sizes, Subject

NOTE = "reads texts: its time includes the tokenizer and the answer"
# One token in each vocabulary, known or not: it fills a text up to a length.
FILLER = "."
QUESTION = "Who wrote it ?"
CHOICES = 2


def build_text_file(name: str, path: Path, builder: ModelBuilder) -> BuiltModel:
    """Opens a text file, and writes texts of the lengths that are timed.

    Raises GraphError for a file that cannot be read, and UsageError for a batch that it does not take.
    """
    model = read_model(path, values=False)
    record = TextRecord.of(model.metadata_props, path)
    inputs = [str(value.name) for value in model.graph.inputs]
    whole = tokenize_model(read_model(path))
    columns = int(next(iter(whole.graph)).attributes["columns"].value)
    sizes = Sizes(shortest=columns, longest=columns) if columns else Sizes(longest=record.limit)
    if builder.batch != 1 and "row_splits" not in inputs:
        raise UsageError(f"--batch is {builder.batch}; {name} reads one text in a run: pass --batch 1")
    texts = _Texts(whole, record, builder.batch, has_splits="row_splits" in inputs)
    folder, files = builder.new_folder(), {}
    for seq_len in builder.lengths_for(sizes):
        if sizes.takes(seq_len):
            files[seq_len] = folder / f"{seq_len}{SUFFIX}"
            feed: dict[str, Any] = dict(texts.feed(seq_len))
            np.savez(files[seq_len], **feed)
    if not files:
        raise UsageError(f"{name} takes {sizes}; pass such a --seq-len")
    subject = Subject(name, path, precision=precision_of(path), sizes=sizes, inputs=files, notes=(NOTE,))
    return BuiltModel(subject, lambda: None)


class _Texts:
    """Texts of given lengths in tokens, for the tokenizer in a text file."""

    def __init__(self, tokenizer: ir.Model, record: TextRecord, batch: int, *, has_splits: bool) -> None:
        self._session: Any = onnxruntime.InferenceSession(
            ir.to_proto(tokenizer).SerializeToString(), quiet_options(), providers=["CPUExecutionProvider"]
        )
        self._inputs = [node.name for node in self._session.get_inputs()]
        self._record, self._batch, self._has_splits = record, batch, has_splits
        self._words = " ".join(text.text for text in read_calibration(None, FEATURE_EXTRACTION).fit).split()

    def feed(self, seq_len: int) -> dict[str, np.ndarray]:
        """Returns the inputs of one run, whose rows have `seq_len` tokens."""
        task, batch = self._record.task, self._batch
        names = [name for name in self._inputs if name in ("text", "pair")]
        given = QUESTION if len(names) > 1 else ""
        text = self._of_length(seq_len, given)
        feed = {"max_length": np.array([seq_len])}
        if task is MULTIPLE_CHOICE:
            count = self._record.choices or CHOICES
            feed |= {"text": encoded(given), "choices": np.tile(encoded(text), count)}
            return feed | {"choice_splits": len(encoded(text)) * np.arange(count + 1)}
        second = "context" if task is QUESTION_ANSWERING else "pair"
        parts = {"text": text} if len(names) == 1 else {"text": given, second: text}
        for name, part in parts.items():
            data = encoded(part)
            feed[name] = np.tile(data, batch)
            if self._has_splits and batch > 1:
                feed["row_splits" if name == "text" else f"{name}_splits"] = len(data) * np.arange(batch + 1)
        return feed

    def _of_length(self, seq_len: int, first: str) -> str:
        """Returns a text with which a row has `seq_len` tokens, or as many as special tokens and one more."""
        words: Sequence[str] = list(islice(cycle(self._words), seq_len))
        low, high = 1, len(words)
        while low < high:  # the most words that fit
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._tokens(words[:middle], first) <= seq_len else (low, middle - 1)
        found = list(words[:low])
        if self._tokens(found, first) > seq_len:
            found = [FILLER]
        return " ".join(found + [FILLER] * max(seq_len - self._tokens(found, first), 0))

    def _tokens(self, words: Sequence[str], first: str) -> int:
        texts = [first, " ".join(words)] if first else [" ".join(words)]
        feed = {"max_length": np.array([2**31]), "stride": np.array([0])}
        for name, text in zip(("text", "pair"), texts, strict=False):
            data = encoded(text)
            feed |= {name: data, "row_splits" if name == "text" else "pair_splits": np.array([0, len(data)])}
        mask, cut = self._session.run(["attention_mask", "cut"], {name: feed[name] for name in self._inputs})
        # Special tokens of each window but the first count too often, which only makes a text that is too long longer.
        return int(mask.sum() + cut.sum())
