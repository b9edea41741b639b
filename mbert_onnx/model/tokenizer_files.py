"""Tokenizer files: copies a checkpoint's into a bundle, and builds WordPiece tokenizers."""

from __future__ import annotations

import json
import shutil
import string
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from mbert_onnx.errors import CheckpointError

# Files that transformers, optimum and transformers.js look for.
COMPANIONS = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt")

SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}


def write_tokenizer(source: Path | None, destination: Path, vocab_size: int, max_length: int) -> bool:
    """Writes a tokenizer into a bundle; returns False if the checkpoint has none.

    Args:
        source: The checkpoint's folder; None for a random model, which gets a vocabulary of single characters.
        destination: The bundle.
        vocab_size: The model's vocabulary size.
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
        except Exception as error:  # the library raises plain Exceptions
            reason = " ".join(str(error).split())
            raise CheckpointError(f"{source / 'tokenizer.json'} cannot be read ({reason}); copy it again") from error
        return True
    vocabulary = source / "vocab.txt"
    if not vocabulary.is_file():
        return False
    try:
        # One word a line. Lines end in a line feed only: some words are Unicode's other line separators.
        words = vocabulary.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        options = _options(source)
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{source}: the tokenizer's files cannot be read ({error}); copy them again") from error
    missing = sorted(set(SPECIAL.values()) - set(words))
    if missing:
        raise CheckpointError(
            f"{vocabulary} lacks {', '.join(missing)}; expected a WordPiece vocabulary as BERT has it"
        )
    _save(_wordpiece({word: index for index, word in enumerate(words)}, options), destination, max_length)
    return True


def train_tokenizer(
    lines: Callable[[], Iterable[str]], destination: Path, vocab_size: int, max_length: int, *, min_frequency: int
) -> None:
    """Trains a WordPiece tokenizer, lower-casing as BERT's, on texts, and writes it; the result is deterministic.

    Args:
        lines: Returns the texts; called twice.
        destination: The folder.
        vocab_size: The largest number of words, special tokens included.
        max_length: The model's positions.
        min_frequency: The smallest count of a pair of pieces that is merged into one.
    """
    learning = Tokenizer(models.WordPiece(unk_token=SPECIAL["unk"]))
    learning.normalizer = normalizers.BertNormalizer(lowercase=True)
    learning.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    normalized = (learning.normalizer.normalize_str(line) for line in lines())
    characters = sorted({character for line in normalized for character in line if not character.isspace()})
    # The trainer numbers characters in an order that varies from run to run, and breaks ties between equally frequent
    # pairs by number; passing the characters as special tokens fixes their numbers.
    first = [*SPECIAL.values(), *characters, *(f"##{character}" for character in characters)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=first, show_progress=False
    )
    learning.train_from_iterator(lines(), trainer)
    _save(_wordpiece(learning.get_vocab(), {}), destination, max_length)


def reduce_tokenizer(source: Path, lines: Iterable[str], destination: Path, vocab_size: int, max_length: int) -> None:
    """Writes a WordPiece tokenizer with the most frequent words, in these lines, of another tokenizer.

    Special tokens and single characters stay, so that every word that is left out can still be spelt.

    Args:
        source: The folder of the other tokenizer.
        lines: Texts.
        destination: The folder to write to.
        vocab_size: The largest number of words that are kept.
        max_length: The model's positions.

    Raises CheckpointError where the source has no WordPiece tokenizer.
    """
    with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as folder:
        whole = Path(folder)
        if not write_tokenizer(source, whole, 0, max_length):
            raise CheckpointError(f"{source} has no tokenizer.json and no vocab.txt; expected one of them")
        tokenizer = Tokenizer.from_file(str(whole / "tokenizer.json"))
        try:
            options = _options(whole)
        except (ValueError, TypeError) as error:
            raise CheckpointError(f"{source}: tokenizer_config.json cannot be read ({error}); copy it again") from error
    if not isinstance(tokenizer.model, models.WordPiece):
        raise CheckpointError(f"{source} has a {type(tokenizer.model).__name__} tokenizer; expected WordPiece")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    counts = Counter[int]()
    for line in lines:
        counts.update(tokenizer.encode(line, add_special_tokens=False).ids)
    vocabulary = tokenizer.get_vocab()
    special = set(SPECIAL.values())
    kept = [word for word in vocabulary if word in special or len(word.removeprefix("##")) == 1]
    common = sorted(set(vocabulary) - set(kept), key=lambda word: (-counts[vocabulary[word]], vocabulary[word]))
    kept += common[: max(vocab_size - len(kept), 0)]
    # In the old order, special tokens first: [PAD] is 0.
    ordered = sorted(kept, key=lambda word: (word not in special, vocabulary[word]))
    _save(_wordpiece({word: index for index, word in enumerate(ordered)}, options), destination, max_length)


def character_vocabulary(size: int) -> dict[str, int]:
    """Returns a vocabulary of single characters, at the start of a word and inside one, with every special token.

    A size too small for all characters keeps as many as fit.
    """
    characters = string.ascii_lowercase + string.digits + string.punctuation
    words = [*SPECIAL.values(), *characters, *(f"##{character}" for character in characters)]
    words += [f"[unused{index}]" for index in range(size - len(words))]
    return {word: index for index, word in enumerate(words[:size])}


def _options(folder: Path) -> dict[str, Any]:
    """Returns the content of `tokenizer_config.json`, if it exists. Raises ValueError or TypeError if it is invalid."""
    settings = folder / "tokenizer_config.json"
    return dict(json.loads(settings.read_text(encoding="utf-8")) if settings.is_file() else {})


def _wordpiece(vocabulary: dict[str, int], options: dict[str, Any]) -> Tokenizer:
    """Returns a tokenizer like BERT's, with the options of `tokenizer_config.json`."""
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
    except Exception as error:  # the library, in Rust, raises a full disk as Exception
        raise error if isinstance(error, OSError) else OSError(str(error)) from error
