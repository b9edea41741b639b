"""Rows of token ids through a session: padded, batched, and each row's outputs cut back to its own length.

A session says what it wants by its inputs: which of them it has, int64 or int32, dynamic or fixed axes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mbert_onnx.bundles.shapes import Shapes
from mbert_onnx.errors import BundleError
from mbert_onnx.text.encoder import Row
from mbert_onnx.text.tasks import Task

INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")
INTEGER_TYPES: dict[str, type[np.integer[Any]]] = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
# Where the batch is dynamic: a CPU gains little beyond a few rows, and the vocabulary's logits for one row of 512
# tokens are 62 MB already.
ROWS_PER_RUN = 8


@dataclass(frozen=True)
class Inputs:
    """What a session takes. An axis is None where it is dynamic; `choices` is None for a task without choices, too."""

    names: tuple[str, ...]
    dtype: type[np.integer[Any]]
    batch: int | None
    choices: int | None
    sequence: int | None

    @property
    def shapes(self) -> Shapes:
        """What is fixed of it."""
        return Shapes(self.batch, self.sequence, self.choices, self.dtype is np.int32)


def inputs_of(session: Any, task: Task, file_name: str) -> Inputs:
    """What an onnxruntime session takes for `task`. Raises BundleError for inputs that are not MobileBERT's."""
    nodes = {node.name: node for node in session.get_inputs()}
    if "input_ids" not in nodes or not set(nodes) <= set(INPUT_NAMES):
        raise BundleError(
            f"{file_name} has the inputs {', '.join(nodes) or 'none'}, expected input_ids and perhaps "
            f"{', '.join(INPUT_NAMES[1:])}. Export the checkpoint again."
        )
    types = sorted({node.type for node in nodes.values()})
    if len(types) > 1 or types[0] not in INTEGER_TYPES:
        raise BundleError(
            f"{file_name} has inputs of {', '.join(types)}, expected all int64 or all int32. "
            "Export the checkpoint again."
        )
    shape = nodes["input_ids"].shape
    if len(shape) != len(task.input_axes):
        raise BundleError(
            f"{file_name} has input_ids of shape {shape}, but {task.name} has the axes {', '.join(task.input_axes)}. "
            f"Is {task.name} its task?"
        )
    fixed = {axis: size if isinstance(size, int) else None for axis, size in zip(task.input_axes, shape, strict=True)}
    names = tuple(name for name in INPUT_NAMES if name in nodes)
    return Inputs(names, INTEGER_TYPES[types[0]], fixed["batch"], fixed.get("choices"), fixed["sequence"])


def first_line(error: Exception) -> str:
    """What onnxruntime says, as one sentence, without the rest of its pages."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".") + "."


class RowRunner:
    """Runs rows through a session, as many at a time as it takes."""

    def __init__(self, session: Any, task: Task, inputs: Inputs, pad_token_id: int, file_name: str) -> None:
        self._session = session
        self._task = task
        self._inputs = inputs
        self._pad_token_id = pad_token_id
        self._file_name = file_name

    def run(self, rows: Sequence[Row], *outputs: str) -> Iterator[tuple[int, list[np.ndarray]]]:
        """For each row its number and its part of each output, in whatever order of rows is cheap.

        What is yielded is float32, without the batch axis (and without that of choices), and without the padding where
        it has a sequence axis: `[labels]`, `[tokens]`, `[tokens, vocab]`, or a single number for choices. Raises
        BundleError where onnxruntime fails.
        """
        per_token = ["sequence" in self._task.axes(output) for output in outputs]
        for numbers in self._batches(rows):
            feeds = self.feed([rows[number] for number in numbers])
            try:
                values = self._session.run(list(outputs), feeds)
            except Exception as error:  # onnxruntime's exceptions share no base of their own
                raise BundleError(
                    f"onnxruntime cannot run {self._file_name}: {first_line(error)} Export it again."
                ) from error
            if self._task.has_choices:
                values = [value.reshape(-1) for value in values]
            for place, number in enumerate(numbers):
                length = len(rows[number])
                parts = [
                    value[place, :length] if cut else value[place] for value, cut in zip(values, per_token, strict=True)
                ]
                yield number, [np.asarray(part, dtype=np.float32) for part in parts]

    def _batches(self, rows: Sequence[Row]) -> Iterator[list[int]]:
        """Numbers of rows that run together: of like length, so that little is padding."""
        order = sorted(range(len(rows)), key=lambda number: len(rows[number]))
        size = self._slots
        # Padding that no mask hides would be read as text.
        mixed = "attention_mask" in self._inputs.names or self._inputs.sequence is not None
        batch: list[int] = []
        for number in order:
            if batch and (len(batch) == size or not (mixed or len(rows[number]) == len(rows[batch[0]]))):
                yield batch
                batch = []
            batch.append(number)
        if batch:
            yield batch

    @property
    def _slots(self) -> int:
        """How many rows fit in one run: choices are rows, too, since each is scored without the others."""
        if self._task.has_choices:
            return (self._inputs.batch or 1) * (self._inputs.choices or ROWS_PER_RUN)
        return self._inputs.batch or ROWS_PER_RUN

    def _leading_shape(self, count: int) -> tuple[int, ...]:
        """The axes before that of the sequence, for `count` rows: `(batch,)` or `(batch, choices)`."""
        if self._task.has_choices:
            batch = self._inputs.batch or 1
            return batch, self._inputs.choices or math.ceil(count / batch)
        return (self._inputs.batch or count,)

    def feed(self, rows: Sequence[Row]) -> dict[str, np.ndarray]:
        """The inputs of one run, each `[batch, sequence]` or `[batch, choices, sequence]`."""
        inputs = self._inputs
        shape = self._leading_shape(len(rows))
        # A fixed batch is filled up with a row that is there already: one without any token need not stay finite.
        filled = [*rows] + [rows[-1]] * (math.prod(shape) - len(rows))
        length = inputs.sequence or max(map(len, rows))
        arrays = {
            "input_ids": np.full((len(filled), length), self._pad_token_id, inputs.dtype),
            "attention_mask": np.zeros((len(filled), length), inputs.dtype),
            "token_type_ids": np.zeros((len(filled), length), inputs.dtype),
        }
        for place, row in enumerate(filled):
            arrays["input_ids"][place, : len(row)] = row.ids
            arrays["attention_mask"][place, : len(row)] = 1
            arrays["token_type_ids"][place, : len(row)] = row.type_ids
        return {name: arrays[name].reshape(*shape, length) for name in inputs.names}
