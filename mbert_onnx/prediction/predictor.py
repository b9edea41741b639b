"""Predictor: a loaded model that answers the texts of chunks. Every engine has one in each of its workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mbert_onnx.errors import MbertError
from mbert_onnx.prediction.settings import Settings
from mbert_onnx.prediction.types import Answers
from mbert_onnx.prediction.writing.answer_columns import answer_columns
from mbert_onnx.runtime.jobs.statistics import BatchStatistics
from mbert_onnx.runtime.loading import load
from mbert_onnx.runtime.model import Model
from mbert_onnx.runtime.text_files.model import TextFileModel
from mbert_onnx.text.labels import default_name, names_of
from mbert_onnx.text.tasks import MASKED, MULTIPLE_CHOICE, QUESTION_ANSWERING, TEXT_CLASSIFICATION

# A text on which a model is tried before the job, so that options that it does not take are refused at once.
TRIED_TEXT = "text"
# The second argument of the methods that take one, by task; of the others it is the pair.
SECOND_ARGUMENTS = {QUESTION_ANSWERING.name: "context", MULTIPLE_CHOICE.name: "choices"}


class Predictor:
    """A loaded model with the settings of a job; `model` is the model where it is loaded already.

    Raises what `load` and the task's method raise, such as UsageError for options that the model does not take, and
    BundleError for a bundle without a tokenizer.
    """

    def __init__(self, settings: Settings, model: Model | None = None) -> None:
        self.model: Model = model or load(settings.bundle, threads=settings.threads, kernels=settings.kernels)
        self.settings = settings
        sample = self._try()
        is_classifier = self.model.task is TEXT_CLASSIFICATION
        count = len(sample.labels) if is_classifier else 0
        # The best label is all that is written.
        self._options = {**settings.options, **({"top_k": 1} if is_classifier and not settings.all_scores else {})}
        self.columns = answer_columns(self.model.task, settings, sample, self._labels(count))

    def answers(self, arguments: Sequence[Sequence[str]], statistics: BatchStatistics | None = None) -> Answers:
        """Returns the model's answers to texts, given as one list for each argument; adds to the statistics."""
        statistics = BatchStatistics() if statistics is None else statistics
        before = statistics.tokens
        results, errors = [], []
        found = self.model.try_many(self._inputs(arguments), statistics=statistics, **self._options)
        for index, result in enumerate(found):
            if isinstance(result, MbertError):
                errors.append((index, str(result)))
            else:
                results.append(result)
        truncated = sum(bool(getattr(result, "truncated", False)) for result in results)
        return Answers(self.columns.table(results), errors, statistics.tokens - before, truncated)

    def _inputs(self, arguments: Sequence[Sequence[str]]) -> list[tuple[Any, ...]]:
        if self.model.task is MULTIPLE_CHOICE:
            return [(prompt, list(choices)) for prompt, *choices in zip(*arguments, strict=True)]
        return list(zip(*arguments, strict=True))

    def _try(self) -> Any:
        """Returns the model's result for a text."""
        text: Any = TRIED_TEXT
        if self.model.task in MASKED:
            holder = self.model.file.record if isinstance(self.model, TextFileModel) else self.model.tokenizer
            text = holder.mask_token
        [(first, *others)] = self._inputs([[text]] * self.settings.arguments)
        name = SECOND_ARGUMENTS.get(self.model.task.name, "pair")
        return self.model.run(first, **dict.fromkeys([name], *others) if others else {}, **self.settings.options)

    def _labels(self, count: int) -> list[str]:
        if isinstance(self.model, TextFileModel):
            known = self.model.file.record.labels
            return [known[index] if index < len(known) else default_name(index) for index in range(count)]
        return list(names_of(self.model.config.get("id2label"), count).values())
