"""Vocabulary of a text file that fills masks: the text of each token, from a list beside the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mbert_onnx.bundles.records import TOKENIZER, VOCABULARY
from mbert_onnx.errors import BundleError
from mbert_onnx.text.json_files import read_json


def read_vocabulary(path: Path) -> dict[int, str]:
    """Returns the text of each token by id, from `vocab.txt` or `tokenizer.json` beside a text file, or one folder up.

    No `tokenizers` is needed. Raises BundleError where neither is there.
    """
    folder = path.absolute().parent
    for name, read in ((VOCABULARY, _lines), (TOKENIZER, _tokens)):
        for file in (folder / name, folder.parent / name):
            if file.is_file():
                try:
                    return read(file)
                except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
                    reason = " ".join(str(error).split())
                    raise BundleError(f"{file} is no list of tokens ({reason}); copy the bundle's there") from error
    raise BundleError(
        f"{path} returns numbers of tokens, and has no {VOCABULARY} beside it with their texts; copy the one that "
        "`mbert-onnx export --text` wrote into its bundle"
    )


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
