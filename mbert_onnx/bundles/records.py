"""Records of a bundle's model files in `mbert_onnx.json`: one for each precision, all of one checkpoint."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mbert_onnx.text.json_files import read_json
from mbert_onnx.text.sentence_embedding import SENTENCE_FILES

CONFIG = "config.json"
METADATA = "mbert_onnx.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"

# Names of the files of each precision: those that transformers.js gives its dtypes.
VARIANTS = {"fp32": "onnx/model.onnx", "fp16": "onnx/model_fp16.onnx", "int8": "onnx/model_int8.onnx"}

# Names of the text files beside them, which have the tokenizer and the answer inside.
TEXT_VARIANTS = {precision: name.replace("model", "model_text") for precision, name in VARIANTS.items()}
# Model files and text files; no other files of a bundle belong to one precision.
MODEL_FILES = frozenset({*VARIANTS.values(), *TEXT_VARIANTS.values()})

# Lists for apps that run a text file: a line for each label, or for each token.
LABELS, VOCABULARY = "labels.txt", "vocab.txt"

# The files that the precisions share: the config, the records, those that transformers writes for a tokenizer, those of
# sentence-transformers, and the lists.
SHARED = (
    CONFIG,
    METADATA,
    TOKENIZER,
    TOKENIZER_CONFIG,
    "special_tokens_map.json",
    "added_tokens.json",
    VOCABULARY,
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "tokenizer.model",
    "chat_template.jinja",
    *SENTENCE_FILES,
    LABELS,
)

# Keys of `mbert_onnx.json` beside those of the default precision's record, which stand at the top, too, because it was
# the whole file when a bundle had one precision.
CHECKPOINT = "checkpoint_sha256"
PARTS = ("weights", "config", "tokenizer")
FILES = "files"
PRECISIONS = "precisions"
# The keys of a record with its model file, and with the record of its text file, which has a file, too.
FILE = "file"
TEXT = "text"

# Keys that are true of every model file of a bundle.
COMMON = ("schema", "task", "checkpoint", "sentence_embedding", CHECKPOINT)

Record = dict[str, Any]


@dataclass(frozen=True)
class Records:
    """Content of `mbert_onnx.json`.

    Args:
        checkpoint: SHA-256 of the checkpoint's weights, config and tokenizer; None if an older version wrote the file.
        precisions: The record of each precision whose model file is there.
        files: The files that export wrote, relative to the bundle; None if an older version wrote it.
    """

    checkpoint: dict[str, str] | None = None
    precisions: dict[str, Record] = field(default_factory=dict)
    files: tuple[str, ...] | None = None

    @classmethod
    def read(cls, folder: Path) -> Records:
        """Reads the records of a bundle; what cannot be read, or has no model file, is as if it were not there."""
        try:
            content = read_json(folder / METADATA)
        except (OSError, ValueError):
            return cls()
        if not isinstance(content, dict):
            return cls()
        precisions = content.get(PRECISIONS)
        if not isinstance(precisions, dict):
            precision = content.get("precision", "fp32")
            precisions = {precision: content} if isinstance(precision, str) else {}
        found = {
            precision: _present(precisions[precision], folder)
            for precision, name in VARIANTS.items()
            if isinstance(precisions.get(precision), dict) and (folder / name).is_file()
        }
        hashes, files = content.get(CHECKPOINT), content.get(FILES)
        return cls(
            hashes if isinstance(hashes, dict) else None,
            found,
            tuple(name for name in files if isinstance(name, str)) if isinstance(files, list) else None,
        )

    def own_files(self) -> set[str]:
        """Returns the files that export wrote, and that a bundle of another checkpoint therefore replaces.

        Only names that export writes are among them, whatever the file lists.
        """
        if self.files is None:
            return {*SHARED, *(VARIANTS[precision] for precision in self.precisions)}
        return {METADATA, *(name for name in self.files if name in SHARED or name in MODEL_FILES)}

    def without(self, names: Collection[str]) -> Records:
        """Returns the records without files that are no longer there."""
        return replace(self, files=tuple(name for name in self.files or () if name not in names))

    def differences(self, checkpoint: dict[str, str]) -> list[str]:
        """Returns the parts of another checkpoint that differ: `weights`, `config` or `tokenizer`; [] for the same.

        All of them differ where the bundle does not say which checkpoint it is of.
        """
        if self.checkpoint is None:
            return list(PARTS)
        return [part for part in PARTS if self.checkpoint.get(part) != checkpoint.get(part)]

    def merged(self, newer: Records) -> Records:
        """Returns the records of both, and of a precision that both have the newer one."""
        files = sorted({*(self.files or ()), *(newer.files or ())})
        return Records(newer.checkpoint, {**self.precisions, **newer.precisions}, tuple(files))

    def write(self, folder: Path) -> None:
        """Writes `mbert_onnx.json`; the record of the precision that the folder stands for is at its top."""
        ordered = {precision: self.precisions[precision] for precision in VARIANTS if precision in self.precisions}
        default = next(iter(ordered.values()))
        content = {
            **{key: value for key, value in default.items() if key != FILE},
            CHECKPOINT: self.checkpoint,
            FILES: list(self.files or ()),
            PRECISIONS: ordered,
        }
        text = json.dumps(content, indent=2, ensure_ascii=False)
        (folder / METADATA).write_text(text + "\n", encoding="utf-8")


def text_record(record: Record) -> Record:
    """Returns the record of the text file of a model file; empty if it has none."""
    found = record.get(TEXT)
    return found if isinstance(found, dict) else {}


def _present(record: Record, folder: Path) -> Record:
    """Returns the record of a precision, without that of a text file that is not there."""
    text = text_record(record)
    file = text.get(FILE)
    if text and not (isinstance(file, str) and (folder / file).is_file()):
        return {key: value for key, value in record.items() if key != TEXT}
    return record


def record_of(metadata: Record, file: str) -> Record:
    """Returns the record of one model file of a bundle, as if it were the only one.

    Args:
        metadata: The content of `mbert_onnx.json`.
        file: The model file or text file, relative to the bundle. One without a record has what is true of all.
    """
    precisions = metadata.get(PRECISIONS)
    if not isinstance(precisions, dict):
        return metadata
    common = {key: metadata[key] for key in COMMON if key in metadata}
    for record in precisions.values():
        if isinstance(record, dict) and file in (record.get(FILE), text_record(record).get(FILE)):
            return common | record
    return common
