"""Inputs and outputs of text files, the same in every precision and for every target, and their record in the file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from graphs.functions.text_file.layout import Layout
from graphs.functions.text_file.options import (
    FEATURE_EXTRACTION,
    FILL_MASK,
    MULTIPLE_CHOICE,
    NEXT_SENTENCE_PREDICTION,
    PRETRAINING,
    QUESTION_ANSWERING,
    SENTENCE_SIMILARITY,
    TEXT_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    TextOptions,
)

# The key of the metadata with a text file's record, and the version of its format.
TEXT, VERSION = "text", 1

# Defaults of the runtime: the best answers and words that are returned, and the most tokens of an answer.
TOP_K, LONGEST_ANSWER = 5, 15
# Stands for one text, from the first byte to the last.
ONE_TEXT = np.array([0, 0])
DEFAULT_STRIDE = -1

Dims = Sequence[str | int]
BYTE, LONG, FLOAT, BOOL = ir.DataType.UINT8, ir.DataType.INT64, ir.DataType.FLOAT, ir.DataType.BOOL


@dataclass(frozen=True)
class Port:
    """An input or output: its name, type and shape; the value that an input has where none is given."""

    name: str
    dtype: ir.DataType
    dims: Dims
    default: np.ndarray | None = None

    def value(self) -> ir.Value:
        return ir.Value(name=self.name, type=ir.TensorType(self.dtype), shape=ir.Shape(self.dims))


def input_ports(options: TextOptions, layout: Layout) -> list[Port]:
    """Returns the inputs of a text file, required ones first."""
    second = second_text(options)
    ports = [Port("text", BYTE, ["bytes"])]
    if second is not None:
        ports.append(Port(second, BYTE, [f"{_singular(second)}_bytes"]))
    if options.has_choices:
        ports.append(Port("choice_splits", LONG, ["choice_splits"]))
    ports.append(Port("max_length", LONG, [1]))
    if not options.has_choices and not layout.one_text:
        ports.append(Port("row_splits", LONG, ["splits"], ONE_TEXT))
        if second is not None:
            ports.append(Port(f"{second}_splits", LONG, [f"{second}_splits"], ONE_TEXT))
    if layout.form.has_windows:
        ports.append(_option("stride", DEFAULT_STRIDE))
    if options.task == TEXT_CLASSIFICATION:
        ports.append(_option("top_k", len(options.labels)))
    elif options.task in (QUESTION_ANSWERING, FILL_MASK, PRETRAINING):
        ports.append(_option("top_k", TOP_K))
    if options.task == QUESTION_ANSWERING:
        ports += [_option("longest_answer", LONGEST_ANSWER), Port("allow_no_answer", BOOL, [1], np.array([False]))]
    return ports


def output_ports(options: TextOptions, layout: Layout) -> list[Port]:
    """Returns the outputs of a text file. `cut` is there where a text may be truncated."""
    sequences = 2 if layout.form.has_pair else 1
    cut = [Port("cut", LONG, ["texts", sequences])]
    answers = {
        TEXT_CLASSIFICATION: [Port("labels", LONG, ["texts", "k"]), Port("scores", FLOAT, ["texts", "k"])],
        NEXT_SENTENCE_PREDICTION: [Port("scores", FLOAT, ["texts", 2])],
        MULTIPLE_CHOICE: [Port("scores", FLOAT, [1, "choices"])],
        QUESTION_ANSWERING: [
            Port("spans", LONG, ["texts", "k", 2]),
            Port("scores", FLOAT, ["texts", "k"]),
            Port("no_answer", FLOAT, ["texts"]),
        ],
        TOKEN_CLASSIFICATION: [
            Port("entities", LONG, ["found_entities"]),
            Port("entity_scores", FLOAT, ["found_entities"]),
            Port("entity_spans", LONG, ["found_entities", 2]),
            Port("entity_texts", LONG, ["found_entities"]),
            Port("labels", LONG, ["tokens"]),
            Port("scores", FLOAT, ["tokens"]),
            Port("spans", LONG, ["tokens", 2]),
            Port("texts", LONG, ["tokens"]),
        ],
        FILL_MASK: [
            Port("tokens", LONG, ["masks", "k"]),
            Port("scores", FLOAT, ["masks", "k"]),
            Port("spans", LONG, ["masks", 2]),
            Port("texts", LONG, ["masks"]),
        ],
        FEATURE_EXTRACTION: [Port("sentence_embedding", FLOAT, ["texts", "hidden"])],
        SENTENCE_SIMILARITY: [Port("sentence_embedding", FLOAT, ["texts", "hidden"])],
    }
    task = FILL_MASK if options.task == PRETRAINING else options.task
    truncates = not layout.form.has_windows or task == QUESTION_ANSWERING
    return answers[task] + (cut if truncates else [])


def second_text(options: TextOptions) -> str | None:
    """Returns the name of the input with the second texts; None for a task without any."""
    if not options.has_pair:
        return None
    return {QUESTION_ANSWERING: "context", MULTIPLE_CHOICE: "choices"}.get(options.task, "pair")


def record(options: TextOptions, layout: Layout, ports: Sequence[Port], inputs: Sequence[str]) -> dict[str, Any]:
    """Returns the record of a text file.

    Args:
        options: Its settings.
        layout: Its layout.
        ports: Its inputs.
        inputs: The inputs of the model inside.
    """
    return {
        "version": VERSION,
        "limit": layout.rows.limit,
        "max_length": min(options.max_length, layout.rows.limit),
        "pair": options.pair,
        "inputs": [port.name for port in ports if port.default is None],
        "optional": [port.name for port in ports if port.default is not None],
        "problem_type": options.problem if options.task == TEXT_CLASSIFICATION else None,
        "choices": layout.choices,
        "model": list(inputs),
    }


def read_record(model: ir.Model) -> dict[str, Any] | None:
    """Returns the record in a file's metadata; None for a file without one that can be read."""
    try:
        found = json.loads(model.metadata_props.get(TEXT, "null"))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _option(name: str, value: int) -> Port:
    return Port(name, LONG, [1], np.array([value]))


def _singular(name: str) -> str:
    return "choice" if name == "choices" else name
