"""Job of questions: the best answers in a context that is read in windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mbert_onnx.runtime.jobs.arguments import MAX_ANSWER_LEN, expect_positive
from mbert_onnx.runtime.jobs.job import RowJob, RowModel, TextWindows, WindowWork, Work
from mbert_onnx.runtime.spans import Answer, merge_windows, window_answers
from mbert_onnx.text.encoder import QUESTION_WINDOW, Tokens, Window
from mbert_onnx.text.many_texts import attempted, ids_of, tokens_of


@dataclass(frozen=True)
class _Options:
    top_k: int
    max_answer_len: int
    handle_impossible_answer: bool
    has_null_token: bool


class _Context(TextWindows):
    """A context beside a question, and the best answers of each window."""

    def __init__(self, tokens: Tokens, windows: list[Window], options: _Options) -> None:
        self.windows = windows
        self._tokens = tokens
        self._options = options
        self._found: list[list[Answer]] = [[] for _ in windows]
        self._no_answer = 1.0

    def take(self, place: int, parts: list[np.ndarray]) -> None:
        window, options = self.windows[place], self._options
        self._found[place], null_score = window_answers(
            *parts,
            context=slice(window.begin, window.begin + window.count),
            null=0 if options.has_null_token else None,
            first=window.first,
            tokens=self._tokens,
            top_k=options.top_k,
            max_answer_len=options.max_answer_len,
        )
        self._no_answer = min(self._no_answer, null_score)  # one window with an answer is enough

    def finish(self) -> list[Answer]:
        found = self._found
        if self._options.handle_impossible_answer:
            found = [*found, [Answer("", self._no_answer, 0, 0)]]
        return merge_windows(found, self._options.top_k)


class AnswerQuestions(RowJob):
    """Job of `Model.answer`; inputs are (question, context)."""

    def __init__(
        self,
        model: RowModel,
        *,
        top_k: int = 1,
        max_answer_len: int = MAX_ANSWER_LEN,
        max_seq_len: int | None = None,
        stride: int | None = None,
        handle_impossible_answer: bool = False,
    ) -> None:
        expect_positive(top_k=top_k, max_answer_len=max_answer_len)
        super().__init__(model)
        encoder = model.encoder
        self._options = _Options(top_k, max_answer_len, handle_impossible_answer, encoder.has_null_token)
        self._length = min(QUESTION_WINDOW, encoder.max_length) if max_seq_len is None else max_seq_len
        self._stride = stride

    def prepare(self, inputs: Sequence[tuple[Any, ...]]) -> Work:
        asked, contexts = zip(*inputs, strict=True)
        questions = ids_of(self.model.encoder, asked, "question")
        tokens = tokens_of(self.model.encoder, contexts, "context")
        texts = [attempted(self._context, *pair) for pair in zip(questions, tokens, strict=True)]
        return WindowWork(texts, ["start_logits", "end_logits"])

    def _context(self, question: list[int], tokens: Tokens) -> _Context:
        windows = self.model.encoder.windows_of_ids(tokens.ids, question, max_seq_len=self._length, stride=self._stride)
        return _Context(tokens, windows, self._options)
