"""The tokenizer of a bundle: the checkpoint's own files, or one for the built-in random models."""

from __future__ import annotations

import json
import shutil
import string
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from mbert_onnx.errors import CheckpointError

# What transformers, optimum and transformers.js look for.
COMPANIONS = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt")

SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}


def write_tokenizer(source: Path | None, destination: Path, vocab_size: int, max_length: int) -> bool:
    """Puts a tokenizer into a bundle; False if the checkpoint has none.

    Args:
        source: The checkpoint's folder; None for a random model, which gets a vocabulary of single characters.
        destination: The bundle.
        vocab_size: The model's.
        max_length: The model's positions.

    Raises CheckpointError for a tokenizer that cannot be read.
    """
    if source is None:
        _save(_wordpiece(character_vocabulary(vocab_size), {}), destination, max_length)
        return True
    for name in COMPANIONS:
        if (source / name).is_file():
            shutil.copyfile(source / name, destination / name)
    if (destination / "tokenizer.json").is_file():
        try:
            Tokenizer.from_file(str(destination / "tokenizer.json"))
        except Exception as error:  # the library's errors have no class of their own
            reason = " ".join(str(error).split())
            raise CheckpointError(f"{source / 'tokenizer.json'} cannot be read ({reason}); copy it again") from error
        return True
    vocabulary = source / "vocab.txt"
    if not vocabulary.is_file():
        return False
    try:
        # One word a line, and lines end in nothing but a line feed: some words are Unicode's other line separators.
        words = vocabulary.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        settings = source / "tokenizer_config.json"
        options = dict(json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {})
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{source}: the tokenizer's files cannot be read ({error}); copy them again") from error
    missing = sorted(set(SPECIAL.values()) - set(words))
    if missing:
        raise CheckpointError(
            f"{vocabulary} lacks {', '.join(missing)}; expected a WordPiece vocabulary as BERT has it"
        )
    _save(_wordpiece({word: index for index, word in enumerate(words)}, options), destination, max_length)
    return True


def character_vocabulary(size: int) -> dict[str, int]:
    """A vocabulary of single characters, at the start of a word and inside one, with every special token.

    For a vocabulary too small for all characters, as many as fit.
    """
    characters = string.ascii_lowercase + string.digits + string.punctuation
    words = [*SPECIAL.values(), *characters, *(f"##{character}" for character in characters)]
    words += [f"[unused{index}]" for index in range(size - len(words))]
    return {word: index for index, word in enumerate(words[:size])}


def _wordpiece(vocabulary: dict[str, int], options: dict[str, Any]) -> Tokenizer:
    """A tokenizer as BERT's, with the options that `tokenizer_config.json` has for it."""
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=SPECIAL["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer(
        lowercase=options.get("do_lower_case", True),
        strip_accents=options.get("strip_accents"),
        handle_chinese_chars=options.get("tokenize_chinese_chars", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    cls, sep = SPECIAL["cls"], SPECIAL["sep"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B:1 {sep}:1",
        special_tokens=[(cls, vocabulary[cls]), (sep, vocabulary[sep])],
    )
    return tokenizer


def _save(tokenizer: Tokenizer, destination: Path, max_length: int) -> None:
    special = {f"{name}_token": token for name, token in SPECIAL.items()}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=max_length, **special)
    try:
        fast.save_pretrained(destination)
    except Exception as error:  # from the library, in Rust: a full disk is an Exception there
        raise error if isinstance(error, OSError) else OSError(str(error)) from error
