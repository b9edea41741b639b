"""Jobs of text files: the methods of `Model` on inputs as bytes, with the answers that a file returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

from mbert_onnx.errors import UsageError
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
from mbert_onnx.runtime.text_files.file import TextFile, number_input
from mbert_onnx.runtime.text_files.spans import encoded, in_characters
from mbert_onnx.text.encoder import check_text
from mbert_onnx.text.labels import default_name
from mbert_onnx.text.many_texts import attempted

# The index of a text's first token in its row, behind the special token that begins it.
FIRST_INDEX = 1


class TextFileJob(ABC):
    """Job of a text file, which runs one text after the other, so that no text changes the result of another."""

    def __init__(self, file: TextFile) -> None:
        self.file = file

    def outcomes(self, inputs: Sequence[tuple[Any, ...]], statistics: BatchStatistics) -> list[Any]:
        start = perf_counter()
        found = [attempted(self.result, *arguments) for arguments in inputs]
        statistics.model += perf_counter() - start
        statistics.texts += len(inputs)
        return found

    @abstractmethod
    def result(self, *arguments: Any) -> Any:
        """Returns the result of one input."""


class AnswerQuestions(TextFileJob):
    """Job of `answer`."""

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
        super().__init__(file)
        self._length = file.record.max_length if max_seq_len is None else max_seq_len
        self._stride = stride
        self._feeds = {
            "top_k": number_input(top_k),
            "longest_answer": number_input(max_answer_len),
            "allow_no_answer": np.array([bool(handle_impossible_answer)]),
        }

    def result(self, question: str, context: str) -> list[Answer]:
        data, asked = encoded(check_text(context, "context")), encoded(check_text(question, "question"))
        feeds = {"text": asked, "context": data, **self._feeds}
        if 2 * len(asked) > self._length:
            # A question that fills its row leaves a window for each single token of the context: it is refused without.
            alone = self.file.run(feeds | {"context": data[:0]}, max_length=self._length, stride=self._stride)
            self._check_question(alone)
        found = self.file.run(feeds, max_length=self._length, stride=self._stride)
        self.file.log_cut(self._check_question(found), "context")
        scores, spans = found["scores"][0], found["spans"][0]
        places = in_characters(data, spans)
        return [
            Answer(context[start:end], float(score), start, end)
            for score, (start, end) in zip(scores, places, strict=True)
            if score >= 0
        ]

    def _check_question(self, found: dict[str, np.ndarray]) -> int:
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
        super().__init__(file)
        self._feeds = {}
        if top_k is not None:
            expect_positive(top_k=top_k)
            self._feeds["top_k"] = number_input(top_k)

    def result(self, text: str, pair: str | None) -> Classification:
        record = self.file.record
        if pair is not None and not record.pair:
            # A model of one token type has no text file of pairs.
            advice = None if record.token_types == 1 else "export it with --text-pair"
            self.file.refuse("reads one text, and no --pair", advice)
        if pair is None and record.pair:
            self.file.refuse("reads pairs of texts, and --pair is missing", "give it, or export with --text")
        feeds = {"text": encoded(check_text(text, "text")), **self._feeds}
        if pair is not None:
            feeds["pair"] = encoded(check_text(pair, "second text"))
        found = self.file.run(feeds)
        labels = zip(found["labels"][0], found["scores"][0], strict=True)
        names = (LabelScore(_name(record.labels, label), float(score)) for label, score in labels)
        return Classification(tuple(names), bool(found["cut"].any()))


class Tag(TextFileJob):
    """Job of `tag`; `word` is the text of each entity. A text file has one grouping inside."""

    def __init__(self, file: TextFile, *, aggregation: Aggregation = "simple", stride: int | None = None) -> None:
        check_aggregation(aggregation)
        if aggregation in ("first", "max"):
            file.refuse(f"groups tokens, and no words: it has no --aggregation {aggregation}")
        super().__init__(file)
        self._aggregation = aggregation
        self._stride = stride

    def result(self, text: str) -> list[Entity] | list[TokenEntity]:
        data, record = encoded(check_text(text, "text")), self.file.record
        found = self.file.run({"text": data}, stride=self._stride)
        self.file.log_cut(found, "text")
        if self._aggregation == "simple":
            places = in_characters(data, found["entity_spans"])
            rows = zip(found["entities"], found["entity_scores"], places, strict=True)
            return [
                Entity(_name(record.entities, entity), float(score), text[start:end], start, end)
                for entity, score, (start, end) in rows
            ]
        rows = zip(found["labels"], found["scores"], in_characters(data, found["spans"]), strict=True)
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
        super().__init__(file)
        self._top_k = number_input(top_k)
        self._stride = stride

    def result(self, text: str) -> list[FilledMask]:
        data, record = encoded(check_text(text, "text")), self.file.record
        found = self.file.run({"text": data, "top_k": self._top_k}, stride=self._stride)
        self.file.log_cut(found, "text")
        if not len(found["tokens"]):
            raise UsageError(f"The text has no {record.mask_token}. Put one where a token is missing.")
        places = in_characters(data, found["spans"])
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
        super().__init__(file)
        self._normalize = normalize
        self._stride = stride

    def result(self, text: str) -> np.ndarray:
        found = self.file.run({"text": encoded(check_text(text, "text"))}, stride=self._stride)
        vector: np.ndarray = found["sentence_embedding"][0]
        return normalized(vector) if self._normalize else vector


class JudgeNextSentence(TextFileJob):
    """Job of `next_sentence`."""

    def result(self, text: str, pair: str) -> NextSentence:
        second = encoded(check_text(pair, "second text"))
        found = self.file.run({"text": encoded(check_text(text, "text")), "pair": second})
        is_next, not_next = found["scores"][0]
        return NextSentence(float(is_next), float(not_next), bool(found["cut"].any()))


class Choose(TextFileJob):
    """Job of `choose`: one prompt in a run."""

    def result(self, prompt: str, choices: Sequence[str]) -> Choices:
        check_choices(choices)
        record = self.file.record
        if record.choices is not None and len(choices) > record.choices:
            self.file.refuse(f"takes {record.choices} choices, not {len(choices)}")
        parts = [encoded(check_text(choice, "choice")) for choice in choices]
        found = self.file.run(
            {
                "text": encoded(check_text(prompt, "prompt")),
                "choices": np.concatenate(parts),
                "choice_splits": np.cumsum([0, *map(len, parts)]),
            }
        )
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
