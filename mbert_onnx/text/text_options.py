"""Settings of a text file: what the runtime reads from config.json and the tokenizer's files, for `graphs` as values.

A text file answers as `Model` does, so both take the settings from here: which length, which labels, which scores.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import onnx_ir as ir

from graphs.functions.answers.probabilities import MULTI_LABEL, REGRESSION, SINGLE_LABEL, Problem
from graphs.functions.text.tables.array_store import STORE
from graphs.functions.text.tables.settings import read_settings
from graphs.functions.text.tables.tables import Tables, make_tables
from graphs.functions.text_file.options import TextOptions
from graphs.model.embeddings import rows_of
from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.text.encoder import QUESTION_WINDOW, TextEncoder
from mbert_onnx.text.labels import names_of
from mbert_onnx.text.sentence_embedding import EmbeddingSettings
from mbert_onnx.text.tasks import (
    FEATURE_EXTRACTION,
    MASKED,
    QUESTION_ANSWERING,
    SENTENCE_SIMILARITY,
    TEXT_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    Task,
)
from mbert_onnx.text.tokenizer import embedding_advice, listed, padding_in_config
from perf.errors import PerfError
from perf.sessions.environments import cache_folder

# Labels of a config that names none, as in transformers.
DEFAULT_LABELS = 2
# A text that each vocabulary encodes as one token.
PROBE = "a"


def text_options(
    model: ir.Model | None,
    task: Task,
    encoder: TextEncoder,
    config: Mapping[str, Any],
    *,
    embedding: EmbeddingSettings | None = None,
    pair: bool = False,
) -> TextOptions:
    """Returns the settings of a model's text file.

    Args:
        model: The model, with transformers' names of inputs and the task's names of outputs; None where the config has
            its sizes.
        task: Its task.
        encoder: Its tokenizer, with the model's length and token types.
        config: The content of its config.json.
        embedding: The settings of a model of sentence-transformers; None for others.
        pair: Whether a text classification reads pairs of texts.

    Raises UsageError for `pair` with another task, and BundleError for a tokenizer that does not fit the model.
    """
    if pair and task is not TEXT_CLASSIFICATION:
        raise UsageError(f"--text-pair is for text-classification, but this model does {task.name}; leave it out")
    embedding = embedding if task in (FEATURE_EXTRACTION, SENTENCE_SIMILARITY) else None
    rows = (None if model is None else rows_of(model.graph)) or config.get("vocab_size")
    _check_tokens(encoder, rows)
    limit = encoder.max_length if embedding is None else min(embedding.max_seq_length, encoder.max_length)
    padding = encoder.padding_id
    masked = task in MASKED
    classifies = task in (TEXT_CLASSIFICATION, TOKEN_CLASSIFICATION)
    count = _label_count(model, config) if classifies else 0
    names = names_of(config.get("id2label"), count)
    return TextOptions(
        task=task.name,
        limit=limit,
        max_length=min(QUESTION_WINDOW, limit) if task is QUESTION_ANSWERING else limit,
        pair=pair,
        padding=padding_in_config(config.get("pad_token_id")) if padding is None else padding,
        segments=config.get("type_vocab_size") if encoder.settings.token_types else 1,
        cut_left=encoder.settings.truncation_side == "left",
        context_first=task is QUESTION_ANSWERING and encoder.settings.context_first,
        prompt=() if embedding is None else _prompt(encoder, embedding),
        labels=tuple(names[number] for number in range(count)),
        problem=_problem(config, count),
        mask_id=encoder.mask_id if masked else None,
        windows=embedding is None,
        normalize=embedding is not None and embedding.normalize,
    )


def text_tables(encoder: TextEncoder) -> Tables:
    """Returns the tables of a tokenizer, with the settings beside it.

    What depends on the settings of the normalizer alone is kept in the user's cache.

    Raises graphs.errors.GraphError for one that is not supported.
    """
    with contextlib.suppress(PerfError):  # without a cache, it is computed each time
        STORE.folder = cache_folder() / "code-points"
    return make_tables(read_settings(encoder.tokenizer))


def _check_tokens(encoder: TextEncoder, rows: int | None) -> None:
    """Raises BundleError for a tokenizer with tokens for which the model has no word embedding."""
    vocabulary = encoder.tokenizer.get_vocab()
    missing = {token: number for token, number in vocabulary.items() if rows is not None and number >= rows}
    if missing and rows is not None:
        raise BundleError(
            f"the model has {rows} word embeddings, none for {listed(missing)}; a text file needs one for each token. "
            + embedding_advice(
                encoder.tokenizer, rows, tokenizer_option=encoder.tokenizer_option, whole_vocabulary=True
            )
        )


def _label_count(model: ir.Model | None, config: Mapping[str, Any]) -> int:
    """Returns the number of labels: that of the graph, or else of the config."""
    outputs = () if model is None else model.graph.outputs
    shape = next((value.shape for value in outputs if value.name == "logits"), None)
    size = shape[-1] if shape else None
    return size if isinstance(size, int) else len(config.get("id2label") or ()) or DEFAULT_LABELS


def _problem(config: Mapping[str, Any], labels: int) -> Problem:
    """Returns what the scores of a classification are, as in `classify`: a single label is a regression."""
    problem = config.get("problem_type")
    if problem == MULTI_LABEL:
        return MULTI_LABEL
    return REGRESSION if problem == REGRESSION or (problem is None and labels == 1) else SINGLE_LABEL


def _prompt(encoder: TextEncoder, embedding: EmbeddingSettings) -> tuple[int, ...]:
    """Returns the ids of the prompt of a model of sentence-transformers.

    Raises BundleError for a prompt whose last token depends on the text, or texts that are lower-cased by the model
    and not by its tokenizer.
    """
    normalizer = encoder.tokenizer.normalizer
    if embedding.do_lower_case and not getattr(normalizer, "lowercase", False):
        raise BundleError(
            "the model lower-cases texts (do_lower_case of sentence_bert_config.json), and its tokenizer does not: "
            "expected a tokenizer that does; set lowercase in the normalizer of its tokenizer.json"
        )
    prompt = embedding.prompt.lower() if embedding.do_lower_case else embedding.prompt
    ids, whole = encoder.encode(prompt).ids, encoder.encode(prompt + PROBE).ids
    if prompt and whole != [*ids, *encoder.encode(PROBE).ids]:
        raise BundleError(
            f"the prompt {prompt!r} of config_sentence_transformers.json joins the first word of a text, expected one "
            "that ends with a space or punctuation: add a space to it, or export without --text"
        )
    return tuple(ids)
