"""Measures what the tokenizer and the answer add to a model in onnxruntime-web: milliseconds, loading, file size.

python tests/helpers/measurements/text_in_web.py FOLDER

`make bench-text-web` runs it. The models are the built-in reference, and a small random one with BERT's vocabulary,
whose tables are larger. The peer is the same model on token ids that are there already.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from random_with_words import save_words
from text_bundles import write_text_file
from tokenizers import Tokenizer

import mbert_onnx

PROGRAM = Path(__file__).with_suffix(".mjs")
PASSAGE = (
    "A warm, funny and deeply moving film about a family that loses its house in a storm, and finds out what matters. "
    "I would see it again; the music alone is worth the ticket, and nobody in the café behind us left before the end. "
)
LENGTHS = (40, 150, 600)
LOADS, ROUNDS, PROCESSES = 15, 200, 7


def main(folder: str) -> int:
    """Runs the command line."""
    root = Path(folder)
    for name, checkpoint in (("reference", "reference"), ("random with BERT's words", random_checkpoint(root))):
        bundle = root / Path(checkpoint).name.replace("checkpoint", "bundle")
        mbert_onnx.export(checkpoint, bundle, target="web", overwrite=True)
        write_text_file(bundle)
        print("\n".join(lines(name, bundle, measure(bundle))))
    return 0


def random_checkpoint(root: Path) -> str:
    """Writes a small model with random weights and BERT's vocabulary, on which the tables of the tokenizer depend."""
    config = transformers.MobileBertConfig(
        hidden_size=128,
        embedding_size=64,
        intra_bottleneck_size=64,
        intermediate_size=128,
        num_hidden_layers=4,
        num_feedforward_networks=2,
    )
    folder = root / "checkpoint-with-words"
    transformers.MobileBertForSequenceClassification(config).save_pretrained(folder)
    save_words(folder)
    return str(folder)


def measure(bundle: Path, loads: int = LOADS, rounds: int = ROUNDS, processes: int = PROCESSES) -> dict[str, Any]:
    """Returns what the program prints for texts of LENGTHS characters, their ids, and the first loads of processes."""
    model, text_model = bundle / "onnx" / "model.onnx", bundle / "onnx" / "model_text.onnx"
    limit = json.loads((bundle / "config.json").read_text(encoding="utf-8"))["max_position_embeddings"]
    tokenizer = Tokenizer.from_file(str(bundle / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit)
    texts = [(PASSAGE * -(-length // len(PASSAGE)))[:length] for length in LENGTHS]
    given = {
        "model": str(model),
        "text_model": str(text_model),
        "texts": texts,
        "ids": [tokenizer.encode(text).ids for text in texts],
        "max_length": limit,
        "loads": loads,
        "rounds": rounds,
    }
    first: dict[str, list[float]] = {"ids": [], "text": []}
    for _ in range(processes):
        for kind, seconds in first.items():
            seconds.append(node({**given, "first": kind}))
    return {**node(given), "ids": given["ids"], "texts": texts, "first": first}


def node(given: dict[str, Any]) -> Any:
    """Returns what the program prints."""
    done = subprocess.run(["node", str(PROGRAM)], input=json.dumps(given), capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def lines(name: str, bundle: Path, measured: dict[str, Any]) -> list[str]:
    """Returns a report: medians, and of each difference the quartiles over all rounds."""
    size, with_text = (bundle / "onnx" / file for file in ("model.onnx", "model_text.onnx"))
    megabytes = (with_text.stat().st_size - size.stat().st_size) / 1e6
    loads, first = (compared(measured[key]["ids"], measured[key]["text"], "s", 3) for key in ("loads", "first"))
    printed = [
        f"{name}: the file is {megabytes:.2f} MB larger",
        f"  loading: {loads}",
        f"  loading first in a process, WebAssembly's compilation included: {first}",
    ]
    for length, ids, runs in zip(LENGTHS, measured["ids"], measured["runs"], strict=True):
        times = compared(runs["ids"], runs["text"], "ms", 2)
        printed.append(f"  {length} characters, {len(ids)} tokens: {times}")
    return printed


def compared(ids: Sequence[float], text: Sequence[float], unit: str, digits: int) -> str:
    """Returns both medians, and the median and quartiles of the differences of each round."""
    low, middle, high = np.percentile(np.subtract(text, ids), [25, 50, 75])
    medians = " → ".join(f"{np.median(values):.{digits}f}" for values in (ids, text))
    return f"{medians} {unit}, {middle:+.{digits}f} {unit} (quartiles {low:+.{digits}f} to {high:+.{digits}f})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
