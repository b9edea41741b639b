"""Model of a text file: onnxruntime reads the text and returns the answer; Python only names labels and cuts spans.

    model = mbert_onnx.load("bundle/onnx/model_text.onnx")
    model.answer("Who wrote it?", "It was written by Ada.")[0].answer

Results are those of the ordinary model file, which `mbert_onnx.runtime.model` tokenizes for, except that the word of an
entity is its text, and not its tokens joined.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mbert_onnx.bundles.reader import Bundle
from mbert_onnx.runtime.jobs.job import Job
from mbert_onnx.runtime.model import Model
from mbert_onnx.runtime.text_files.file import TextFile
from mbert_onnx.runtime.text_files.jobs import JOBS
from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.text.tasks import PRETRAINING


class TextFileModel(Model):
    """A loaded text file. Its methods are thread-safe, and need no `tokenizers`.

    It has the methods of `Model`. What the file cannot do, such as other tasks, `logits` of token ids, or an
    aggregation to words, is refused by name.

    Args:
        path: The file.
        session: Its onnxruntime session.
    """

    def __init__(self, path: Path, session: Any) -> None:
        self.file = TextFile(path, session)
        self.session = session
        self.task = self.file.record.task
        self.config: dict[str, Any] = {}
        self.bundle = Bundle(path.parent, path, self.config, None, self.task, None, {})

    @property
    def tokenizer(self) -> TextEncoder:
        """Raises UsageError: a text file tokenizes by itself."""
        self.file.refuse("has its tokenizer inside, for onnxruntime only")

    def logits(self, *_arguments: Any, **_named: Any) -> dict[str, np.ndarray]:
        """Raises UsageError: a text file takes texts."""
        self.file.refuse("takes texts, and no token ids")

    def _job(self, method: str, **options: Any) -> Job:
        if method == "next_sentence" and self.task is PRETRAINING:
            self.file.refuse("fills masks, and does not compute whether a text follows")
        self._expect(method)
        return JOBS[method](self.file, **options)

    def _embedding_size(self) -> int:
        size = next(node.shape[-1] for node in self.session.get_outputs() if node.name == "sentence_embedding")
        return size if isinstance(size, int) else 0
