"""Answer functions run in onnxruntime, on rows of tokens as `mbert.Tokenize` returns them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from graph_helpers import Arrays, run
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from graphs.functions import DOMAIN, VERSION
from mbert_onnx.text.encoder import TextEncoder, Tokens, Window

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789οδσςß𐐨"
OTHERS = "!?.,'-東京"
WORDS = ("the", "paris", "##is", "par", "ada", "istanbul", "##stan")

# Words in several forms, equal in lower case or only without accents; some change their length in bytes.
FORMS = "Paris PARIS paris the The Ada İstanbul i̇stanbul istanbul École école ecole naïve x ! it's K k 東京 東 𐐀 𐐨 ß ẞ"


def small_encoder(folder: Path, max_length: int = 64) -> TextEncoder:
    """Builds a WordPiece encoder like BERT's, with a vocabulary of letters: nearly each word has several tokens."""
    entries = dict.fromkeys([*SPECIAL, *OTHERS, *LETTERS, *(f"##{letter}" for letter in LETTERS), *WORDS])
    vocabulary = {entry: number for number, entry in enumerate(entries)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return TextEncoder(path, max_length)


def random_text(rng: np.random.Generator, words: int) -> str:
    """A text of words of `FORMS`, with one space or two between."""
    chosen = rng.choice(FORMS.split(), words)
    return "".join(f"{word}{' ' * rng.integers(1, 3)}" for word in chosen).strip()


@dataclass(frozen=True)
class Rows:
    """Rows of several texts: the arrays that `mbert.Tokenize` returns, and each text's tokens and windows."""

    arrays: Arrays
    tokens: list[Tokens]
    windows: list[list[Window]]

    @property
    def shape(self) -> tuple[int, int]:
        rows, seq = self.arrays["input_ids"].shape
        return rows, seq

    def of_text(self, text: int) -> list[int]:
        """The rows of a text."""
        return [row for row, owner in enumerate(self.arrays["row_texts"]) if owner == text]

    def bytes_of(self, text: int) -> np.ndarray:
        """The byte at which each character of a text begins, and the number of bytes."""
        return np.cumsum([0, *(len(letter.encode()) for letter in self.tokens[text].text)])

    def splits(self) -> Arrays:
        """The bytes of all texts, one after the other."""
        encoded = [tokens.text.encode() for tokens in self.tokens]
        splits = np.cumsum([0, *map(len, encoded)])
        return {"context": np.frombuffer(b"".join(encoded), np.uint8), "context_splits": splits}


def rows_of(
    encoder: TextEncoder, texts: Sequence[str], questions: Sequence[str] = (), *, padding: int = 0, **options: Any
) -> Rows:
    """Returns the rows of texts, each beside its question if there are questions.

    Args:
        encoder: The tokenizer.
        texts: The texts, or contexts.
        questions: None, or one for each text.
        padding: Columns behind the longest row.
        options: Arguments of `TextEncoder.windows`.
    """
    asked: list[str | None] = [*questions] or [None] * len(texts)
    pairs = [encoder.windows(text, question, **options) for text, question in zip(texts, asked, strict=True)]
    rows = [(text, window) for text, (_, windows) in enumerate(pairs) for window in windows]
    shape = len(rows), max(len(window) for _, window in rows) + padding
    arrays = {
        "input_ids": np.zeros(shape, np.int64),
        "attention_mask": np.zeros(shape, np.int64),
        "offsets": np.zeros((*shape, 2), np.int64),
        "word_offsets": np.zeros((*shape, 2), np.int64),
        "sequence_ids": np.full(shape, -1, np.int64),
        "row_texts": np.array([text for text, _ in rows]),
        "owned": np.zeros(shape, bool),
    }
    found = Rows(arrays, [tokens for tokens, _ in pairs], [windows for _, windows in pairs])
    for row, (text, window) in enumerate(rows):
        arrays["input_ids"][row, : len(window)] = window.ids
        arrays["attention_mask"][row, : len(window)] = 1
        places = slice(window.begin, window.begin + window.count)
        known = slice(window.first, window.first + window.count)
        tokens, starts = found.tokens[text], found.bytes_of(text)
        arrays["offsets"][row, places] = starts[np.array(tokens.offsets)[known]]
        arrays["word_offsets"][row, places] = starts[np.array(tokens.words)[known]]
        if asked[text] is not None:
            arrays["sequence_ids"][row, 1 : window.begin - 1] = 0
        arrays["sequence_ids"][row, places] = 0 if asked[text] is None else 1
        arrays["owned"][row, window.owned] = True
    return found


FLOATS = ("scores", "entity_scores", "no_answer", "sentence_embedding")


def calling(function: ir.Function, feed: Mapping[str, np.ndarray]) -> ir.Model:
    """A model of one node, whose inputs and outputs are the function's."""
    inputs = []
    for value in function.inputs:
        array = feed[value.name or ""]
        shape = [f"{value.name}_{axis}" for axis in range(array.ndim)]
        inputs.append(ir.val(value.name, ir.DataType.from_numpy(array.dtype), shape))
    node = ir.node(function.name, inputs, domain=DOMAIN, version=VERSION, num_outputs=len(function.outputs))
    for value, output in zip(node.outputs, function.outputs, strict=True):
        value.name = output.name
        value.type = ir.TensorType(ir.DataType.FLOAT if output.name in FLOATS else ir.DataType.INT64)
    opset = function.opset_imports[""]
    graph = ir.Graph(inputs, node.outputs, nodes=[node], opset_imports={"": opset, DOMAIN: VERSION}, name="g")
    version = onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)])
    return ir.Model(graph, ir_version=max(version, 10), functions=[function])


def answered(function: ir.Function, feed: Mapping[str, Any]) -> Arrays:
    """The function's outputs, for those of the arrays that are its inputs."""
    names = [value.name or "" for value in function.inputs]
    arrays = {name: np.asarray(feed[name]) for name in names}
    return run(calling(function, arrays), arrays)


def same_scores(found: np.ndarray, expected: Any) -> None:
    """Asserts that scores are those of the runtime, in float32."""
    np.testing.assert_allclose(found, np.asarray(expected).astype(np.float32), rtol=1e-6, atol=1e-37)
