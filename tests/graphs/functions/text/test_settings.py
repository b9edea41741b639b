"""Tokenizers that the text functions cannot reproduce are refused by name."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from text_functions import trained
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from graphs.errors import GraphError
from graphs.functions.text.tables.settings import read_settings
from graphs.functions.text.tables.tables import make_tables


def changed(part: str, value: object) -> Tokenizer:
    tokenizer = trained("latin", size=150)
    setattr(tokenizer, part, value)
    return tokenizer


def without_unknown() -> Tokenizer:
    tokenizer = trained("latin", size=150)
    tokenizer.model = models.WordPiece({"a": 0}, unk_token="<unk>")
    return tokenizer


def twice() -> Tokenizer:
    return changed("post_processor", processors.TemplateProcessing(single="$A", pair="$A $B $A", special_tokens=[]))


REFUSED: dict[str, Callable[[], Tokenizer]] = {
    "model is BPE, expected WordPiece": lambda: changed("model", models.BPE()),
    "normalizer is NFKC, expected BertNormalizer": lambda: changed("normalizer", normalizers.NFKC()),
    "pre_tokenizer is Whitespace, expected BertPreTokenizer": lambda: changed(
        "pre_tokenizer", pre_tokenizers.Whitespace()
    ),
    "post_processor is ByteLevel, expected TemplateProcessing or BertProcessing or none": lambda: changed(
        "post_processor", processors.ByteLevel()
    ),
    "vocabulary has no token '<unk>', expected one for unknown words": without_unknown,
    "template for 2 texts has the sequences A, B, A, expected each once": twice,
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused(message: str) -> None:
    with pytest.raises(GraphError, match=message):
        read_settings(REFUSED[message]())


def test_missing_normalizer() -> None:
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"))
    with pytest.raises(GraphError, match="normalizer is missing, expected BertNormalizer"):
        read_settings(tokenizer)


def test_combining_characters_that_nfd_sorts() -> None:
    tokenizer = trained("latin", size=150)
    vocabulary = {"[UNK]": 0, "a": 1, "##\u302e": 2, "##\U0001d165": 3}
    tokenizer.model = models.WordPiece(vocabulary, unk_token="[UNK]")
    with pytest.raises(GraphError, match=r"characters U\+1D165 and U\+302E, which NFD sorts"):
        make_tables(read_settings(tokenizer))
