"""Jobs of text files: the methods of `Model` on inputs as bytes, with the answers that a file returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from mbert_onnx.errors import MbertError, UsageError
from mbert_onnx.runtime.answers import (
    Choices,
    ChoiceScore,
    Classification,
    FilledMask,
    FilledToken,
    LabelScore,
    NextSentence,
    fill_text,
    normalized,
)
from mbert_onnx.runtime.entities import Aggregation, Entity, TokenEntity, without_outside
from mbert_onnx.runtime.jobs.arguments import FILL_TOP_K, MAX_ANSWER_LEN, check_choices, expect_positive
from mbert_onnx.runtime.jobs.statistics import BatchStatistics
from mbert_onnx.runtime.jobs.tagging import check_aggregation
from mbert_onnx.runtime.spans import Answer
from mbert_onnx.runtime.text_files.batching import TextRunner
from mbert_onnx.runtime.text_files.file import Outputs, TextFile, number_input
from mbert_onnx.runtime.text_files.spans import encoded, in_characters
from mbert_onnx.text.encoder import check_text
from mbert_onnx.text.labels import default_name
from mbert_onnx.text.many_texts import attempted

# The index of a text's first token in its row, behind the special token that begins it.
FIRST_INDEX = 1


class TextFileJob(ABC):
    """Job of a text file.

    Args:
        file: The file.
        options: Inputs of the file beside the texts.
        max_length: Tokens of a row; None for the usual number.
        stride: Overlap of windows in tokens; None for the usual one.
    """

    # The inputs with the bytes of each text.
    names: tuple[str, ...] = ("text",)

    def __init__(
        self,
        file: TextFile,
        options: dict[str, np.ndarray] | None = None,
        *,
        max_length: int | None = None,
        stride: int | None = None,
    ) -> None:
        self.file = file
        self._options = options or {}
        self._lengths = {"max_length": max_length, "stride": stride}

    def outcomes(self, inputs: Sequence[tuple[Any, ...]], statistics: BatchStatistics) -> list[Any]:
        start = perf_counter()
        data = [attempted(self.read, *arguments) for arguments in inputs]
        numbers = [number for number, one in enumerate(data) if not isinstance(one, MbertError)]
        results: list[Any] = list(data)
        statistics.texts += len(inputs)
        statistics.batching += perf_counter() - start
        runner = TextRunner(self.file, self.names, self._options, **self._lengths)
        for place, found in runner.run([results[number] for number in numbers], statistics):
            start, number = perf_counter(), numbers[place]
            results[number] = attempted(self.result, inputs[number], results[number], found)
            statistics.finishing += perf_counter() - start
        return results

    @abstractmethod
    def read(self, *arguments: Any) -> tuple[np.ndarray, ...]:
        """Returns the bytes of an input's texts. Raises UsageError for texts that the file does not read."""

    @abstractmethod
    def result(self, arguments: tuple[Any, ...], data: tuple[np.ndarray, ...], found: Outputs) -> Any:
        """Returns the result of one input, of its bytes and the outputs of the file for it."""


class AnswerQuestions(TextFileJob):
    """Job of `answer`."""

    names = ("text", "context")

    def __init__(
        self,
        file: TextFile,
        *,
        top_k: int = 1,
        max_answer_len: int = MAX_ANSWER_LEN,
        max_seq_len: int | None = None,
        stride: int | None = None,
        handle_impossible_answer: bool = False,
    ) -> None:
        expect_positive(top_k=top_k, max_answer_len=max_answer_len)
        options = {
            "top_k": number_input(top_k),
            "longest_answer": number_input(max_answer_len),
            "allow_no_answer": np.array([bool(handle_impossible_answer)]),
        }
        self._length = file.record.max_length if max_seq_len is None else max_seq_len
        super().__init__(file, options, max_length=self._length, stride=stride)

    def read(self, question: str, context: str) -> tuple[np.ndarray, ...]:
        data, asked = encoded(check_text(context, "context")), encoded(check_text(question, "question"))
        if 2 * len(asked) > self._length:
            # A question that fills its row leaves a window for each single token of the context: it is refused without.
            feeds = {"text": asked, "context": data[:0], **self._options}
            self._check_question(self.file.run(feeds, **self._lengths))
        return asked, data

    def result(self, arguments: tuple[Any, ...], data: tuple[np.ndarray, ...], found: Outputs) -> list[Answer]:
        context: str = arguments[1]
        self.file.log_cut(self._check_question(found), "context")
        scores, spans = found["scores"][0], found["spans"][0]
        places = in_characters(data[1], spans)
        return [
            Answer(context[start:end], float(score), start, end)
            for score, (start, end) in zip(scores, places, strict=True)
            if score >= 0
        ]

    def _check_question(self, found: Outputs) -> int:
        """Returns how many tokens of the context were cut. Raises UsageError where tokens of the question were."""
        of_question, of_context = map(int, found["cut"][0])
        if of_question > 0:
            raise UsageError(
                f"The question is {of_question} {'token' if of_question == 1 else 'tokens'} too long for a row of "
                f"{self._length} tokens with a part of the context. Shorten the question."
            )
        return of_context


class Classify(TextFileJob):
    """Job of `classify`: of a text, or of a pair of texts for a file of pairs."""

    def __init__(self, file: TextFile, *, top_k: int | None = None) -> None:
        if top_k is not None:
            expect_positive(top_k=top_k)
        super().__init__(file, {} if top_k is None else {"top_k": number_input(top_k)})
        self.names = ("text", "pair") if file.record.pair else ("text",)

    def read(self, text: str, pair: str | None) -> tuple[np.ndarray, ...]:
        record = self.file.record
        if pair is not None and not record.pair:
            # A model of one token type has no text file of pairs.
            advice = None if record.token_types == 1 else "export it with --text-pair"
            self.file.refuse("reads one text, and no --pair", advice)
        if pair is None and record.pair:
            self.file.refuse("reads pairs of texts, and --pair is missing", "give it, or export with --text")
        first = encoded(check_text(text, "text"))
        return (first,) if pair is None else (first, encoded(check_text(pair, "second text")))

    def result(self, arguments: tuple[Any, ...], data: tuple[np.ndarray, ...], found: Outputs) -> Classification:
        labels = zip(found["labels"][0], found["scores"][0], strict=True)
        names = (LabelScore(_name(self.file.record.labels, label), float(score)) for label, score in labels)
        return Classification(tuple(names), bool(found["cut"].any()))


class Tag(TextFileJob):
    """Job of `tag`; `word` is the text of each entity. A text file has one grouping inside."""

    def __init__(self, file: TextFile, *, aggregation: Aggregation = "simple", stride: int | None = None) -> None:
        check_aggregation(aggregation)
        if aggregation in ("first", "max"):
            file.refuse(f"groups tokens, and no words: it has no --aggregation {aggregation}")
        super().__init__(file, stride=stride)
        self._aggregation = aggregation

    def read(self, text: str) -> tuple[np.ndarray, ...]:
        return (encoded(check_text(text, "text")),)

    def result(
        self, arguments: tuple[Any, ...], data: tuple[np.ndarray, ...], found: Outputs
    ) -> list[Entity] | list[TokenEntity]:
        text, record = arguments[0], self.file.record
        self.file.log_cut(found, "text")
        if self._aggregation == "simple":
            places = in_characters(data[0], found["entity_spans"])
            rows = zip(found["entities"], found["entity_scores"], places, strict=True)
            return [
                Entity(_name(record.entities, entity), float(score), text[start:end], start, end)
                for entity, score, (start, end) in rows
            ]
        rows = zip(found["labels"], found["scores"], in_characters(data[0], found["spans"]), strict=True)
        return without_outside(
            [
                TokenEntity(_name(record.labels, label), float(score), index, text[start:end], start, end)
                for index, (label, score, (start, end)) in enumerate(rows, FIRST_INDEX)
            ]
        )


class Fill(TextFileJob):
    """Job of `fill`. The texts of tokens are in the model's `vocab.txt` or `tokenizer.json` beside the file."""

    def __init__(self, file: TextFile, *, top_k: int = FILL_TOP_K, stride: int | None = None) -> None:
        expect_positive(top_k=top_k)
        super().__init__(file, {"top_k": number_input(top_k)}, stride=stride)

    def read(self, text: str) -> tuple[np.ndarray, ...]:
        return (encoded(check_text(text, "text")),)

    def result(self, arguments: tuple[Any, ...], data: tuple[np.ndarray, ...], found: Outputs) -> list[FilledMask]:
        text, record = arguments[0], self.file.record
        self.file.log_cut(found, "text")
        if not len(found["tokens"]):
            raise UsageError(f"The text has no {record.mask_token}. Put one where a token is missing.")
        places = in_characters(data[0], found["spans"])
        masks = []
        for (start, end), tokens, scores in zip(places, found["tokens"], found["scores"], strict=True):
            names = [self.file.token_text(int(token)) for token in tokens]
            filled = (
                FilledToken(float(score), int(token), name, fill_text(text, start, end, name, record.continuation))
                for token, name, score in zip(tokens, names, scores, strict=True)
            )
            masks.append(FilledMask(start, end, tuple(filled)))
        return masks


class Embed(TextFileJob):
    """Job of `embed`; results are vectors, float32 `[hidden]`."""

    def __init__(self, file: TextFile, *, normalize: bool = False, stride: int | None = None) -> None:
        super().__init__(file, stride=stride)
        self._normalize = normalize

    def read(self, text: str) -> tuple[np.ndarray, ...]:
        return (encoded(check_text(text, "text")),)

    def result(self, arguments: tuple[Any, ...], data: tuple[np.ndarray, ...], found: Outputs) -> np.ndarray:
        vector: np.ndarray = found["sentence_embedding"][0]
        return normalized(vector) if self._normalize else vector


class JudgeNextSentence(TextFileJob):
    """Job of `next_sentence`."""

    names = ("text", "pair")

    def read(self, text: str, pair: str) -> tuple[np.ndarray, ...]:
        second = encoded(check_text(pair, "second text"))
        return encoded(check_text(text, "text")), second

    def result(self, arguments: tuple[Any, ...], data: tuple[np.ndarray, ...], found: Outputs) -> NextSentence:
        is_next, not_next = found["scores"][0]
        return NextSentence(float(is_next), float(not_next), bool(found["cut"].any()))


class Choose(TextFileJob):
    """Job of `choose`: one prompt in a run, with the bytes of each choice behind it."""

    def read(self, prompt: str, choices: Sequence[str]) -> tuple[np.ndarray, ...]:
        check_choices(choices)
        record = self.file.record
        if record.choices is not None and len(choices) > record.choices:
            self.file.refuse(f"takes {record.choices} choices, not {len(choices)}")
        return encoded(check_text(prompt, "prompt")), *(encoded(check_text(choice, "choice")) for choice in choices)

    def result(self, arguments: tuple[Any, ...], data: tuple[np.ndarray, ...], found: Outputs) -> Choices:
        choices: Sequence[str] = arguments[1]
        [scores] = found["scores"]
        ranked = np.argsort(-scores, kind="stable")
        rows = tuple(ChoiceScore(int(index), choices[index], float(scores[index])) for index in ranked)
        return Choices(rows, bool(found["cut"].any()))


JOBS: dict[str, type[TextFileJob]] = {
    "answer": AnswerQuestions,
    "classify": Classify,
    "tag": Tag,
    "fill": Fill,
    "choose": Choose,
    "next_sentence": JudgeNextSentence,
    "embed": Embed,
}


def _name(names: Sequence[str], number: int) -> str:
    return names[number] if number < len(names) else default_name(int(number))
