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
from mbert_onnx.model.checkpoint_tokenizer.check import check_tokenizer
from mbert_onnx.model.checkpoint_tokenizer.loading import (
    GENERIC,
    TOKENIZER,
    has_tokenizer,
    loaded_tokenizer,
    reloaded_tokenizer,
    without_warnings,
)
from mbert_onnx.text.json_files import brief
from mbert_onnx.text.tokenizer import SETTINGS, SPECIAL_TOKENS

# Files that transformers, optimum and transformers.js look for.
COMPANIONS = (TOKENIZER, SETTINGS, SPECIAL_TOKENS, "added_tokens.json", "vocab.txt")

# What transformers feeds a BERT.
INPUT_NAMES = ("input_ids", "token_type_ids", "attention_mask")

SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}


def write_tokenizer(source: Path | None, destination: Path, vocab_size: int, max_length: int) -> bool:
    """Writes a tokenizer into a bundle; returns False if the checkpoint has none.

    A checkpoint's tokenizer is loaded as transformers loads it, saved, and compared: the saved one must give the same
    ids for the same texts.

    Args:
        source: The checkpoint's folder; None for a random model, which gets a vocabulary of single characters.
        destination: The bundle.
        vocab_size: The model's vocabulary size, for a random model.
        max_length: The model's positions; 0 if that is unknown.

    Raises CheckpointError for a tokenizer that cannot be read, and VerificationError for one that gives other ids once
    it is saved.
    """
    if source is None:
        _save(_wordpiece(character_vocabulary(vocab_size)), destination, max_length)
        return True
    if not has_tokenizer(source):
        return False
    with (
        loaded_tokenizer(source) as tokenizer,
        tempfile.TemporaryDirectory(prefix="mbert-onnx-") as temporary,
    ):
        saved = Path(temporary)
        _save_loaded(tokenizer, saved, max_length, source)
        for name in COMPANIONS:
            if (saved / name).is_file():
                shutil.copyfile(saved / name, destination / name)
        check_tokenizer(
            tokenizer,
            reloaded_tokenizer(saved, source),
            destination / TOKENIZER,
            max_length=max_length,
            name=str(source),
        )
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
    _save(_wordpiece(learning.get_vocab()), destination, max_length)


def reduce_tokenizer(
    source: Path,
    lines: Iterable[str],
    destination: Path,
    vocab_size: int,
    max_length: int,
    *,
    min_frequency: int = 0,
) -> None:
    """Writes a WordPiece tokenizer with the most frequent words, in these lines, of another tokenizer.

    Special tokens and single characters stay, so that every word that is left out can still be spelt.

    Args:
        source: The folder of the other tokenizer.
        lines: Texts.
        destination: The folder to write to.
        vocab_size: The largest number of words that are kept.
        max_length: The model's positions.
        min_frequency: Words that are less frequent are left out, too.

    Raises CheckpointError where the source has no WordPiece tokenizer.
    """
    with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as folder:
        whole = Path(folder)
        if not write_tokenizer(source, whole, 0, max_length):
            raise CheckpointError(f"{source} has no tokenizer.json and no vocab.txt; expected one of them")
        tokenizer = Tokenizer.from_file(str(whole / TOKENIZER))
        named = _special_tokens(json.loads((whole / SETTINGS).read_text(encoding="utf-8")))
    if not isinstance(tokenizer.model, models.WordPiece):
        raise CheckpointError(
            f"{source} has a {type(tokenizer.model).__name__} tokenizer; expected WordPiece, of which a part of the "
            "words can be kept: leave out vocab_size"
        )
    tokenizer.no_truncation()
    tokenizer.no_padding()
    counts = Counter[int]()
    for line in lines:
        counts.update(tokenizer.encode(line, add_special_tokens=False).ids)
    vocabulary = tokenizer.get_vocab()
    special = set(named.values())
    if not special <= vocabulary.keys():
        missing = ", ".join(sorted(special - vocabulary.keys()))
        raise CheckpointError(f"{source} lacks {missing}; expected a tokenizer with BERT's special tokens")
    kept = [word for word in vocabulary if word in special or len(word.removeprefix("##")) == 1]
    frequent = {word for word, number in vocabulary.items() if counts[number] >= min_frequency}
    common = sorted(frequent - set(kept), key=lambda word: (-counts[vocabulary[word]], vocabulary[word]))
    kept += common[: max(vocab_size - len(kept), 0)]
    # In the old order, special tokens first: [PAD] is 0.
    ordered = sorted(kept, key=lambda word: (word not in special, vocabulary[word]))
    reduced = _wordpiece({word: index for index, word in enumerate(ordered)}, named)
    for part in ("normalizer", "pre_tokenizer", "decoder"):
        setattr(reduced, part, getattr(tokenizer, part))
    _save(reduced, destination, max_length, named)


def character_vocabulary(size: int) -> dict[str, int]:
    """Returns a vocabulary of single characters, at the start of a word and inside one, with every special token.

    A size too small for all characters keeps as many as fit.
    """
    characters = string.ascii_lowercase + string.digits + string.punctuation
    words = [*SPECIAL.values(), *characters, *(f"##{character}" for character in characters)]
    words += [f"[unused{index}]" for index in range(size - len(words))]
    return {word: index for index, word in enumerate(words[:size])}


def _special_tokens(settings: dict[str, Any]) -> dict[str, str]:
    """Returns the text of each special token: the one in `tokenizer_config.json`, or BERT's."""
    given = {name: settings.get(f"{name}_token") for name in SPECIAL}
    texts = {name: token["content"] if isinstance(token, dict) else token for name, token in given.items()}
    return {name: texts[name] or token for name, token in SPECIAL.items()}


def _wordpiece(vocabulary: dict[str, int], special: dict[str, str] = SPECIAL) -> Tokenizer:
    """Returns a tokenizer like BERT's, lower-casing."""
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=special["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    cls, sep = special["cls"], special["sep"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B:1 {sep}:1",
        special_tokens=[(cls, vocabulary[cls]), (sep, vocabulary[sep])],
    )
    return tokenizer


def _save(tokenizer: Tokenizer, destination: Path, max_length: int, special: dict[str, str] = SPECIAL) -> None:
    """Writes a tokenizer of ours."""
    tokens = {f"{name}_token": token for name, token in special.items()}
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=max_length, model_input_names=list(INPUT_NAMES), **tokens
    )
    try:
        fast.save_pretrained(destination)
    except Exception as error:  # the library, in Rust, raises a full disk as Exception
        raise error if isinstance(error, OSError) else OSError(str(error)) from error


def _save_loaded(tokenizer: Any, folder: Path, max_length: int, source: Path) -> None:
    """Writes a tokenizer of transformers, with settings that hold for the model and in every version of transformers.

    Raises CheckpointError for a tokenizer with parts in Python, which no tokenizer.json can hold.
    """
    names = tokenizer.model_input_names
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise CheckpointError(f"{source}: model_input_names in {SETTINGS} is {brief(names)}; expected a list of names")
    if type(tokenizer).__name__ in GENERIC and "model_input_names" not in tokenizer.init_kwargs:
        # transformers 4 gives token types by default, 5 does not; MobileBERT is trained with them.
        names = INPUT_NAMES
    tokenizer.model_input_names = list(names)
    tokenizer.model_max_length = _limit(tokenizer.model_max_length, max_length)
    try:
        with without_warnings():
            tokenizer.save_pretrained(folder)
    except OSError:
        raise
    except Exception as error:
        if "os error" in str(error):  # the library, in Rust, raises a full disk as Exception
            raise OSError(str(error)) from error
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{source}: its tokenizer cannot be saved as a tokenizer.json ({reason}); expected one without parts in "
            "Python"
        ) from error
    path = folder / SETTINGS
    settings = {**json.loads(path.read_text(encoding="utf-8")), "model_input_names": list(names)}
    path.write_text(json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def _limit(given: Any, positions: int) -> Any:
    """Returns the tokenizer's longest row, at most the model's positions; 0 positions: unknown.

    transformers writes 1e30 where it knows no limit, and reads any value.
    """
    if not positions:
        return given
    is_limit = isinstance(given, (int, float)) and 0 < given < positions
    return int(given) if is_limit else positions
