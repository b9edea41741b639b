"""Model: a loaded bundle that answers texts in onnxruntime, without torch and without transformers.

    model = mbert_onnx.load("mobilebert-squad-onnx")
    model.answer("Who wrote it?", "It was written by Ada.")[0].answer

Questions, entities, masks and embeddings read a long text whole, in overlapping windows. Tasks with one label or score
per text truncate it, and set `truncated` in the result.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from mbert_onnx.bundles.inputs import Inputs, first_line, inputs_of
from mbert_onnx.bundles.ports import CORRECT_TASK, check_axes, with_outputs
from mbert_onnx.bundles.reader import Bundle
from mbert_onnx.bundles.records import METADATA
from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.runtime.answers import (
    Choices,
    Classification,
    FilledMask,
    NextSentence,
    choose,
    classify_logits,
    filled_mask,
    next_sentence,
    normalized,
    pooling_weights,
    softmax,
)
from mbert_onnx.runtime.batching import RowRunner
from mbert_onnx.runtime.entities import (
    AGGREGATIONS,
    Aggregation,
    Entity,
    TokenEntity,
    group_tokens,
    label_tokens,
    label_words,
    without_outside,
)
from mbert_onnx.runtime.spans import Answer, merge_windows, window_answers
from mbert_onnx.text.encoder import DEFAULT_MAX_POSITIONS, QUESTION_WINDOW, TextEncoder, Window, check_text
from mbert_onnx.text.name_lists import name_list
from mbert_onnx.text.sentence_embedding import settings_in
from mbert_onnx.text.tasks import (
    FEATURE_EXTRACTION,
    FILL_MASK,
    MULTIPLE_CHOICE,
    NEXT_SENTENCE_PREDICTION,
    PRETRAINING,
    QUESTION_ANSWERING,
    TEXT_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    Task,
    task_of_graph,
)
from mbert_onnx.text.tokenizer import padding_in_config

# Defaults of transformers' pipelines.
MAX_ANSWER_LEN = 15
FILL_TOP_K = 5

# The method for each task; `pretraining` has two heads, and `run` uses the masked LM's.
METHODS: dict[str, str] = {
    QUESTION_ANSWERING.name: "answer",
    TEXT_CLASSIFICATION.name: "classify",
    TOKEN_CLASSIFICATION.name: "tag",
    FILL_MASK.name: "fill",
    MULTIPLE_CHOICE.name: "choose",
    NEXT_SENTENCE_PREDICTION.name: "next_sentence",
    PRETRAINING.name: "fill",
    FEATURE_EXTRACTION.name: "embed",
}

# The options of `mbert-onnx run` for the methods' arguments, which error messages name.
OPTIONS = {
    "context": "--context",
    "pair": "--pair",
    "choices": "--choice",
    "top_k": "--top-k",
    "max_answer_len": "--max-answer-len",
    "handle_impossible_answer": "--no-answer",
    "normalize": "--normalize",
    "aggregation": "--aggregation",
}


class Model:
    """A loaded bundle. Its methods are thread-safe."""

    def __init__(self, bundle: Bundle, session: Any) -> None:
        output_names = [node.name for node in session.get_outputs()]
        task = task_of_graph(bundle.task, output_names)
        session = with_outputs(session, task or bundle.task, by_order=False)
        if task is None and not bundle.task.is_answered_by([node.name for node in session.get_outputs()]):
            from mbert_onnx.bundles.limits import with_tried_outputs  # here, because our bundles need no `graphs`

            session = with_tried_outputs(session, bundle)
        if task is None and bundle.task.is_answered_by([node.name for node in session.get_outputs()]):
            task = bundle.task
        if task is None:
            raise BundleError(
                f"{bundle.model_path} has the outputs {name_list(output_names)}, but {bundle.task.name} needs "
                f"{', '.join(bundle.task.output_names)}. Export it for {bundle.task.name}, or correct the task."
            )
        check_axes(session, task, str(bundle.model_path), advice=CORRECT_TASK)
        self.bundle = bundle
        self.config = bundle.config
        self.session = session
        self.task: Task = task
        self.inputs: Inputs = inputs_of(session, task, str(bundle.model_path))
        record = (bundle.metadata or {}).get("sentence_embedding")
        self._embedding = None if record is None else settings_in(record, bundle.folder / METADATA)
        self._encoder = None if bundle.tokenizer_path is None else self._load_encoder(bundle.tokenizer_path)
        # As in transformers, the tokenizer's: the config's stays 0 where a vocabulary has [PAD] in another place.
        padding = None if self._encoder is None else self._encoder.padding_id
        padding = padding_in_config(self.config.get("pad_token_id")) if padding is None else padding
        self._runner = RowRunner(session, task, self.inputs, padding, str(bundle.model_path))

    @property
    def tokenizer(self) -> TextEncoder:
        """The bundle's tokenizer. Raises BundleError where it has none."""
        if self._encoder is None:
            raise BundleError(
                f"{self.bundle.folder} has no tokenizer.json, which text needs. "
                "Copy the checkpoint's there, or call `logits` with token ids."
            )
        return self._encoder

    def run(
        self,
        text: Any,
        *,
        context: str | None = None,
        pair: str | None = None,
        choices: Sequence[str] | None = None,
        **options: Any,
    ) -> Any:
        """Calls the method for this model's task; `text` is its first argument (the question, the prompt).

        `options` are the other arguments of that method, such as `top_k`; None means its default. Raises UsageError
        for arguments that the method does not have, or that are missing.
        """
        name = METHODS[self.task.name]
        method = getattr(self, name)
        given = {"context": context, "pair": pair, "choices": choices, **options}
        given = {key: value for key, value in given.items() if value is not None}
        _, *parameters = inspect.signature(method).parameters.values()
        takes = [parameter.name for parameter in parameters]
        for key in given:
            if key not in takes:
                known = ", ".join(OPTIONS[other] for other in takes if other in OPTIONS)
                raise UsageError(
                    f"{_option(key)} is not for {self.task.name}, which takes {known or 'only a text'}; leave it out"
                )
        for parameter in parameters:
            if parameter.default is parameter.empty and parameter.name not in given:
                raise UsageError(f"{self.task.name} needs {_option(parameter.name)}, which is missing; give it")
        return method(text, **given)

    __call__ = run

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
        """Returns the `top_k` best answers to a question, best first; fewer if the context has fewer.

        `max_answer_len` and `max_seq_len` are in tokens. A longer context is read in windows of `max_seq_len` (default:
        384, or the model's maximum) that overlap by `stride` tokens (default: 128, or half a window). With
        `handle_impossible_answer` the result may hold an empty answer, for a context without one. Raises UsageError if
        the question fills a window.
        """
        self._expect("answer", QUESTION_ANSWERING)
        expect_positive(top_k=top_k, max_answer_len=max_answer_len)
        if max_seq_len is None:
            max_seq_len = min(QUESTION_WINDOW, self.tokenizer.max_length)
        tokens, windows = self.tokenizer.windows(context, question, max_seq_len=max_seq_len, stride=stride)
        found: list[list[Answer]] = []
        no_answer = 1.0
        for number, (start_logits, end_logits) in self._runner.run(windows, "start_logits", "end_logits"):
            window = windows[number]
            answers, null_score = window_answers(
                start_logits,
                end_logits,
                context=slice(window.begin, window.begin + window.count),
                null=0 if self.tokenizer.has_null_token else None,
                first=window.first,
                tokens=tokens,
                top_k=top_k,
                max_answer_len=max_answer_len,
            )
            found.append(answers)
            no_answer = min(no_answer, null_score)  # one window with an answer is enough
        if handle_impossible_answer:
            found.append([Answer("", no_answer, 0, 0)])
        return merge_windows(found, top_k)

    def classify(self, text: str, pair: str | None = None, *, top_k: int | None = None) -> Classification:
        """Returns the labels of a text, or of a pair of texts, best first: the `top_k` best, or all."""
        self._expect("classify", TEXT_CLASSIFICATION)
        if top_k is not None:
            expect_positive(top_k=top_k)
        row, truncated = self.tokenizer.truncated(text, pair)
        [(_, [logits])] = self._runner.run([row], "logits")
        return classify_logits(logits, self.config, top_k=top_k, truncated=truncated)

    def tag(
        self, text: str, *, aggregation: Aggregation = "simple", stride: int | None = None
    ) -> list[Entity] | list[TokenEntity]:
        """Returns the entities of a text, in order; with `aggregation="none"` every token whose label is not `O`.

        `simple` groups tokens, so a word may be split where the labels of its tokens differ. `first` and `max` give
        each word one label: that of its first token, or of its token with the highest probability.

        A text longer than the model reads is split into windows that overlap by `stride` tokens; each token's label
        comes from the window in which it has the most context.
        """
        self._expect("tag", TOKEN_CLASSIFICATION)
        if aggregation not in AGGREGATIONS:
            raise UsageError(f"--aggregation is {aggregation}; expected one of {', '.join(AGGREGATIONS)}")
        tokens, windows = self.tokenizer.windows(text, stride=stride)
        owned = {number: logits[windows[number].owned] for number, [logits] in self._runner.run(windows, "logits")}
        logits = np.concatenate([owned[number] for number in range(len(windows))])
        entities = label_tokens(
            logits,
            tokens,
            self.config,
            unknown_token=self.tokenizer.unknown_token,
            first_index=windows[0].begin,
        )
        if aggregation == "none":
            return without_outside(entities)
        if aggregation != "simple":
            entities = label_words(entities, tokens.words, self.tokenizer.join, aggregation)
        return group_tokens(entities, self.tokenizer.join)

    def fill(self, text: str, *, top_k: int = FILL_TOP_K, stride: int | None = None) -> list[FilledMask]:
        """Returns the `top_k` best tokens for each mask token (`[MASK]`) of a text, in order.

        A long text is split into windows, as in `tag`. Raises UsageError if there is no mask.
        """
        self._expect("fill", FILL_MASK, PRETRAINING)
        expect_positive(top_k=top_k)
        encoder = self.tokenizer
        mask_id = encoder.mask_id
        tokens, windows = encoder.windows(text, stride=stride)
        masks = [place for place, token in enumerate(tokens.ids) if token == mask_id]
        if not masks:
            raise UsageError(f"The text has no {encoder.mask_token}. Put one where a token is missing.")
        windows = [window for window in windows if any(window.owned_from <= mask < window.owned_to for mask in masks)]
        filled: dict[int, FilledMask] = {}
        for number, [logits] in self._runner.run(windows, self.task.outputs[0].name):
            window = windows[number]
            for mask in (mask for mask in masks if window.owned_from <= mask < window.owned_to):
                scores = softmax(logits[mask - window.first + window.begin])
                filled[mask] = filled_mask(self.tokenizer, text, tokens.offsets[mask], scores, top_k)
        return [filled[mask] for mask in masks]

    def embed(self, text: str | Sequence[str], *, normalize: bool = False, stride: int | None = None) -> np.ndarray:
        """Returns the mean of a text's hidden states, special tokens included: float32 `[hidden]` or `[texts, hidden]`.

        A long text is split into windows, as in `tag`: each token counts once, with the state from the window in which
        it has the most context; the special tokens of all n windows have weight 1/n each. With `normalize` vectors have
        length 1.

        For a model of sentence-transformers it returns the vectors that its `encode` returns: texts are cut at the
        model's length, unless `stride` is given, and vectors have length 1 if it normalizes them.
        """
        self._expect("embed", FEATURE_EXTRACTION)
        texts = [text] if isinstance(text, str) else list(text)
        if not texts:
            raise UsageError("There is no text to embed. Give a text, or a list of texts.")
        parts = [self._windows_to_embed(one, stride) for one in texts]
        owners = [number for number, windows in enumerate(parts) for _ in windows]
        windows = [window for windows in parts for window in windows]
        sums: list[Any] = [0.0] * len(texts)
        masses = np.zeros((len(texts), 1))
        for place, [states] in self._runner.run(windows, "last_hidden_state"):
            owner = owners[place]
            weights = pooling_weights(windows[place], len(parts[owner]))
            sums[owner] = sums[owner] + weights @ states
            masses[owner] += weights.sum()
        vectors = (np.stack(sums) / masses).astype(np.float32)
        if normalize or (self._embedding is not None and self._embedding.normalize):
            vectors = normalized(vectors)
        return vectors[0] if isinstance(text, str) else vectors

    def next_sentence(self, text: str, pair: str) -> NextSentence:
        """Returns the probability that `pair` follows `text`."""
        self._expect("next_sentence", NEXT_SENTENCE_PREDICTION, PRETRAINING)
        check_text(pair, "second text")
        row, truncated = self.tokenizer.truncated(text, pair)
        [(_, [logits])] = self._runner.run([row], self.task.outputs[-1].name)
        return next_sentence(logits, truncated=truncated)

    def choose(self, prompt: str, choices: Sequence[str]) -> Choices:
        """Returns the probability of each of two or more choices after a prompt, best first."""
        self._expect("choose", MULTIPLE_CHOICE)
        check_choices(choices)
        rows, cuts = zip(*(self.tokenizer.truncated(prompt, choice) for choice in choices), strict=True)
        logits = np.empty(len(rows), dtype=np.float32)
        for number, [score] in self._runner.run(rows, "logits"):
            logits[number] = score
        return choose(logits, choices, truncated=any(cuts))

    def logits(self, input_ids: Any, attention_mask: Any = None, token_type_ids: Any = None) -> dict[str, np.ndarray]:
        """Runs the graph on token ids and returns every output by name.

        The arguments are integers `[batch, sequence]`, or `[batch, choices, sequence]` for multiple choice. Default of
        the mask: ones; of the token types: zeros. Inputs that the graph does not have are dropped; the others are cast
        to its integer type. Raises UsageError for shapes that the graph does not take.
        """
        ids = np.asarray(input_ids)
        given = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids) if attention_mask is None else np.asarray(attention_mask),
            "token_type_ids": np.zeros_like(ids) if token_type_ids is None else np.asarray(token_type_ids),
        }
        wrong = [name for name, values in given.items() if values.dtype.kind not in "iub" or values.shape != ids.shape]
        if wrong:
            raise UsageError(
                f"{wrong[0]} is {given[wrong[0]].dtype} of shape {list(given[wrong[0]].shape)}, expected integers of "
                f"the shape of input_ids, {list(ids.shape)}. Give arrays of token ids."
            )
        names = [node.name for node in self.session.get_outputs()]
        feeds = self.inputs.typed(given)
        try:
            values = self.session.run(names, feeds)
        except Exception as error:
            shape = next(node.shape for node in self.session.get_inputs() if node.name == "input_ids")
            raise UsageError(
                f"onnxruntime cannot run input_ids of shape {list(ids.shape)} (the model's is {shape}): "
                f"{first_line(error)} Give that shape."
            ) from error
        return dict(zip(names, values, strict=True))

    def _windows_to_embed(self, text: str, stride: int | None) -> list[Window]:
        settings = self._embedding
        if settings is None:
            return self.tokenizer.windows(text, stride=stride)[1]
        prepared = settings.prepared(check_text(text, "text"))
        if stride is not None:
            return self.tokenizer.windows(prepared, stride=stride)[1]
        length = min(settings.max_seq_length, self.tokenizer.max_length)
        return self.tokenizer.windows(prepared, max_seq_len=length, stride=0)[1][:1]

    def _load_encoder(self, path: Path) -> TextEncoder:
        vocab_size, segments = self.config.get("vocab_size"), self.config.get("type_vocab_size")
        return TextEncoder(
            path,
            self.inputs.sequence or int(self.config.get("max_position_embeddings") or DEFAULT_MAX_POSITIONS),
            vocab_size=None if vocab_size is None else int(vocab_size),
            segments=None if segments is None else int(segments),
        )

    def _expect(self, method: str, *tasks: Task) -> None:
        if self.task not in tasks:
            names = " or ".join(task.name for task in tasks)
            fitting = METHODS[self.task.name]
            raise UsageError(f"`{method}` is for {names}, but this model does {self.task.name}. Call `{fitting}`.")


def _option(argument: str) -> str:
    """Returns the option of `mbert-onnx run` for an argument, or the argument where there is none."""
    return OPTIONS.get(argument, argument)


def check_choices(choices: Sequence[str]) -> None:
    """Raises UsageError for choices that are not two or more texts."""
    if isinstance(choices, str) or len(choices) < 2:
        found = "one text" if isinstance(choices, str) else f"a list of {len(choices)}"
        raise UsageError(f"--choice is {found}; expected two or more texts, one for each choice")
    for choice in choices:
        check_text(choice, "choice")


def expect_positive(**values: int) -> None:
    """Raises UsageError for an argument that is not a whole number from 1 on."""
    for name, value in values.items():
        if not isinstance(value, Integral) or value < 1:
            raise UsageError(f"{_option(name)} is {value}; expected a whole number from 1 on")
