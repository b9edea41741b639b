"""Tokenizers whose vocabulary consists of the words of a text."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, processors

from mbert_onnx.text.encoder import TextEncoder

# Words of the calibration texts in tests.
WORDS = "the of was in who what when where first last school river city game year won by and at"

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def word_encoder(folder: Path, text: str, max_length: int = 64) -> TextEncoder:
    """Builds an encoder with a token for each word of the text, in order of appearance."""
    words = dict.fromkeys((*SPECIAL, *text.split()))
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return TextEncoder(path, max_length)
