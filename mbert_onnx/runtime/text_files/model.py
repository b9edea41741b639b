"""Model of a text file: onnxruntime reads the text and returns the answer; Python only names labels and cuts spans.

    model = mbert_onnx.load("bundle/onnx/model_text.onnx")
    model.answer("Who wrote it?", "It was written by Ada.")[0].answer

Results are those of the ordinary model file, which `mbert_onnx.runtime.model` tokenizes for, except that the word of an
entity is its text, and not its tokens joined.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from mbert_onnx.bundles.reader import Bundle
from mbert_onnx.bundles.records import TEXT_VARIANTS, VARIANTS
from mbert_onnx.bundles.session_errors import session_error
from mbert_onnx.errors import BundleError, UsageError
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
from mbert_onnx.runtime.entities import AGGREGATIONS, Aggregation, Entity, TokenEntity, without_outside
from mbert_onnx.runtime.model import FILL_TOP_K, MAX_ANSWER_LEN, Model, check_choices, expect_positive
from mbert_onnx.runtime.spans import Answer
from mbert_onnx.runtime.text_files.record import OUTPUTS, TextRecord
from mbert_onnx.runtime.text_files.spans import encoded, in_characters
from mbert_onnx.runtime.text_files.vocabulary import read_vocabulary
from mbert_onnx.text.encoder import TextEncoder, check_text
from mbert_onnx.text.labels import default_name
from mbert_onnx.text.tasks import (
    FEATURE_EXTRACTION,
    FILL_MASK,
    MULTIPLE_CHOICE,
    NEXT_SENTENCE_PREDICTION,
    PRETRAINING,
    QUESTION_ANSWERING,
    TEXT_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
)

# The index of a text's first token in its row, behind the special token that begins it.
FIRST_INDEX = 1
DEFAULT_STRIDE = -1
# A number of answers or tokens that is larger means all, too.
LARGEST = np.iinfo(np.int64).max


class TextFileModel(Model):
    """A loaded text file. Its methods are thread-safe, and need no `tokenizers`.

    It has the methods of `Model`. What the file cannot do, such as other tasks, `logits` of token ids, or an
    aggregation to words, is refused by name.

    Args:
        path: The file.
        session: Its onnxruntime session.
    """

    def __init__(self, path: Path, session: Any) -> None:
        self.path = path
        self.session = session
        self.record = TextRecord.of(session.get_modelmeta().custom_metadata_map, path)
        self.task = self.record.task
        self.config: dict[str, Any] = {}
        self.bundle = Bundle(path.parent, path, self.config, None, self.task, None, {})
        self._encoder = None
        self.vocabulary: Mapping[int, str] | None = None  # the text of each token by id; read when it is needed
        self._inputs = {node.name for node in (*session.get_inputs(), *session.get_overridable_initializers())}
        self._outputs = [node.name for node in session.get_outputs()]

    @property
    def tokenizer(self) -> TextEncoder:
        """Raises UsageError: a text file tokenizes by itself."""
        self._refuse("has its tokenizer inside, for onnxruntime only")

    def logits(self, *_arguments: Any, **_named: Any) -> dict[str, np.ndarray]:
        """Raises UsageError: a text file takes texts."""
        self._refuse("takes texts, and no token ids")

    def answer(
        self,
        question: str,
        context: str,
        *,
        top_k: int = 1,
        max_answer_len: int = MAX_ANSWER_LEN,
        max_seq_len: int | None = None,
        stride: int | None = None,
        handle_impossible_answer: bool = False,
    ) -> list[Answer]:
        """Returns the `top_k` best answers to a question, as `Model.answer` does."""
        self._expect("answer", QUESTION_ANSWERING)
        expect_positive(top_k=top_k, max_answer_len=max_answer_len)
        data, asked = encoded(check_text(context, "context")), encoded(check_text(question, "question"))
        most = self.record.max_length if max_seq_len is None else max_seq_len
        feeds = {
            "text": asked,
            "context": data,
            "top_k": _number(top_k),
            "longest_answer": _number(max_answer_len),
            "allow_no_answer": np.array([bool(handle_impossible_answer)]),
        }
        if 2 * len(asked) > most:
            # A question that fills its row leaves a window for each single token of the context: it is refused without.
            alone = self._run(feeds | {"context": data[:0]}, max_length=most, stride=stride)
            _check_question(alone, most)
        found = self._run(feeds, max_length=most, stride=stride)
        of_context = _check_question(found, most)
        self._log_cut(of_context, "context")
        scores, spans = found["scores"][0], found["spans"][0]
        places = in_characters(data, spans)
        return [
            Answer(context[start:end], float(score), start, end)
            for score, (start, end) in zip(scores, places, strict=True)
            if score >= 0
        ]

    def classify(self, text: str, pair: str | None = None, *, top_k: int | None = None) -> Classification:
        """Returns the labels of a text, or of a pair of texts for a file of pairs, as `Model.classify` does."""
        self._expect("classify", TEXT_CLASSIFICATION)
        if pair is not None and not self.record.pair:
            # A model of one token type has no text file of pairs.
            advice = None if self.record.token_types == 1 else "export it with --text-pair"
            self._refuse("reads one text, and no --pair", advice)
        if pair is None and self.record.pair:
            self._refuse("reads pairs of texts, and --pair is missing", "give it, or export with --text")
        feeds = {"text": encoded(check_text(text, "text"))}
        if pair is not None:
            feeds["pair"] = encoded(check_text(pair, "second text"))
        if top_k is not None:
            expect_positive(top_k=top_k)
            feeds["top_k"] = _number(top_k)
        found = self._run(feeds)
        labels = zip(found["labels"][0], found["scores"][0], strict=True)
        names = (LabelScore(_name(self.record.labels, label), float(score)) for label, score in labels)
        return Classification(tuple(names), bool(found["cut"].any()))

    def tag(
        self, text: str, *, aggregation: Aggregation = "simple", stride: int | None = None
    ) -> list[Entity] | list[TokenEntity]:
        """Returns the entities of a text, in order, as `Model.tag` does; `word` is the text of each.

        `aggregation` is `simple` or `none`: a text file has one grouping inside.
        """
        self._expect("tag", TOKEN_CLASSIFICATION)
        if aggregation not in AGGREGATIONS:
            raise UsageError(f"--aggregation is {aggregation}; expected one of {', '.join(AGGREGATIONS)}")
        if aggregation in ("first", "max"):
            self._refuse(f"groups tokens, and no words: it has no --aggregation {aggregation}")
        data = encoded(check_text(text, "text"))
        found = self._run({"text": data}, stride=stride)
        self._log_cut(found, "text")
        if aggregation == "simple":
            places = in_characters(data, found["entity_spans"])
            rows = zip(found["entities"], found["entity_scores"], places, strict=True)
            return [
                Entity(_name(self.record.entities, entity), float(score), text[start:end], start, end)
                for entity, score, (start, end) in rows
            ]
        rows = zip(found["labels"], found["scores"], in_characters(data, found["spans"]), strict=True)
        return without_outside(
            [
                TokenEntity(_name(self.record.labels, label), float(score), index, text[start:end], start, end)
                for index, (label, score, (start, end)) in enumerate(rows, FIRST_INDEX)
            ]
        )

    def fill(self, text: str, *, top_k: int = FILL_TOP_K, stride: int | None = None) -> list[FilledMask]:
        """Returns the `top_k` best tokens for each mask token of a text, as `Model.fill` does.

        Their texts are in the model's `vocab.txt` or `tokenizer.json` beside the file.
        """
        self._expect("fill", FILL_MASK, PRETRAINING)
        expect_positive(top_k=top_k)
        data = encoded(check_text(text, "text"))
        found = self._run({"text": data, "top_k": _number(top_k)}, stride=stride)
        self._log_cut(found, "text")
        if not len(found["tokens"]):
            raise UsageError(f"The text has no {self.record.mask_token}. Put one where a token is missing.")
        if self.vocabulary is None:
            self.vocabulary = read_vocabulary(self.path, self.record.vocabulary)
        places = in_characters(data, found["spans"])
        masks = []
        for (start, end), tokens, scores in zip(places, found["tokens"], found["scores"], strict=True):
            names = [self.vocabulary.get(int(token), str(token)) for token in tokens]
            filled = (
                FilledToken(float(score), int(token), name, fill_text(text, start, end, name, self.record.continuation))
                for token, name, score in zip(tokens, names, scores, strict=True)
            )
            masks.append(FilledMask(start, end, tuple(filled)))
        return masks

    def embed(self, text: str | Sequence[str], *, normalize: bool = False, stride: int | None = None) -> np.ndarray:
        """Returns the vector of each text, as `Model.embed` does: float32 `[hidden]` or `[texts, hidden]`."""
        self._expect("embed", FEATURE_EXTRACTION)
        texts = [text] if isinstance(text, str) else list(text)
        if not texts:
            raise UsageError("There is no text to embed. Give a text, or a list of texts.")
        # One by one, so that no text changes the vector of another.
        found = (self._run({"text": encoded(check_text(one, "text"))}, stride=stride) for one in texts)
        vectors: np.ndarray = np.concatenate([outputs["sentence_embedding"] for outputs in found])
        if normalize:
            vectors = normalized(vectors)
        return vectors[0] if isinstance(text, str) else vectors

    def next_sentence(self, text: str, pair: str) -> NextSentence:
        """Returns the probability that `pair` follows `text`."""
        if self.task is PRETRAINING:
            self._refuse("fills masks, and does not compute whether a text follows")
        self._expect("next_sentence", NEXT_SENTENCE_PREDICTION)
        second = encoded(check_text(pair, "second text"))
        found = self._run({"text": encoded(check_text(text, "text")), "pair": second})
        is_next, not_next = found["scores"][0]
        return NextSentence(float(is_next), float(not_next), bool(found["cut"].any()))

    def choose(self, prompt: str, choices: Sequence[str]) -> Choices:
        """Returns the probability of each of two or more choices after a prompt, best first."""
        self._expect("choose", MULTIPLE_CHOICE)
        check_choices(choices)
        if self.record.choices is not None and len(choices) > self.record.choices:
            self._refuse(f"takes {self.record.choices} choices, not {len(choices)}")
        parts = [encoded(check_text(choice, "choice")) for choice in choices]
        found = self._run(
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

    def _run(
        self, feeds: dict[str, np.ndarray], *, max_length: int | None = None, stride: int | None = None
    ) -> dict[str, np.ndarray]:
        """Runs the file on one text. Raises UsageError for what it has no input for, and BundleError if it fails."""
        limit = self.record.limit
        if max_length is not None and not 0 < max_length <= limit:
            raise UsageError(
                f"max_seq_len is {max_length}, but the model takes 1 to {limit} tokens. Give one of those."
            )
        if stride is not None:
            if "stride" not in self._inputs:
                self._refuse("reads a text in one row, and takes no stride")
            if not 0 <= stride < limit:
                raise UsageError(f"stride is {stride}; expected a whole number from 0 to {limit - 1}")
        given = feeds | {"max_length": _number(self.record.max_length if max_length is None else max_length)}
        given |= {"stride": _number(DEFAULT_STRIDE if stride is None else stride)} if "stride" in self._inputs else {}
        missing = [name for name in given if name not in self._inputs]
        if missing:
            raise BundleError(f"{self.path} has no input {missing[0]}, which {self.task.name} needs; export it again")
        try:
            values = self.session.run(self._outputs, given)
        except Exception as error:  # onnxruntime's exceptions have no common base class
            raise BundleError(session_error("run", str(self.path), error)) from error
        found = dict(zip(self._outputs, values, strict=True))
        for name, axes in OUTPUTS[self.task.name].items():
            if name not in found or np.ndim(found[name]) != axes:
                what = "no output" if name not in found else f"an output of {np.ndim(found[name])} axes, not {axes},"
                raise BundleError(f"{self.path} has {what} {name}, which {self.task.name} has; export it again")
        return found

    def _log_cut(self, found: dict[str, np.ndarray] | int, what: str) -> None:
        """Logs how much of a text a file of fixed length did not read, where the model file would read windows."""
        count = found if isinstance(found, int) else int(found["cut"].sum()) if "cut" in found else 0
        if count:
            logging.getLogger("mbert_onnx").warning(
                "%s tokens of the %s were not read: %s takes rows of at most %s tokens",
                count,
                what,
                self.path,
                self.record.limit,
            )

    def _refuse(self, reason: str, advice: str | None = None) -> NoReturn:
        """Raises UsageError for what a text file does not do, with the ordinary file that does it."""
        name = dict(zip(TEXT_VARIANTS.values(), VARIANTS.values(), strict=True))
        ordinary = self.path.with_name(Path(name.get(f"onnx/{self.path.name}", VARIANTS["fp32"])).name)
        instead = f"give {ordinary}" if ordinary.is_file() else "give the ordinary model file of its bundle"
        raise UsageError(f"{self.path} is a text file, which {reason}; {f'{advice}, or ' if advice else ''}{instead}")


def _check_question(found: dict[str, np.ndarray], most: int) -> int:
    """Returns how many tokens of the context were cut. Raises UsageError where tokens of the question were."""
    of_question, of_context = map(int, found["cut"][0])
    if of_question > 0:
        raise UsageError(
            f"The question is {of_question} {'token' if of_question == 1 else 'tokens'} too long for a row of {most} "
            "tokens with a part of the context. Shorten the question."
        )
    return of_context


def _number(value: int) -> np.ndarray:
    return np.array([min(value, LARGEST)], np.int64)


def _name(names: Sequence[str], number: int) -> str:
    return names[number] if number < len(names) else default_name(int(number))
