"""Plain texts, each one ASCII text or pair without added tokens: they take far fewer nodes than texts of any kind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from graphs.functions.text.body.nodes import Nodes, i32, i64
from graphs.functions.text.body.normalized import Symbols, normalize
from graphs.functions.text.body.texts import read_texts
from graphs.functions.text.body.trie import Trie
from graphs.functions.text.body.utf8 import SEPARATOR, decode
from graphs.functions.text.tables.symbols import END_SYMBOL
from graphs.functions.text.tables.tables import Tables

# What stands for a byte that only the nodes for texts of any kind can read.
OTHER = -1


@dataclass(frozen=True)
class Read:
    """The symbols and bytes of all texts, and whether it is one text, bool [1]; the stream is int32 [bytes + texts]."""

    symbols: Symbols
    stream: str
    is_one: str


def read_symbols(g: Nodes, tables: Tables, trie: Trie, pair: bool) -> Read:
    """Reads the inputs. Both branches return the same for a plain text, which the first one reads."""
    is_one = g("Less", g.size("row_splits"), i64([3]))
    end = i32([SEPARATOR])
    data = [part for name in ("text", *(["pair"] if pair else [])) for part in (g.int32(name), end)]
    stream = g.join(*data)
    symbols = g("Gather", plain_symbols(tables), stream)
    is_plain = g("GreaterOrEqual", g("ReduceMin", symbols, keepdims=1), i32([0]))

    def plain() -> list[str]:
        begins = g.where(symbols)
        return [g("Gather", symbols, begins), begins, g("Add", begins, i64([1])), g("Identity", stream)]

    def other() -> list[str]:
        texts = read_texts(g, pair)
        found = normalize(g, tables, trie, decode(g, texts))
        return [found.symbols, found.begins, found.ends, g.slice(texts, 0, -3)]

    kinds = {"symbols": TensorProto.INT32, "begins": TensorProto.INT64, "ends": TensorProto.INT64}
    *found, stream = g.choose(g("And", is_one, is_plain), kinds | {"stream": TensorProto.INT32}, plain, other)
    return Read(Symbols(*found), stream, is_one)


def plain_symbols(tables: Tables) -> np.ndarray:
    """Returns the symbol of each ASCII character, 0 for one that is dropped, and that of a separator, int32 [257].

    OTHER stands for what else a text can have: bytes of longer characters, characters with several symbols, and those
    that begin a raw added token.
    """
    points = np.arange(0x80)
    arrays, size = tables.arrays, 1 << tables.shift
    classes = arrays["classes"][arrays["blocks"][points // size].astype(np.int64) * size + points % size]
    expansions = arrays["expansions"][classes].astype(np.int32)
    found = np.where((expansions[:, 1:] > 0).any(axis=1), OTHER, expansions[:, 0])
    if tables.raw.longest:
        found[arrays["raw_symbols"][classes] >= tables.first_raw] = OTHER
    return np.concatenate([found, np.full(0x80, OTHER), [END_SYMBOL]]).astype(np.int32)
