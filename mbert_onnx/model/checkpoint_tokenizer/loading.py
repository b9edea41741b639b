"""Tokenizer of a checkpoint as transformers loads it, by `AutoTokenizer`.

The settings in tokenizer_config.json, special_tokens_map.json and added_tokens.json change what a tokenizer.json does,
each class of tokenizers in its own way, so that only transformers itself knows a checkpoint's ids.

`AutoTokenizer` reads a copy of the files: paths in tokenizer_config.json would make it read files outside of the
checkpoint, and `auto_map` names code, which is never run here.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transformers

from mbert_onnx.errors import BundleError, CheckpointError, MbertError
from mbert_onnx.text.json_files import read_json
from mbert_onnx.text.tokenizer import SETTINGS, SPECIAL_TOKENS, check_template, library_errors, read_tokenizer

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
JSON_FILES = (TOKENIZER, SPECIAL_TOKENS, "added_tokens.json", "vocab.json")
# Where vocabularies are: of any tokenizer, of WordPiece, of byte-level BPE. A checkpoint without has no tokenizer.
VOCABULARIES = (TOKENIZER, "vocab.txt", "vocab.json", "merges.txt")
SENTENCEPIECE = "*.model"
# Keys of tokenizer_config.json that name code, or arguments by position.
CODE_KEYS = ("auto_map", "init_inputs")
# transformers 5 has this name for PreTrainedTokenizerFast, which is its name in transformers 4.
GENERIC = ("PreTrainedTokenizerFast", "TokenizersBackend")
# Longest part of an error of transformers, which may be pages.
REASON_CHARACTERS = 300


def has_tokenizer(folder: Path) -> bool:
    """Returns whether a folder has a file with a vocabulary."""
    return any((folder / name).is_file() for name in VOCABULARIES) or any(
        path.is_file() for path in folder.glob(SENTENCEPIECE)
    )


@contextmanager
def loaded_tokenizer(folder: Path) -> Iterator[Any]:
    """Yields the tokenizer of a checkpoint, a PreTrainedTokenizerFast; its files are deleted at the end.

    Raises CheckpointError where transformers cannot load it, or has it in Python only.
    """
    with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as temporary:
        copy = Path(temporary)
        settings = _copy(folder, copy)

        def refused(error: BaseException) -> MbertError:
            broken = _fault(copy / TOKENIZER)
            if broken is not None:
                return CheckpointError(f"{folder / TOKENIZER} cannot be read ({broken}); copy it again")
            reason = " ".join(str(error).replace(str(copy), str(folder)).split())[:REASON_CHARACTERS]
            return CheckpointError(
                f"{folder}: transformers cannot load its tokenizer ({type(error).__name__}: {reason}); "
                f"{_advice(folder, settings, error)}"
            )

        with without_warnings(), library_errors(refused):
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                str(copy), trust_remote_code=False, local_files_only=True
            )
            if getattr(tokenizer, "is_fast", False):
                check_template(tokenizer.backend_tokenizer)
        if not getattr(tokenizer, "is_fast", False):
            raise CheckpointError(
                f"{folder}: its tokenizer is a {type(tokenizer).__name__}, which transformers has in Python only; "
                "expected one that can be saved as a tokenizer.json"
            )
        yield tokenizer


def reloaded_tokenizer(saved: Path, source: Path) -> Any:
    """Returns the tokenizer that transformers loads from saved files, as users of a bundle will.

    Raises CheckpointError, which names the checkpoint, where it cannot.
    """
    try:
        with loaded_tokenizer(saved) as tokenizer:
            return tokenizer
    except CheckpointError as error:
        message = str(error).replace(str(saved), f"{source}, saved again")
        raise CheckpointError(message) from error


@contextmanager
def without_warnings() -> Iterator[None]:
    """Silences transformers, except for errors."""
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)


def _copy(folder: Path, copy: Path) -> dict[str, Any]:
    """Copies the files of a tokenizer; returns the content of the original's tokenizer_config.json."""
    try:
        settings, config = (_object(folder / name) for name in (SETTINGS, CONFIG))
        for name in JSON_FILES:
            if (folder / name).is_file():
                content = (folder / name).read_bytes()
                # In UTF-8 without a byte order mark, as transformers expects it.
                (copy / name).write_bytes(content.decode(json.detect_encoding(content)).encode())
        for path in (folder / "vocab.txt", folder / "merges.txt", *folder.glob(SENTENCEPIECE)):
            if path.is_file():
                shutil.copyfile(path, copy / path.name)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder}: the tokenizer's files cannot be read ({error}); copy them again") from error
    (copy / SETTINGS).write_text(json.dumps(_portable(settings)), encoding="utf-8")
    (copy / CONFIG).write_text(json.dumps(_class_of(config)), encoding="utf-8")
    return settings


def _object(path: Path) -> dict[str, Any]:
    """Returns the object in a JSON file; empty where there is no file. Raises OSError or ValueError."""
    content = read_json(path) if path.is_file() else {}
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds a {type(content).__name__}, expected an object")
    return content


def _portable(settings: dict[str, Any]) -> dict[str, Any]:
    """Returns the settings without paths and code, in the form of the installed transformers."""
    kept = {key: value for key, value in settings.items() if key not in CODE_KEYS and not key.endswith("_file")}
    if not hasattr(transformers, GENERIC[1]):  # transformers 4 does not read all of what 5 writes
        if kept.get("tokenizer_class") == GENERIC[1]:
            kept["tokenizer_class"] = GENERIC[0]
        if isinstance(kept.get("extra_special_tokens"), list):
            kept.setdefault("additional_special_tokens", kept.pop("extra_special_tokens"))
    return kept


def _class_of(config: dict[str, Any]) -> dict[str, Any]:
    """Returns what a config says about the class of the tokenizer; MobileBERT's for a model that transformers lacks."""
    kind, named = config.get("model_type"), config.get("tokenizer_class")
    known = isinstance(kind, str) and kind in transformers.CONFIG_MAPPING
    return {"model_type": kind if known else "mobilebert", **({"tokenizer_class": named} if named else {})}


def _fault(tokenizer: Path) -> str | None:
    """Returns what `tokenizers` says about a tokenizer.json that it cannot read, where transformers' error is vague."""
    try:
        read_tokenizer(tokenizer)
    except BundleError as error:
        return " ".join(str(error.__cause__).split()) if tokenizer.exists() else None
    return None


def _advice(folder: Path, settings: dict[str, Any], error: BaseException) -> str:
    """Returns what to do about an error of transformers, which seldom names the cause."""
    convert = "(AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER))"
    if "auto_map" in settings:
        return "it is code of the checkpoint (auto_map), which is not run; save it as a PreTrainedTokenizerFast"
    if not (folder / TOKENIZER).is_file():
        if settings.get("tokenizer_class") in GENERIC:
            return f"{SETTINGS} names a class that needs a {TOKENIZER}: copy that file, too"
        if any(folder.glob(SENTENCEPIECE)):
            return f"save it with a {TOKENIZER} where sentencepiece is installed {convert}"
    if isinstance(error, ImportError):
        return f"install that package, or save it with a {TOKENIZER} where that is installed {convert}"
    return f"copy its files again, or correct {SETTINGS}"
