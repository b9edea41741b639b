"""The part of a text file behind the model: the function of the task's answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from graphs.functions.answers.answer_spans import answer_spans
from graphs.functions.answers.choice_scores import choice_scores
from graphs.functions.answers.entities import EntityNames, entities
from graphs.functions.answers.label_scores import label_scores
from graphs.functions.answers.mask_tokens import mask_tokens
from graphs.functions.answers.sentence_embedding import sentence_embedding
from graphs.functions.answers.word_labels import word_labels
from graphs.functions.text_file.additions import Additions
from graphs.functions.text_file.layout import Layout
from graphs.functions.text_file.options import (
    FEATURE_EXTRACTION,
    FILL_MASK,
    MULTIPLE_CHOICE,
    NEXT_SENTENCE_PREDICTION,
    PRETRAINING,
    QUESTION_ANSWERING,
    SENTENCE_SIMILARITY,
    TEXT_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    TextOptions,
)
from graphs.functions.text_file.tokens import ZERO, Tokenized


@dataclass(frozen=True)
class _Parts:
    """Operands of an answer: the model's outputs, the tokens, and the inputs of the file."""

    g: Additions
    logits: list[ir.Value]
    tokens: Tokenized
    inputs: Mapping[str, ir.Value]
    options: TextOptions

    @property
    def opset(self) -> int:
        return self.g.model.graph.opset_imports[""]

    def call(self, function: ir.Function, *operands: ir.Value) -> dict[str, ir.Value]:
        """Adds a call of a function; returns its outputs, which have the function's names."""
        names = [str(value.name) for value in function.outputs]
        return dict(zip(names, self.g.call(function, operands, names), strict=True))


def answer(
    g: Additions,
    logits: list[ir.Value],
    tokens: Tokenized,
    inputs: Mapping[str, ir.Value],
    options: TextOptions,
    layout: Layout,
) -> dict[str, ir.Value]:
    """Adds the answer of a task; returns the outputs of a text file by name.

    Args:
        g: Adds the nodes.
        logits: The outputs of the model that the task's answer is computed from.
        tokens: The tokens that the model has read.
        inputs: The inputs of the file.
        options: Its settings.
        layout: Its layout.
    """
    return {**ANSWERS[options.task](_Parts(g, logits, tokens, inputs, options)), "cut": tokens["cut"]}


def _labels(parts: _Parts) -> dict[str, ir.Value]:
    return parts.call(label_scores(parts.options.problem, parts.opset), *parts.logits, parts.inputs["top_k"])


def _next_sentence(parts: _Parts) -> dict[str, ir.Value]:
    return parts.call(choice_scores(parts.opset), *parts.logits)


def _choices(parts: _Parts) -> dict[str, ir.Value]:
    count = parts.tokens.count
    assert count is not None
    # A model of a fixed number of choices computes more than there are.
    given = parts.g("Slice", *parts.logits, ZERO, count, np.array([1]))
    return parts.call(choice_scores(parts.opset), given)


def _spans(parts: _Parts) -> dict[str, ir.Value]:
    tokens, inputs = parts.tokens, parts.inputs
    assert tokens.splits is not None
    return parts.call(
        answer_spans(parts.opset, context=0 if parts.options.context_first else 1),
        *parts.logits,
        *(tokens[name] for name in ("word_offsets", "sequence_ids", "row_texts")),
        inputs["context"],
        tokens.splits,
        *(inputs[name] for name in ("top_k", "longest_answer", "allow_no_answer")),
    )


def _entities(parts: _Parts) -> dict[str, ir.Value]:
    tokens = [parts.tokens[name] for name in ("offsets", "owned", "row_texts")]
    labels = parts.call(word_labels("token", parts.opset), *parts.logits, *tokens)
    names = EntityNames.of(parts.options.labels)
    return {**parts.call(entities(names, parts.opset), *labels.values()), **labels}


def _masks(parts: _Parts) -> dict[str, ir.Value]:
    mask = parts.options.mask_id
    assert mask is not None
    tokens = [parts.tokens[name] for name in ("input_ids", "offsets", "owned", "row_texts")]
    return parts.call(mask_tokens(mask, parts.opset), *parts.logits, *tokens, parts.inputs["top_k"])


def _embedding(parts: _Parts) -> dict[str, ir.Value]:
    tokens = [parts.tokens[name] for name in ("attention_mask", "sequence_ids", "owned", "row_texts")]
    return parts.call(sentence_embedding(parts.opset, normalize=parts.options.normalize), *parts.logits, *tokens)


def _vector(parts: _Parts) -> dict[str, ir.Value]:
    """The model's own vectors: a text is one row."""
    [vector] = parts.logits
    float32 = vector.dtype in (None, ir.DataType.FLOAT)
    return {"sentence_embedding": vector if float32 else parts.g("Cast", vector, to=int(ir.DataType.FLOAT))}


ANSWERS: dict[str, Callable[[_Parts], dict[str, ir.Value]]] = {
    TEXT_CLASSIFICATION: _labels,
    NEXT_SENTENCE_PREDICTION: _next_sentence,
    MULTIPLE_CHOICE: _choices,
    QUESTION_ANSWERING: _spans,
    TOKEN_CLASSIFICATION: _entities,
    FILL_MASK: _masks,
    PRETRAINING: _masks,
    FEATURE_EXTRACTION: _embedding,
    SENTENCE_SIMILARITY: _vector,
}
