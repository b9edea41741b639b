"""Plan of a text file: the tables of the tokenizer and the settings, refused by name before anything is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx_ir as ir

from graphs.functions.text.tables.tables import Tables
from graphs.functions.text_file.options import TextOptions
from mbert_onnx.bundles.model_file import TextReader
from mbert_onnx.errors import CheckpointError, UsageError
from mbert_onnx.runtime.text_files.record import TOKEN_TYPES, VOCABULARY_DIGEST
from mbert_onnx.runtime.text_files.vocabulary import vocabulary_digest
from mbert_onnx.text.sentence_embedding import EmbeddingSettings
from mbert_onnx.text.tasks import MASKED, TEXT_CLASSIFICATION, Task
from mbert_onnx.text.text_options import text_options, text_tables


@dataclass(frozen=True)
class TextRequest:
    """The options `--text` and `--text-pair`; the second one includes the first."""

    text: bool = False
    pair: bool = False

    @property
    def wanted(self) -> bool:
        return self.text or self.pair

    def check(self, task: Task, name: str, *, segments: int | None, batch: int | None = None) -> None:
        """Raises UsageError where the model cannot have such a text file.

        Args:
            task: The model's task.
            name: Its name, for messages.
            segments: The number of its token types; None if that is unknown.
            batch: The fixed batch of its graph; None for any.
        """
        if self.pair and task is not TEXT_CLASSIFICATION:
            raise UsageError(
                f"--text-pair is for {TEXT_CLASSIFICATION.name} of pairs; {name} is {task.name}, whose text file reads "
                "what its task needs: pass --text"
            )
        if self.pair and segments == 1:
            raise UsageError(
                f"--text-pair needs a model of two token types, and {name} has one (type_vocab_size), so that it does "
                "not tell two texts apart: pass --text"
            )
        if self.wanted and batch not in (None, 1):
            raise UsageError(f"--batch is {batch}; a text file has no fixed batch of several texts: leave --batch out")


@dataclass(frozen=True)
class TextPlan:
    """Plan of a text file: the tables and settings that are added to a model, and its list of names.

    Args:
        tables: The tables of the tokenizer.
        options: The settings of the text file.
        record: Further keys of the record in the file's metadata.
        names: The names of labels, or the tokens of the vocabulary, by number, for the list beside the file.
        notes: Notes for the user, a line each.
    """

    tables: Tables
    options: TextOptions
    record: Mapping[str, Any]
    names: Mapping[int, str]
    notes: list[str] = field(default_factory=list)


def plan_text(
    reader: TextReader,
    config: Mapping[str, Any],
    *,
    graph: ir.Model | None = None,
    pair: bool = False,
    embedding: EmbeddingSettings | None = None,
) -> TextPlan:
    """Reads a tokenizer, and plans the text file of a model.

    Args:
        reader: The model's task, tokenizer and limits.
        config: The content of its config.json; may be empty.
        graph: Its graph; None where the config has its sizes.
        pair: Whether a text classification reads pairs.
        embedding: The settings of a model of sentence-transformers; None for others.

    Raises:
        graphs.errors.GraphError: the tokenizer has a part that a text file cannot have; the message names it.
        BundleError: it is no tokenizer.json, or does not fit the model.
    """
    encoder = reader.encoder()
    tables = text_tables(encoder)
    known = {"vocab_size": reader.vocab_size, "type_vocab_size": reader.segments}
    sizes = {key: size for key, size in known.items() if size is not None}
    options = text_options(graph, reader.task, encoder, {**config, **sizes}, embedding=embedding, pair=pair)
    record: dict[str, Any] = {} if reader.segments is None else {TOKEN_TYPES: reader.segments}
    if reader.task in MASKED:
        names = {number: token for token, number in encoder.tokenizer.get_vocab().items()}
        record["mask_token"] = encoder.mask_token
        record["continuation"] = encoder.continuation_prefix
        record[VOCABULARY_DIGEST] = vocabulary_digest(names)
    else:
        names = dict(enumerate(options.labels))
    count, notes = encoder.tokenizer.get_vocab_size(), []
    if reader.vocab_size is not None and count < reader.vocab_size:
        notes.append(
            f"the tokenizer has {count:,} tokens, and the model {reader.vocab_size:,} word embeddings: no text reads "
            "the others"
        )
    return TextPlan(tables, options, record, names, notes)


def require_tokenizer(name: str, tokenizer: Path, advice: str) -> None:
    """Raises CheckpointError where there is no tokenizer for a text file."""
    if not tokenizer.is_file():
        raise CheckpointError(f"{name} has no tokenizer, and --text puts it into the model; {advice}")
