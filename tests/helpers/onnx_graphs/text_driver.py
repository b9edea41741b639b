"""Builds and runs a program that tokenizes texts with the kernels' tokenizer, without onnxruntime."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from kernel_driver import HERE, output

from graphs.functions.text.function import attributes, inputs, outputs
from graphs.functions.text.tables.row_options import Form, RowOptions
from graphs.functions.text.tables.tables import Tables
from graphs.kernels import build

SETTINGS = ("last_space", "last_isolated", "first_added", "unknown", "longest_word", "padding", "truncation")
ROW_SETTINGS = ("truncation_side", "limit", "columns")
WITHOUT_WINDOWS = np.array([-1])


def build_text_driver(folder: Path, triple: str, options: Sequence[str] = ()) -> Path:
    """Builds the program for one of zig's triples, and returns its path; `options` are compiler flags for all of it."""
    sources = build.with_flags(build.TEXT)
    objects = build.compile_sources(triple, sources, options, folder)
    own = ["-std=c++17", "-O1", f"-I{build.HERE}", *options]
    build.run_clang(triple, [*own, str(HERE / "text_driver.cc"), *objects, "-o", str(folder / "text_driver")])
    return folder / "text_driver"


def request(form: Form, tables: Tables, options: RowOptions, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Returns what the program reads: the settings, the tables, and the inputs of a run."""
    values = attributes(form, tables, options)
    numbers = [form.has_pair, form.has_windows, values.get("windowed", 0), values["shift"], *values["roots"]]
    numbers += [values[name] for name in (*SETTINGS, *ROW_SETTINGS)]
    parts = [_int64(numbers), *_array(_int64(values["template"])), _int64([tables.arrays["expansions"].shape[1]])]
    for name, array in tables.arrays.items():
        wide = [_int64([array.dtype == np.int32])] if name in ("base", "entries") else []
        parts += [*wide, *_array(array)]
    parts += [_int64([feed["max_length"].item(), feed.get("stride", WITHOUT_WINDOWS).item()])]
    for name in inputs(form, tables)[: 4 if form.has_pair else 2]:
        parts += _array(feed[name])
    return parts


def tokenized(
    command: Sequence[str], form: Form, tables: Tables, options: RowOptions, feed: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Returns the function's outputs by name; `command` starts the program."""
    found = output(command, request(form, tables, options, feed))
    rows, columns = map(int, np.frombuffer(found[:16], np.int64))
    texts, place, arrays = max(len(feed["row_splits"]) - 1, 0), 16, dict[str, np.ndarray]()
    for name in outputs(form):
        shape: tuple[int, ...] = (rows, columns, 2) if name.endswith("offsets") else (rows, columns)
        shape = {"row_texts": (rows,), "cut": (texts, 2 if form.has_pair else 1)}.get(name, shape)
        kind = np.dtype(np.bool_ if name == "owned" else np.int64)
        end = place + int(np.prod(shape)) * kind.itemsize
        arrays[name], place = np.frombuffer(found[place:end], kind).reshape(shape), end
    assert place == len(found)
    return arrays


def times(driver: Path, tables: Tables, options: RowOptions, feed: Mapping[str, np.ndarray], rounds: int) -> np.ndarray:
    """Returns the median time of each text of a batch alone, in seconds."""
    given = b"".join(part.tobytes() for part in request(Form.TEXT, tables, options, feed))
    done = subprocess.run([driver, str(rounds)], input=given, capture_output=True, check=True)
    return np.frombuffer(done.stdout, np.float64) * 1e-9


def _int64(numbers: Sequence[int]) -> np.ndarray:
    return np.array([int(number) for number in numbers], np.int64)


def _array(array: np.ndarray) -> list[np.ndarray]:
    return [_int64([array.size]), np.ascontiguousarray(array)]
