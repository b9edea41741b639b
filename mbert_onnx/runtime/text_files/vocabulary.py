"""Vocabulary of a text file that fills masks: the text of each token, from a list beside the file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mbert_onnx.bundles.records import TOKENIZER, VOCABULARY
from mbert_onnx.errors import BundleError
from mbert_onnx.text.json_files import read_json


def read_vocabulary(path: Path, digest: str | None = None) -> dict[int, str]:
    """Returns the text of each token by id, from `vocab.txt` or `tokenizer.json` beside a text file, or one folder up.

    No `tokenizers` is needed. A file with other tokens is passed over: it may be of another model, or its user's own.

    Args:
        path: The text file.
        digest: The digest of its vocabulary, as its record has it; None for a file without, which takes any list.

    Raises BundleError where no list of its tokens is there.
    """
    folder, refused = path.absolute().parent, list[str]()
    for name, read in ((VOCABULARY, _lines), (TOKENIZER, _tokens)):
        for file in (folder / name, folder.parent / name):
            if not file.is_file():
                continue
            try:
                found = read(file)
                if digest is None or vocabulary_digest(found) == digest:
                    return found
            except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
                refused.append(f"{file} is no list of tokens ({' '.join(str(error).split())})")
            else:
                refused.append(f"{file} has other tokens than the model")
    reason = f"; {'; '.join(refused)}" if refused else ""
    raise BundleError(
        f"{path} returns numbers of tokens, and has no {VOCABULARY} beside it with their texts{reason}; copy the "
        f"model's {TOKENIZER} there, or the {VOCABULARY} that `mbert-onnx export --text` wrote"
    )


def vocabulary_digest(tokens: Mapping[int, str]) -> str:
    """Returns the SHA-256 of the `vocab.txt` of these tokens."""
    return hashlib.sha256(vocabulary_lines(tokens).encode()).hexdigest()


def vocabulary_lines(tokens: Mapping[int, str]) -> str:
    """Returns the content of a `vocab.txt`: line number − 1 is the id. A line break in a token becomes a space."""
    rows = [""] * (max(tokens, default=-1) + 1)
    for number, token in tokens.items():
        rows[number] = token.replace("\n", " ")
    return "".join(f"{row}\n" for row in rows)


def _lines(file: Path) -> dict[int, str]:
    # Lines end with a line feed only: other characters that end lines are tokens of BERT's vocabularies.
    return dict(enumerate(file.read_bytes().decode().removesuffix("\n").split("\n")))


def _tokens(file: Path) -> dict[int, str]:
    content: Any = read_json(file)
    found = {int(number): str(token) for token, number in content["model"]["vocab"].items()}
    return found | {int(token["id"]): str(token["content"]) for token in content.get("added_tokens", [])}
