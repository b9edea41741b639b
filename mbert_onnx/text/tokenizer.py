"""Tokenizer of a bundle: the file, the settings beside it, and tokens for which a model has no word embedding.

Some settings of a tokenizer are not in its tokenizer.json. They are read as transformers reads them, from the
`tokenizer_config.json` beside it. Only `tokenizers` is needed.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mbert_onnx.errors import BundleError, MbertError, MissingExtraError
from mbert_onnx.text.json_files import read_json
from mbert_onnx.text.name_lists import name_list

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SETTINGS = "tokenizer_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"
TOKEN_TYPES = "token_type_ids"
# Classes of transformers in which keys of tokenizer_config.json, if given, replace options of BertNormalizer.
BERT_CLASSES = ("BertTokenizer", "MobileBertTokenizer", "DistilBertTokenizer", "ElectraTokenizer")
BERT_OPTIONS = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
# Names of the padding token, where no file names it: BERT's, and that of SentencePiece.
PADDING_TOKENS = ("[PAD]", "<pad>")


@dataclass(frozen=True)
class TokenizerSettings:
    """The settings in `tokenizer_config.json` that are not in `tokenizer.json`, or replace what is there.

    Defaults are those of transformers.

    Args:
        mask_token: The text of the mask token; None where no file names one.
        pad_token: The text of the padding token; None where no file names one.
        truncation_side: The side from which a text that is too long is cut: `right` or `left`.
        context_first: Whether the context stands before the question: transformers puts it there where rows are
            padded on the left (`padding_side`).
        split_special_tokens: Whether the text of a special token, such as `[SEP]`, is split like other text.
        token_types: Whether a pair's second text has token type 1; without (`model_input_names`) all types are 0.
        normalizer: Options of BertNormalizer that are replaced.
    """

    mask_token: str | None = None
    pad_token: str | None = None
    truncation_side: str = "right"
    context_first: bool = False
    split_special_tokens: bool = False
    token_types: bool = True
    normalizer: dict[str, bool | None] = field(default_factory=dict)

    @classmethod
    def beside(cls, path: Path, tokenizer: Tokenizer) -> TokenizerSettings:
        """Reads the settings of the `tokenizer.json` at a path. Raises BundleError for a file that is not JSON."""
        content = {**_read(path.with_name(SPECIAL_TOKENS)), **_read(path.with_name(SETTINGS))}
        # As transformers does, where no file beside it names the token.
        padding = content.get("pad_token") or (tokenizer.padding or {}).get("pad_token")
        names = content.get("model_input_names")
        # Without a side in tokenizer_config.json, transformers takes the one in tokenizer.json.
        sides = [
            content.get(key) or (section or {}).get("direction")
            for key, section in (("truncation_side", tokenizer.truncation), ("padding_side", tokenizer.padding))
        ]
        return cls(
            mask_token=_text(content.get("mask_token")),
            pad_token=_text(padding),
            truncation_side="left" if str(sides[0]).lower() == "left" else "right",
            context_first=str(sides[1]).lower() == "left",
            split_special_tokens=content.get("split_special_tokens") is True,
            token_types=not isinstance(names, list) or TOKEN_TYPES in names,
            normalizer=_bert_options(content),
        )

    def padding_id(self, tokenizer: Tokenizer) -> int | None:
        """Returns the id of the padding token; None for a vocabulary without one."""
        names = (self.pad_token, *PADDING_TOKENS)
        ids = (None if name is None else tokenizer.token_to_id(name) for name in names)
        return next((token for token in ids if token is not None), None)

    def apply(self, tokenizer: Tokenizer) -> None:
        """Changes a tokenizer as these settings say."""
        from tokenizers import normalizers

        tokenizer.encode_special_tokens = self.split_special_tokens
        current = tokenizer.normalizer
        if self.normalizer and isinstance(current, normalizers.BertNormalizer):
            options = {name: getattr(current, name) for name in ("clean_text", *BERT_OPTIONS.values())}
            tokenizer.normalizer = normalizers.BertNormalizer(**{**options, **self.normalizer})


def padding_id(path: Path | None, config_id: int | None) -> int:
    """Returns the id with which texts are padded: that of the tokenizer, as in transformers.

    The config's may be another: it stays 0 where a vocabulary has [PAD] in another place.

    Args:
        path: The tokenizer.json; None without one.
        config_id: The config's `pad_token_id`, for a tokenizer without a padding token.
    """
    found = None
    if path is not None:
        tokenizer = read_tokenizer(path)
        found = TokenizerSettings.beside(path, tokenizer).padding_id(tokenizer)
    return padding_in_config(config_id) if found is None else found


def padding_in_config(config_id: int | None) -> int:
    """Returns the config's `pad_token_id`, and 0 where it names none: it is left out, null, or -1."""
    return max(config_id or 0, 0)


def _text(token: object) -> str | None:
    """Returns the text of a token, which transformers writes as such, or as an object with its `content`."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _bert_options(settings: dict[str, Any]) -> dict[str, bool | None]:
    if str(settings.get("tokenizer_class")).removesuffix("Fast") not in BERT_CLASSES:
        return {}
    given = {option: settings[key] for key, option in BERT_OPTIONS.items() if key in settings}
    # transformers takes null for strip_accents: as do_lower_case.
    nullable = (BERT_OPTIONS["strip_accents"],)
    return {
        option: value
        for option, value in given.items()
        if isinstance(value, bool) or (value is None and option in nullable)
    }


def _read(path: Path) -> dict[str, Any]:
    """Returns the object in a JSON file; empty where there is no file."""
    try:
        content = read_json(path)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} is not readable JSON ({error}). Copy the checkpoint's there.") from error
    return content if isinstance(content, dict) else {}


def read_tokenizer(path: Path) -> Tokenizer:
    """Reads a tokenizer.json. Raises BundleError if it is none, and MissingExtraError without `tokenizers`."""
    _require_library(path)
    from tokenizers import Tokenizer

    def unreadable(error: BaseException) -> MbertError:
        reason = " ".join(str(error).split())
        return BundleError(f"{path} is not a tokenizer.json ({reason}). Save it with save_pretrained again.")

    with library_errors(unreadable):
        tokenizer = Tokenizer.from_file(str(path))
        check_template(tokenizer)
    return tokenizer


def _require_library(path: Path) -> None:
    """Raises MissingExtraError where `tokenizers` is not installed, which reads the `tokenizer.json` at a path.

    It is imported only where texts are tokenized in Python: a text file, which does that by itself, runs without it.
    """
    if importlib.util.find_spec("tokenizers") is None:
        raise MissingExtraError(
            f"{path} is read by the package tokenizers, which is not installed here: pip install tokenizers, or give a "
            "text file, such as onnx/model_text.onnx of `mbert-onnx export --text`, which needs no tokenizer"
        )


def check_template(tokenizer: Tokenizer) -> None:
    """Raises ValueError for a template with a special token that it gives no id.

    `tokenizers` reads it, and panics at the first text, which prints lines of its own on standard error.
    """
    processor = tokenizer.post_processor
    state = {} if processor is None else json.loads(processor.__getstate__())
    for part in state.get("processors", [state]):
        if part.get("type") != "TemplateProcessing":
            continue
        pieces = [piece["SpecialToken"]["id"] for piece in (*part["single"], *part["pair"]) if "SpecialToken" in piece]
        undefined = [token for token in pieces if token not in part["special_tokens"]]
        if undefined:
            raise ValueError(f"its template has the special token {undefined[0]!r}, and no id for it")


@contextmanager
def library_errors(error_for: Callable[[BaseException], MbertError]) -> Iterator[None]:
    """Turns what `tokenizers` raises into an error of ours: Exception itself, or a panic, which is a BaseException."""
    try:
        yield
    except (MbertError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise error_for(error) from error


def tokens_without_embedding(tokenizer: Tokenizer, vocab_size: int) -> str | None:
    """Returns a line about the tokens for which a model of `vocab_size` word embeddings has none; None without any."""
    missing = {token: number for token, number in tokenizer.get_vocab().items() if number >= vocab_size}
    if not missing:
        return None
    return (
        f"the model has {vocab_size} word embeddings, none for {listed(missing)}; a text with such a token is refused. "
        f"{embedding_advice(tokenizer, vocab_size)}"
    )


def embedding_advice(
    tokenizer: Tokenizer, vocab_size: int, *, tokenizer_option: bool = False, whole_vocabulary: bool = False
) -> str:
    """Returns what to do about tokens without a word embedding, which depends on whether they were added later.

    Args:
        tokenizer: The tokenizer.
        vocab_size: The number of word embeddings.
        tokenizer_option: Whether the command has an option --tokenizer: its user may have no checkpoint.
        whole_vocabulary: Whether each token needs an embedding, also where no text has it.
    """
    cause, remedy = "The tokenizer has a larger vocabulary than the model", list[str]()
    added = max(tokenizer.get_vocab(with_added_tokens=False).values(), default=0) < vocab_size
    if added:
        cause = "Such tokens were added to the tokenizer and not to the model"
        remedy.append("remove them from its tokenizer.json" if whole_vocabulary else "leave them out of texts")
    if tokenizer_option:
        remedy.append("pass --tokenizer with the tokenizer.json that belongs to the model")
    elif added:
        remedy.append(
            f"call model.resize_token_embeddings({tokenizer.get_vocab_size()}) on the checkpoint, train it and export "
            "it again"
        )
    else:
        remedy.append("put the tokenizer with which the checkpoint was trained into its folder and export it again")
    return f"{cause}: {', or '.join(remedy)}."


def listed(tokens: dict[str, int]) -> str:
    """Lists tokens with their ids, by id: `'covid' (token 102), 'corona' (token 103) and 3 others`."""
    ordered = sorted(tokens.items(), key=lambda item: item[1])
    return name_list(f"{token!r} (token {number})" for token, number in ordered)
