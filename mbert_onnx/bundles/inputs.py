"""Inputs of a model file: which it takes, their integer type, and the sizes of their axes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mbert_onnx.errors import BundleError
from mbert_onnx.text.name_lists import name_list
from mbert_onnx.text.tasks import Task

INPUT_NAMES = ("input_ids", "attention_mask", "token_type_ids")

# Some exports take the positions of the tokens, too: 0, 1, 2, …
POSITION_IDS = "position_ids"

# Names of the same inputs in files of other exporters: Google's BERT, TensorFlow Hub, Keras, and hand-written wrappers.
OTHER_NAMES = {
    "input_ids": ("input_word_ids", "input_tokens", "word_ids", "token_ids", "tokens", "ids"),
    "attention_mask": ("input_mask", "input_masks", "attention_masks", "padding_mask", "mask", "masks"),
    "token_type_ids": ("segment_ids", "input_type_ids", "input_segment_ids", "type_ids", "token_types", "segments"),
    POSITION_IDS: ("input_position_ids", "pos_ids", "positions"),
}
_BY_NAME = {name: own for own, others in OTHER_NAMES.items() for name in (own, *others)}

# What exporters put around a name: TensorFlow's scopes, `serving_default_` and the number of an operator's output
# (`input_ids:0`), the numbers with which torch (`input_ids.1`) and Keras (`input_ids_1`) make names unique.
DECORATION = re.compile(r"^(.*/)?(serving_default_)?|([._]\d+)?(:\d+)?$")

INTEGER_TYPES: dict[str, type[np.integer[Any]]] = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
# A mask of 0 and 1 may be of other types, too.
MASK_TYPES: dict[str, type[np.generic]] = INTEGER_TYPES | {
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
}


@dataclass(frozen=True)
class Shapes:
    """Sizes of a graph's inputs, None where dynamic; ids are int64, as in transformers, or int32.

    The length is a multiple of `multiple`, of which most graphs need none.
    """

    batch: int | None = None
    seq_len: int | None = None
    choices: int | None = None
    int32: bool = False
    multiple: int = 1


@dataclass(frozen=True)
class Inputs:
    """Inputs of a session. An axis is None where it is dynamic; `choices` is None for a task without choices, too.

    `dtype` is the type of the ids, `types` that of each input.
    """

    names: tuple[str, ...]
    dtype: type[np.integer[Any]]
    batch: int | None
    choices: int | None
    sequence: int | None
    types: Mapping[str, type[np.generic]]

    def typed(self, feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the inputs that the session takes, in its types."""
        return {name: feed[name].astype(self.types[name], copy=False) for name in self.names}

    @property
    def shapes(self) -> Shapes:
        """Its sizes and integer type."""
        return Shapes(self.batch, self.sequence, self.choices, self.dtype is np.int32)


def transformers_names(names: Iterable[str]) -> dict[str, str]:
    """Returns transformers' names of inputs, by the names that a file has for them, such as `segment_ids:0`.

    An input whose name is not known is left out, as is a second one of the same name.
    """
    found: dict[str, str] = {}
    given = list(names)
    # transformers' own names first, then those without decoration.
    for name in sorted(given, key=lambda name: (name not in OTHER_NAMES, name not in _BY_NAME)):
        known = _BY_NAME.get(DECORATION.sub("", name).lower())
        if known is not None and known not in found.values():
            found[name] = known
    return {name: found[name] for name in given if name in found}


def inputs_of(session: Any, task: Task, file_name: str) -> Inputs:
    """Returns the inputs of an onnxruntime session. Raises BundleError for inputs that are not MobileBERT's."""
    nodes = {node.name: node for node in session.get_inputs()}
    if "input_ids" not in nodes or not set(nodes) <= set(INPUT_NAMES):
        raise BundleError(
            f"{file_name} has the inputs {name_list(nodes)}, expected input_ids and perhaps "
            f"{', '.join(INPUT_NAMES[1:])}. Export the checkpoint again."
        )
    types: dict[str, type[np.generic]] = {}
    for name, node in nodes.items():
        known = MASK_TYPES if name == "attention_mask" else INTEGER_TYPES
        if node.type not in known:
            raise BundleError(
                f"{file_name} has {name} of {node.type}, expected {' or '.join(INTEGER_TYPES)}. "
                "Export the checkpoint again."
            )
        types[name] = known[node.type]
    # A file that declares no shape takes any.
    shape = nodes["input_ids"].shape or [None] * len(task.input_axes)
    if len(shape) != len(task.input_axes):
        raise BundleError(
            f"{file_name} has input_ids of shape {shape}, but {task.name} has the axes {', '.join(task.input_axes)}. "
            f"Is {task.name} its task?"
        )
    fixed = {axis: size if isinstance(size, int) else None for axis, size in zip(task.input_axes, shape, strict=True)}
    names = tuple(name for name in INPUT_NAMES if name in nodes)
    dtype = INTEGER_TYPES[nodes["input_ids"].type]
    return Inputs(names, dtype, fixed["batch"], fixed.get("choices"), fixed["sequence"], types)


def first_line(error: BaseException) -> str:
    """Returns the first line of an onnxruntime error, as one sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".") + "."
