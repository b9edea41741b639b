"""Methods of a model: one for each task, for one text or a list, and streams of any length."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np

from mbert_onnx.errors import MbertError, UsageError
from mbert_onnx.runtime.answers import Choices, Classification, FilledMask, NextSentence
from mbert_onnx.runtime.entities import Aggregation, Entity, TokenEntity
from mbert_onnx.runtime.jobs.arguments import (
    FILL_TOP_K,
    MAX_ANSWER_LEN,
    METHODS,
    arguments_of,
    check_inputs,
    error_of,
    expect_positive,
    inputs_of_lists,
    option,
)
from mbert_onnx.runtime.jobs.job import Job
from mbert_onnx.runtime.jobs.statistics import BatchStatistics
from mbert_onnx.runtime.spans import Answer
from mbert_onnx.text.tasks import Task

# Texts that are tokenized and sorted by length together: enough that a batch has rows of nearly one length.
WINDOW = 2048
# Characters of a window: its tokens with their offsets are in memory, about 100 bytes each.
WINDOW_CHARACTERS = 2_000_000

Texts = list[str] | tuple[str, ...]
Groups = list[list[str]] | list[tuple[str, ...]] | tuple[list[str], ...] | tuple[tuple[str, ...], ...]


class TaskMethods(ABC):
    """Methods of a model, of which its task has one. They take one text and return its result, or a list of texts (a
    tuple, too) and return the list of their results in the same order.

    A list is faster than its texts one by one: rows of similar length share a run where that does not change their
    outputs. A text that cannot be read raises the error of a single text with its place in the list, counted from 0.
    """

    task: Task

    @abstractmethod
    def _job(self, method: str, **options: Any) -> Job:
        """Returns the job of a method. Raises UsageError for options with invalid values, and for another task's."""

    @abstractmethod
    def _embedding_size(self) -> int:
        """Returns the size of an embedding."""

    @overload
    def answer(
        self,
        question: str,
        context: str,
        *,
        top_k: int = ...,
        max_answer_len: int = ...,
        max_seq_len: int | None = ...,
        stride: int | None = ...,
        handle_impossible_answer: bool = ...,
    ) -> list[Answer]: ...

    @overload
    def answer(
        self,
        question: Texts,
        context: str | Texts,
        *,
        top_k: int = ...,
        max_answer_len: int = ...,
        max_seq_len: int | None = ...,
        stride: int | None = ...,
        handle_impossible_answer: bool = ...,
    ) -> list[list[Answer]]: ...

    @overload
    def answer(
        self,
        question: str,
        context: Texts,
        *,
        top_k: int = ...,
        max_answer_len: int = ...,
        max_seq_len: int | None = ...,
        stride: int | None = ...,
        handle_impossible_answer: bool = ...,
    ) -> list[list[Answer]]: ...

    def answer(
        self,
        question: str | Texts,
        context: str | Texts,
        *,
        top_k: int = 1,
        max_answer_len: int = MAX_ANSWER_LEN,
        max_seq_len: int | None = None,
        stride: int | None = None,
        handle_impossible_answer: bool = False,
    ) -> list[Answer] | list[list[Answer]]:
        """Returns the `top_k` best answers to a question, best first; fewer if the context has fewer.

        `max_answer_len` and `max_seq_len` are in tokens. A longer context is read in windows of `max_seq_len` (default:
        384, or the model's maximum) that overlap by `stride` tokens (default: 128, or half a window). With
        `handle_impossible_answer` the result may hold an empty answer, for a context without one. Raises UsageError if
        the question fills a window.

        Lists have a question for each context; one context beside many questions is that of all, and the reverse.
        """
        job = self._job(
            "answer",
            top_k=top_k,
            max_answer_len=max_answer_len,
            max_seq_len=max_seq_len,
            stride=stride,
            handle_impossible_answer=handle_impossible_answer,
        )
        found: list[Answer] | list[list[Answer]] = _called(job, "answer", question, context)
        return found

    @overload
    def classify(self, text: str, pair: str | None = None, *, top_k: int | None = None) -> Classification: ...

    @overload
    def classify(
        self, text: Texts, pair: str | Texts | None = None, *, top_k: int | None = None
    ) -> list[Classification]: ...

    @overload
    def classify(self, text: str, pair: Texts, *, top_k: int | None = None) -> list[Classification]: ...

    def classify(
        self, text: str | Texts, pair: str | Texts | None = None, *, top_k: int | None = None
    ) -> Classification | list[Classification]:
        """Returns the labels of a text, or of a pair of texts, best first: the `top_k` best, or all."""
        found: Classification | list[Classification] = _called(
            self._job("classify", top_k=top_k), "classify", text, pair
        )
        return found

    @overload
    def tag(
        self, text: str, *, aggregation: Aggregation = "simple", stride: int | None = None
    ) -> list[Entity] | list[TokenEntity]: ...

    @overload
    def tag(
        self, text: Texts, *, aggregation: Aggregation = "simple", stride: int | None = None
    ) -> list[list[Entity]] | list[list[TokenEntity]]: ...

    def tag(self, text: str | Texts, *, aggregation: Aggregation = "simple", stride: int | None = None) -> Any:
        """Returns the entities of a text, in order; with `aggregation="none"` every token whose label is not `O`.

        `simple` groups tokens, so a word may be split where the labels of its tokens differ. `first` and `max` give
        each word one label: that of its first token, or of its token with the highest probability.

        A text longer than the model reads is split into windows that overlap by `stride` tokens; each token's label
        comes from the window in which it has the most context.
        """
        return _called(self._job("tag", aggregation=aggregation, stride=stride), "tag", text)

    @overload
    def fill(self, text: str, *, top_k: int = FILL_TOP_K, stride: int | None = None) -> list[FilledMask]: ...

    @overload
    def fill(self, text: Texts, *, top_k: int = FILL_TOP_K, stride: int | None = None) -> list[list[FilledMask]]: ...

    def fill(
        self, text: str | Texts, *, top_k: int = FILL_TOP_K, stride: int | None = None
    ) -> list[FilledMask] | list[list[FilledMask]]:
        """Returns the `top_k` best tokens for each mask token (`[MASK]`) of a text, in order.

        A long text is split into windows, as in `tag`. Raises UsageError if there is no mask.
        """
        found: list[FilledMask] | list[list[FilledMask]] = _called(
            self._job("fill", top_k=top_k, stride=stride), "fill", text
        )
        return found

    def embed(self, text: str | Texts, *, normalize: bool = False, stride: int | None = None) -> np.ndarray:
        """Returns the mean of a text's hidden states, special tokens included: float32 `[hidden]` or `[texts, hidden]`.

        A long text is split into windows, as in `tag`: each token counts once, with the state from the window in which
        it has the most context; the special tokens of all n windows have weight 1/n each. With `normalize` vectors have
        length 1.

        For sentence similarity, and for a model of sentence-transformers, it returns the vectors that `encode` of that
        library returns: texts are cut at the model's length, unless `stride` is given, and vectors have length 1 if the
        model normalizes them.
        """
        found = _called(self._job("embed", normalize=normalize, stride=stride), "embed", text)
        if not isinstance(found, list):
            vector: np.ndarray = found
            return vector
        return np.stack(found) if found else np.zeros((0, self._embedding_size()), np.float32)

    @overload
    def next_sentence(self, text: str, pair: str) -> NextSentence: ...

    @overload
    def next_sentence(self, text: Texts, pair: str | Texts) -> list[NextSentence]: ...

    @overload
    def next_sentence(self, text: str, pair: Texts) -> list[NextSentence]: ...

    def next_sentence(self, text: str | Texts, pair: str | Texts) -> NextSentence | list[NextSentence]:
        """Returns the probability that `pair` follows `text`."""
        found: NextSentence | list[NextSentence] = _called(self._job("next_sentence"), "next_sentence", text, pair)
        return found

    @overload
    def choose(self, prompt: str, choices: Texts) -> Choices: ...

    @overload
    def choose(self, prompt: Texts, choices: Texts | Groups) -> list[Choices]: ...

    @overload
    def choose(self, prompt: str, choices: Groups) -> list[Choices]: ...

    def choose(self, prompt: str | Texts, choices: Texts | Groups) -> Choices | list[Choices]:
        """Returns the probability of each of two or more choices after a prompt, best first.

        For a list of prompts, `choices` is a list with the choices of each, or the choices of all.
        """
        found: Choices | list[Choices] = _called(self._job("choose"), "choose", prompt, choices)
        return found

    def stream(self, inputs: Iterable[Any], *, window: int = WINDOW, **options: Any) -> Iterator[Any]:
        """Returns an iterator of the results of any number of texts, in their order, in bounded memory.

        Args:
            inputs: For each text the first argument of this model's method, or a tuple of its arguments, such as
                (question, context).
            window: How many texts are tokenized and sorted by length together; fewer where they are long.
            options: The method's other arguments, such as `top_k`.

        Raises the errors of the method; that of a text when its result is due, with its place, counted from 0.
        """
        expect_positive(window=window)
        check_inputs(inputs)
        return self._stream(self._job_of_task(options), inputs, window)

    def try_many(
        self, inputs: Sequence[Any], *, statistics: BatchStatistics | None = None, **options: Any
    ) -> list[Any]:
        """Returns for each text its result, or in its place the MbertError that says why it has none.

        This is what `predict` is built on.

        Args:
            inputs: As for `stream`. All are in memory at once, with their tokens.
            statistics: Numbers of texts, tokens and runs, and the seconds of each stage are added to it.
            options: The method's other arguments, such as `top_k`.

        Raises UsageError for an option, and BundleError if the session fails, whichever the text is.
        """
        check_inputs(inputs)
        return _outcomes(self._job_of_task(options), self._method, inputs, statistics)

    @property
    def _method(self) -> str:
        return METHODS[self.task.name]

    def _job_of_task(self, options: dict[str, Any]) -> Job:
        """Returns the job of this model's method. Raises UsageError for options that it does not have."""
        parameters = inspect.signature(getattr(self, self._method)).parameters.values()
        known = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]
        unknown = next((name for name in options if name not in known), None)
        if unknown is not None:
            raise UsageError(
                f"{option(unknown)} is not an option of `{self._method}`, which has {', '.join(known) or 'none'}; "
                "leave it out"
            )
        return self._job(self._method, **options)

    def _stream(self, job: Job, inputs: Iterable[Any], window: int) -> Iterator[Any]:
        place = 0
        for part in _windows(inputs, window):
            for result in _outcomes(job, self._method, part):
                if isinstance(result, MbertError):
                    raise error_of(result, place)
                yield result
                place += 1


def _called(job: Job, method: str, *arguments: Any) -> Any:
    """Returns the result of a call with one text, or the list of results of a call with lists."""
    inputs = inputs_of_lists(method, *arguments)
    if inputs is None:
        [result] = job.outcomes([arguments], BatchStatistics())
        if isinstance(result, MbertError):
            raise result
        return result
    results = list[Any]()
    for part in _windows(inputs, WINDOW):
        for result in job.outcomes(part, BatchStatistics()):
            if isinstance(result, MbertError):
                raise error_of(result, len(results))
            results.append(result)
    return results


def _outcomes(job: Job, method: str, inputs: Sequence[Any], statistics: BatchStatistics | None = None) -> list[Any]:
    """Returns the result of each input of a stream, or its error."""
    arguments = [arguments_of(method, one) for one in inputs]
    good = [one for one in arguments if not isinstance(one, MbertError)]
    statistics = BatchStatistics() if statistics is None else statistics
    found = iter(job.outcomes(good, statistics) if good else [])
    statistics.texts += len(arguments) - len(good)
    return [one if isinstance(one, MbertError) else next(found) for one in arguments]


def _windows(inputs: Iterable[Any], window: int) -> Iterator[list[Any]]:
    """Yields the inputs in parts of at most `window`, which hold about `WINDOW_CHARACTERS` at most, or one input."""
    part, characters = list[Any](), 0
    for one in inputs:
        size = _characters(one)
        if part and (len(part) == window or characters + size > WINDOW_CHARACTERS):
            yield part
            part, characters = [], 0
        part.append(one)
        characters += size
    if part:
        yield part


def _characters(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    return sum(map(_characters, value)) if isinstance(value, list | tuple) else 0
