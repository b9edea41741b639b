"""Program that compares the text functions with `tokenizers` on random texts: `make fuzz-text COUNT=10000000 SEED=1`.

Each chunk of texts follows from the seed and its number. Finished chunks are recorded, so that a run that was ended
goes on where it was; each line is the result so far. The exit code is 1 if a text differs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from tokenizers import AddedToken, Tokenizer

from graphs.functions.text.function import text_model
from graphs.functions.text.tables.row_options import Form, RowOptions
from graphs.functions.text.tables.tables import make_tables
from graphs.kernels import library
from mbert_onnx.conversion.verification.tokens.differences import compare_tokens
from mbert_onnx.conversion.verification.tokens.node import TokenizeNode
from mbert_onnx.conversion.verification.tokens.random_texts import TextClass, text_classes
from mbert_onnx.conversion.verification.tokens.reference import Reference
from mbert_onnx.conversion.verification.tokens.texts import Texts
from mbert_onnx.errors import VerificationError
from mbert_onnx.text.tokenizer import TokenizerSettings, read_tokenizer

ROOT = Path(__file__).parents[3]
# Texts of each class in a chunk: half a second's work.
PER_CLASS = 1000
# Tokens that a row may have: more than any text here has.
LIMIT = 10**6
# Seconds between two lines, and between two looks for the file that pauses the run.
LINE_SECONDS, PAUSE_SECONDS = 30, 2
# Differences that are reported whole.
MOST_FAILURES = 20


@dataclass
class Result:
    """The result so far: finished chunks, texts by class, offsets that differ as documented, differences, seconds."""

    seed: int
    chunks: int = 0
    texts: Counter[str] = field(default_factory=Counter)
    permitted: int = 0
    kernels: int = 0
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, other: Result) -> None:
        """Adds the result of a chunk."""
        self.chunks += other.chunks
        self.texts += other.texts
        self.permitted += other.permitted
        self.kernels += other.kernels
        self.failures += other.failures[: MOST_FAILURES - len(self.failures)]

    def __str__(self) -> str:
        total = sum(self.texts.values())
        return (
            f"seed {self.seed}: {total:,} texts, {self.kernels:,} of them with the native kernel, too; "
            f"{len(self.failures)} differ, {self.permitted:,} offsets differ as documented; {self.seconds:,.0f} s"
        )


@dataclass(frozen=True)
class Subject:
    """A tokenizer, and the functions that are made from it."""

    reference: Reference
    classes: list[TextClass]
    nodes: dict[Form, list[TokenizeNode]]


def small_cased() -> Tokenizer:
    """Returns a cased tokenizer that strips accents, of five scripts, with an added token of each kind."""
    sys.path.append(str(ROOT / "tests/helpers/onnx_graphs"))
    from text_functions import NORMALIZERS, trained

    tokenizer = trained(options=NORMALIZERS["cased, accents stripped"])
    tokenizer.add_tokens(
        [
            *("covid", "New York", AddedToken("caf\u00e9", normalized=False), AddedToken("\u5317", single_word=True)),
            *(AddedToken("aba", lstrip=True), AddedToken("bab", rstrip=True), AddedToken("_x", normalized=False)),
        ]
    )
    return tokenizer


def read(path: Path) -> Tokenizer:
    """Returns the tokenizer of a tokenizer.json, with the settings beside it."""
    tokenizer = read_tokenizer(path)
    TokenizerSettings.beside(path, tokenizer).apply(tokenizer)
    return tokenizer


@cache
def subject(path: Path | None) -> Subject:
    """Returns the tokenizer of a path, or a small one with five scripts for None, with its functions."""
    reference = Reference(small_cased() if path is None else read(path))
    tables, nodes = make_tables(reference.settings), dict[Form, list[TokenizeNode]]()
    for form in (Form.TEXT, Form.PAIR):
        model = text_model(form, tables, RowOptions(limit=LIMIT))
        found = [TokenizeNode.of(model, "body")]
        if (kernels := library()) is not None:
            found.append(TokenizeNode.of(model, "native kernel", kernels))
        nodes[form] = [node for node in found if node is not None]
    return Subject(reference, text_classes(reference.settings), nodes)


def chunk(seed: int, number: int, path: Path | None, pause: Path | None = None, count: int = PER_CLASS) -> Result:
    """Compares a chunk: `count` texts of each class, in odd chunks as pairs."""
    while pause is not None and pause.exists():
        time.sleep(PAUSE_SECONDS)
    found, tried = Result(seed, chunks=1), subject(path)
    for one in tried.classes:
        drawn = list(one.texts(seed, number, count))
        texts = [Texts.of(drawn)] if number % 2 == 0 else [Texts.of(drawn[0::2]), Texts.of(drawn[1::2])]
        body, *kernels = nodes = tried.nodes[Form.TEXT if len(texts) == 1 else Form.PAIR]
        # A body reads a plain text that is alone in another way than a batch.
        plain = [
            row for row, data in enumerate(zip(*(some.data for some in texts), strict=True)) if b"".join(data).isascii()
        ]
        alone = [some.chosen(np.array(plain, np.int64)) for some in texts]
        expected = [tried.reference.tokens(some) for some in texts]
        trials = [(body, texts, expected), *((node, texts, expected) for node in kernels)]
        if plain:
            trials.append((body, alone, [tried.reference.tokens(some) for some in alone]))
        for turn, (node, some, wanted) in enumerate(trials):
            try:
                first, second, _ = node.tokens(*some, alone=some is alone)
                for tokens, others, part in zip([first, *second], wanted, some, strict=True):
                    permitted = compare_tokens(tokens, others, part, tried.reference, node.name)
                    found.permitted += permitted if turn == 0 else 0
            except VerificationError as error:
                found.failures.append(f"chunk {number}, {one.name}, {path or 'small'}: {error}")
        found.texts[one.name] += len(drawn)
        found.kernels += len(drawn) if len(nodes) > 1 else 0
    return found


def main() -> int:
    """Runs the chunks in two processes and prints the result; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizers", nargs="*", type=Path, help="tokenizer.json; default: the built-in one")
    parser.add_argument("--count", type=int, default=100_000, help="texts; default: 100,000")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 8), help="processes")
    parser.add_argument("--record", type=Path, default=None, help="default: build/fuzzing/texts-SEED.json")
    parser.add_argument("--pause-while", type=Path, default=None, metavar="FILE", help="wait while this file exists")
    options = parser.parse_args()
    record = options.record or ROOT / f"build/fuzzing/texts-{options.seed}.json"
    paths = [*(options.tokenizers or [ROOT / "mbert_onnx/reference/tokenizer.json"]), None]
    result = recorded(record, options.seed)
    classes = subject(None).classes
    for one in classes:
        print(f"{one.name}: {one.description}", flush=True)
    print(f"tokenizers: {', '.join(str(path or 'small, cased, five scripts') for path in paths)}", flush=True)
    chunks = range(result.chunks, -(-options.count // (PER_CLASS * len(classes))))
    began, before = time.monotonic(), result.seconds
    last = began
    todo = [(options.seed, number, paths[number // 2 % len(paths)], options.pause_while) for number in chunks]
    for found in results(options.jobs, todo):
        result.add(found)
        result.seconds = before + time.monotonic() - began
        write(record, result)
        if time.monotonic() - last > LINE_SECONDS or found.failures:
            last = time.monotonic()
            print("\n".join([str(result), *found.failures]), flush=True)
    print(result, *(f"{name}: {count:,} texts" for name, count in result.texts.items()), sep="\n", flush=True)
    return 1 if result.failures else 0


def results(jobs: int, chunks: list[tuple[int, int, Path | None, Path | None]]) -> Iterator[Result]:
    """Yields the results of chunks in order."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes share the cores
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(of_arguments, chunks)


def of_arguments(arguments: tuple[int, int, Path | None, Path | None]) -> Result:
    """Returns the result of a chunk, for a process that takes one argument."""
    return chunk(*arguments)


def recorded(path: Path, seed: int) -> Result:
    """Returns the result of finished chunks; none without a record."""
    if not path.is_file():
        return Result(seed)
    content = json.loads(path.read_text())
    return Result(**{**content, "texts": Counter(content["texts"])})


def write(path: Path, result: Result) -> None:
    """Records a result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(vars(result)))
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main())
