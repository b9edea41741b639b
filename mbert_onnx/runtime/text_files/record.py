"""Record of a text file: its task, names and limits, as the metadata of the file has them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.text.json_files import brief
from mbert_onnx.text.tasks import (
    FEATURE_EXTRACTION,
    FILL_MASK,
    MASKED,
    MULTIPLE_CHOICE,
    NEXT_SENTENCE_PREDICTION,
    PRETRAINING,
    QUESTION_ANSWERING,
    SENTENCE_SIMILARITY,
    TEXT_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    Task,
    task_named,
)

# Keys of the metadata.
TASK, TEXT, LABELS, ENTITIES = "task", "text", "labels", "entities"
# Keys of the record: the number of the model's token types, and the SHA-256 of the file's vocab.txt.
TOKEN_TYPES, VOCABULARY_DIGEST = "token_types", "vocabulary_sha256"

# The outputs of each task that Python reads, with their numbers of axes.
_MASKS = {"tokens": 2, "scores": 2, "spans": 2}
OUTPUTS: dict[str, dict[str, int]] = {
    TEXT_CLASSIFICATION.name: {"labels": 2, "scores": 2, "cut": 2},
    NEXT_SENTENCE_PREDICTION.name: {"scores": 2, "cut": 2},
    MULTIPLE_CHOICE.name: {"scores": 2, "cut": 2},
    QUESTION_ANSWERING.name: {"spans": 3, "scores": 2, "cut": 2},
    TOKEN_CLASSIFICATION.name: {"entities": 1, "entity_scores": 1, "entity_spans": 2}
    | {"labels": 1, "scores": 1, "spans": 2},
    FILL_MASK.name: _MASKS,
    PRETRAINING.name: _MASKS,
    FEATURE_EXTRACTION.name: {"sentence_embedding": 2},
    SENTENCE_SIMILARITY.name: {"sentence_embedding": 2},
}


@dataclass(frozen=True)
class TextRecord:
    """Record of a text file: its task, limits and names, as its metadata has them.

    Args:
        task: Its task.
        limit: The most tokens in a row, special tokens included.
        max_length: The value of the input `max_length` where a caller has no reason for another one.
        pair: Whether a text classification reads pairs.
        labels: The names of labels by their numbers; empty for a task without.
        entities: The names of entities by their numbers.
        choices: The only number of choices; None for any.
        mask_token: The text of the mask token; None for a task without masks.
        continuation: The prefix of a token that continues a word.
        token_types: The number of token types of the model; None where the file does not have it.
        vocabulary: The SHA-256 of its `vocab.txt`; None for a task without masks, and where the file does not have it.
    """

    task: Task
    limit: int
    max_length: int
    pair: bool = False
    labels: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    choices: int | None = None
    mask_token: str | None = None
    continuation: str | None = None
    token_types: int | None = None
    vocabulary: str | None = None

    @classmethod
    def of(cls, metadata: Mapping[str, str], path: Path) -> TextRecord:
        """Reads the metadata of a file. Raises BundleError where something is missing, or has another type."""
        try:
            record = json.loads(metadata[TEXT])
            names = {key: json.loads(metadata.get(key, "[]")) for key in (LABELS, ENTITIES)}
            task = task_named(metadata[TASK])
            limit, most = record["limit"], record.get("max_length", record["limit"])
        except (KeyError, TypeError, ValueError, AttributeError, UsageError):
            raise _damaged(path, metadata.get(TEXT)) from None
        choices, mask, prefix = (record.get(key) for key in ("choices", "mask_token", "continuation"))
        token_types, vocabulary = record.get(TOKEN_TYPES), record.get(VOCABULARY_DIGEST)
        sizes = (limit, most, *(size for size in (choices, token_types) if size is not None))
        if (
            not all(type(size) is int and size > 0 for size in sizes)
            or not all(isinstance(found, list) and all(isinstance(n, str) for n in found) for found in names.values())
            or not all(text is None or isinstance(text, str) for text in (mask, prefix, vocabulary))
            or (task in (TEXT_CLASSIFICATION, TOKEN_CLASSIFICATION) and not names[LABELS])
        ):
            raise _damaged(path, metadata.get(TEXT))
        return cls(
            task=task,
            limit=limit,
            max_length=min(most, limit),
            pair=record.get("pair") is True,
            labels=tuple(names[LABELS]),
            entities=tuple(names[ENTITIES]),
            choices=choices,
            mask_token=(mask or "[MASK]") if task in MASKED else None,
            continuation=prefix or "##",
            token_types=token_types,
            vocabulary=vocabulary,
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns its JSON form, for reports."""
        return {
            "task": self.task.name,
            "limit": self.limit,
            "max_length": self.max_length,
            "pair": self.pair,
            "labels": list(self.labels),
            "entities": list(self.entities),
        }


def _damaged(path: Path, found: str | None) -> BundleError:
    return BundleError(
        f"{path} is a text file, and its metadata has {'no record' if found is None else brief(found)} under {TEXT!r}, "
        "expected its task, names and limits; export it again with --text"
    )
