"""Settings of a tokenizer that the text functions reproduce; whatever they cannot reproduce is refused by name."""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from graphs.errors import GraphError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# The parts of a tokenizer.json, and what each has to be.
SUPPORTED = {
    "model": ("WordPiece",),
    "normalizer": ("BertNormalizer",),
    "pre_tokenizer": ("BertPreTokenizer",),
    "post_processor": ("TemplateProcessing", "BertProcessing", None),
}
ADVICE = "Tokenize texts for this model with `tokenizers`, and leave out --text."
# A text that each vocabulary encodes as one token.
PROBE = "a"
# Spellings of a content that are tried: all those of 10 letters.
SPELLINGS = 1024


@dataclass(frozen=True)
class NormalizerOptions:
    """The switches of BertNormalizer. `strip_accents` None is the same as `lowercase`."""

    clean_text: bool = True
    handle_chinese_chars: bool = True
    strip_accents: bool | None = None
    lowercase: bool = True

    @property
    def decomposes(self) -> bool:
        """True if NFD is applied, which may reorder combining characters."""
        return self.lowercase if self.strip_accents is None else self.strip_accents


@dataclass(frozen=True)
class AddedToken:
    """A token that is found in the text before words are: in the normalized text if `normalized`.

    A match of a token with `as_text` stays text: it is a special token of a tokenizer that splits those.
    """

    content: str
    id: int
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    normalized: bool = False
    as_text: bool = False


@dataclass(frozen=True)
class TemplatePart:
    """A part of a row: a special token with its id, or all tokens of a text (0) or of its pair (1)."""

    type: int
    id: int | None = None
    sequence: int | None = None


@dataclass(frozen=True)
class TokenizerSettings:
    """The settings of a WordPiece tokenizer.

    `unknown` is the id of the unknown token; `longest_word` the most characters of a word that is looked up; `single`
    and `pair` are the templates of a row.
    """

    vocabulary: dict[str, int]
    prefix: str
    unknown: int
    longest_word: int
    normalizer: NormalizerOptions
    added: tuple[AddedToken, ...]
    single: tuple[TemplatePart, ...]
    pair: tuple[TemplatePart, ...]


def read_settings(tokenizer: Tokenizer) -> TokenizerSettings:
    """Returns the settings of a tokenizer, which is not changed. Raises GraphError for one that is not supported."""
    return _settings(*_config_and_copy(tokenizer))


def plain_copy(tokenizer: Tokenizer) -> Tokenizer:
    """Returns a copy that truncates and pads nothing. Raises GraphError for a tokenizer that is not supported."""
    return _config_and_copy(tokenizer)[1]


def _config_and_copy(tokenizer: Tokenizer) -> tuple[dict[str, Any], Tokenizer]:
    """Returns the content of a tokenizer's file, its added tokens in the order of the search, and a copy made of it."""
    config = json.loads(tokenizer.to_str())
    for part, expected in SUPPORTED.items():
        found = (config[part] or {}).get("type")
        if found not in expected:
            kinds = " or ".join(kind or "none" for kind in expected)
            raise GraphError(f"The tokenizer's {part} is {found or 'missing'}, expected {kinds}. {ADVICE}")
    config["added_tokens"] = _in_order(tokenizer, config["added_tokens"], config["model"]["vocab"])
    copy = type(tokenizer).from_str(json.dumps(config))
    copy.no_truncation()
    copy.no_padding()
    copy.encode_special_tokens = bool(getattr(tokenizer, "encode_special_tokens", False))
    return config, copy


def _settings(config: dict[str, Any], plain: Tokenizer) -> TokenizerSettings:
    model = config["model"]
    vocabulary = model["vocab"]
    if model["unk_token"] not in vocabulary:
        raise GraphError(
            f"The tokenizer's vocabulary has no token {model['unk_token']!r}, expected one for unknown words. "
            "Add it, or name the one it has as unk_token."
        )
    options = {key: value for key, value in config["normalizer"].items() if key != "type"}
    return TokenizerSettings(
        vocabulary=vocabulary,
        prefix=model["continuing_subword_prefix"],
        unknown=vocabulary[model["unk_token"]],
        longest_word=model["max_input_chars_per_word"],
        normalizer=NormalizerOptions(**options),
        added=_added_tokens(config["added_tokens"], splits=plain.encode_special_tokens),
        single=_template(plain, config["post_processor"], 1),
        pair=_template(plain, config["post_processor"], 2),
    )


def _in_order(
    tokenizer: Tokenizer, added: Sequence[dict[str, Any]], vocabulary: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Returns added tokens in an order in which `tokenizers`, where it adds them, finds the same ones.

    Where normalization makes contents equal, the token is found that was added first; special ones stand before all
    others. They are given sorted by id. That is the order in which they were added, except for those that are in the
    vocabulary: they have its ids. So the tokenizer is asked, and those of the vocabulary that it does not find go last.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for token in added:
        if token["normalized"]:
            groups.setdefault(tokenizer.normalizer.normalize_str(token["content"]), []).append(token)
    last = set[int]()
    for content, group in groups.items():
        special = [token for token in group if token["special"]]
        rivals = {token["id"]: token["content"] for token in special or group}
        known = {number for number, text in rivals.items() if text in vocabulary}
        if len(rivals) > 1 and known:
            found = _found(tokenizer, rivals, (*rivals.values(), *_spellings(content)))
            last |= set() if found is None else known - {found}
    return sorted(added, key=lambda token: token["id"] in last)


def _spellings(content: str) -> Iterator[str]:
    """Yields a text with its characters in lower and upper case, in all ways up to a number."""
    for characters in islice(product(*((one, one.upper()) for one in content)), SPELLINGS):
        yield "".join(characters)


def _found(tokenizer: Tokenizer, ids: Container[int], texts: Iterable[str]) -> int | None:
    """Returns the first of these ids that is all of a text's tokens; None where no text has such a token.

    Spellings of one content are given, as raw added tokens may be in one of them.
    """
    for text in texts:
        encoding = tokenizer.encode(text, add_special_tokens=False)
        tokens = [number for number, real in zip(encoding.ids, encoding.attention_mask, strict=True) if real]
        if len(tokens) == 1 and tokens[0] in ids:
            return tokens[0]
    return None


def _added_tokens(added: Sequence[dict[str, Any]], *, splits: bool) -> tuple[AddedToken, ...]:
    """Returns the added tokens in the order in which they are looked for. `splits`: special tokens stay text."""
    found = [
        AddedToken(
            content=token["content"],
            id=token["id"],
            lstrip=token["lstrip"],
            rstrip=token["rstrip"],
            single_word=token["single_word"],
            normalized=token["normalized"],
            as_text=splits and token["special"],
        )
        for token in sorted(added, key=lambda token: not token["special"])
    ]
    for normalized in (False, True):
        group = [token for token in found if token.normalized == normalized]
        strips = next((token.content for token in group if token.rstrip), None)
        begins = next((token.content for token in group if token.content[:1].isspace()), None)
        if strips is not None and begins is not None:
            raise GraphError(
                f"The added token {begins!r} begins with white space, which {strips!r} strips, expected only one of "
                f"both. {ADVICE}"
            )
    return tuple(found)


def _template(tokenizer: Tokenizer, post_processor: dict[str, Any] | None, texts: int) -> tuple[TemplatePart, ...]:
    """Returns the parts of a row of one text or two, as `tokenizers` writes them around texts of one token."""
    pieces = (post_processor or {}).get("single" if texts == 1 else "pair", [])
    sequences = [piece["Sequence"]["id"] for piece in pieces if "Sequence" in piece]
    if pieces and sorted(sequences) != ["A", "B"][:texts]:
        raise GraphError(
            f"The tokenizer's template for {texts} texts has the sequences {', '.join(sequences)}, expected each once. "
            f"{ADVICE}"
        )
    encoding = tokenizer.encode(*[PROBE] * texts)
    return tuple(
        TemplatePart(type_id, id=number if sequence is None else None, sequence=sequence)
        for number, type_id, sequence in zip(encoding.ids, encoding.type_ids, encoding.sequence_ids, strict=True)
    )
