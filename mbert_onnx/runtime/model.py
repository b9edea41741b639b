"""Model: a loaded bundle that answers texts in onnxruntime, without torch and without transformers.

    model = mbert_onnx.load("mobilebert-squad-onnx")
    model.answer("Who wrote it?", "It was written by Ada.")[0].answer

Questions, entities, masks and embeddings read a long text whole, in overlapping windows. Tasks with one label or score
per text truncate it, and set `truncated` in the result.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mbert_onnx.bundles.inputs import Inputs, first_line, inputs_of
from mbert_onnx.bundles.ports import CORRECT_TASK, check_axes, with_outputs
from mbert_onnx.bundles.reader import Bundle
from mbert_onnx.bundles.records import METADATA
from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.runtime.jobs.arguments import METHODS, OPTIONS, option
from mbert_onnx.runtime.jobs.batching import RowRunner
from mbert_onnx.runtime.jobs.choices import Choose
from mbert_onnx.runtime.jobs.embeddings import Embed
from mbert_onnx.runtime.jobs.job import Job, RowJob, RowModel
from mbert_onnx.runtime.jobs.labels import Classify, JudgeNextSentence
from mbert_onnx.runtime.jobs.masks import Fill
from mbert_onnx.runtime.jobs.methods import TaskMethods
from mbert_onnx.runtime.jobs.questions import AnswerQuestions
from mbert_onnx.runtime.jobs.tagging import Tag
from mbert_onnx.text.encoder import DEFAULT_MAX_POSITIONS, TextEncoder
from mbert_onnx.text.name_lists import name_list
from mbert_onnx.text.sentence_embedding import settings_in
from mbert_onnx.text.tasks import (
    FEATURE_EXTRACTION,
    FILL_MASK,
    MULTIPLE_CHOICE,
    NEXT_SENTENCE_PREDICTION,
    PRETRAINING,
    QUESTION_ANSWERING,
    SENTENCE_SIMILARITY,
    TEXT_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    Task,
    task_of_graph,
)
from mbert_onnx.text.tokenizer import padding_in_config

# The tasks of each method.
TASKS: dict[str, tuple[Task, ...]] = {
    "answer": (QUESTION_ANSWERING,),
    "classify": (TEXT_CLASSIFICATION,),
    "tag": (TOKEN_CLASSIFICATION,),
    "fill": (FILL_MASK, PRETRAINING),
    "choose": (MULTIPLE_CHOICE,),
    "next_sentence": (NEXT_SENTENCE_PREDICTION, PRETRAINING),
    "embed": (SENTENCE_SIMILARITY, FEATURE_EXTRACTION),
}

# The job of each method.
JOBS: dict[str, type[RowJob]] = {
    "answer": AnswerQuestions,
    "classify": Classify,
    "tag": Tag,
    "fill": Fill,
    "choose": Choose,
    "next_sentence": JudgeNextSentence,
    "embed": Embed,
}


class Model(TaskMethods):
    """A loaded bundle. Its methods are thread-safe.

    Each task has a method. It takes one text and returns its result, or a list of texts (a tuple, too) and returns the
    list of their results in the same order. A list is faster than its texts one by one: rows of similar length share a
    run where that does not change their outputs. A text that cannot be read raises the error of a single text with its
    place in the list, counted from 0.
    """

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
                "Copy the checkpoint's there; in Python, `logits` takes token ids."
            )
        return self._encoder

    def run(
        self,
        text: Any,
        *,
        context: str | Sequence[str] | None = None,
        pair: str | Sequence[str] | None = None,
        choices: Sequence[str] | Sequence[Sequence[str]] | None = None,
        **options: Any,
    ) -> Any:
        """Calls the method for this model's task; `text` is its first argument (the question, the prompt), or a list.

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
                    f"{option(key)} is not for {self.task.name}, which takes {known or 'only a text'}; leave it out"
                )
        for parameter in parameters:
            if parameter.default is parameter.empty and parameter.name not in given:
                raise UsageError(f"{self.task.name} needs {option(parameter.name)}, which is missing; give it")
        return method(text, **given)

    __call__ = run

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

    def _job(self, method: str, **options: Any) -> Job:
        self._expect(method)
        if method == "embed" and options.get("stride") is not None:
            self._expect_states()
        model = RowModel(self.tokenizer, self._runner, self.task, self.config, self._embedding)
        return JOBS[method](model, **options)

    def _embedding_size(self) -> int:
        vectors = ("sentence_embedding", "last_hidden_state")
        size = next(node.shape[-1] for node in self.session.get_outputs() if node.name in vectors)
        return int(size if isinstance(size, int) else self.config.get("hidden_size") or 0)

    def _load_encoder(self, path: Path) -> TextEncoder:
        vocab_size, segments = self.config.get("vocab_size"), self.config.get("type_vocab_size")
        return TextEncoder(
            path,
            self.inputs.sequence or int(self.config.get("max_position_embeddings") or DEFAULT_MAX_POSITIONS),
            vocab_size=None if vocab_size is None else int(vocab_size),
            segments=None if segments is None else int(segments),
        )

    def _expect_states(self) -> None:
        """Raises UsageError for a file of vectors alone, where windows of a long text cannot be joined."""
        if "last_hidden_state" not in [node.name for node in self.session.get_outputs()]:
            path = self.bundle.model_path
            raise UsageError(
                f"--stride is for files with the output last_hidden_state, which {path} lacks; leave it out"
            )

    def _expect(self, method: str) -> None:
        """Raises UsageError for a method of another task."""
        if self.task not in TASKS[method]:
            names = " or ".join(task.name for task in TASKS[method])
            fitting = METHODS[self.task.name]
            raise UsageError(f"`{method}` is for {names}, but this model does {self.task.name}. Call `{fitting}`.")
