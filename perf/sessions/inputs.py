"""Synthetic inputs for a text model, from the names, types and shapes that it declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perf.errors import PerfError, PerfUsageError, one_line
from perf.sessions.session import Session

DEFAULT_VOCAB_SIZE = 1000
"""Upper bound of ids where the vocabulary is unknown: smaller than that of any published BERT."""

CHOICES = 2
"""Choices of a multiple-choice model, [batch, choices, seq], whose file leaves that dimension dynamic."""

INTEGERS: dict[str, type[np.generic]] = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
MASK_TYPES: dict[str, type[np.generic]] = INTEGERS | {
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}
TYPES_OF_INPUT: dict[str, dict[str, type[np.generic]]] = {
    "input_ids": INTEGERS,
    "attention_mask": MASK_TYPES,
    "token_type_ids": INTEGERS,
    "position_ids": INTEGERS,
}


@dataclass(frozen=True)
class DeclaredInput:
    """One input as the model declares it; a dynamic dimension is a name or None."""

    name: str
    type: str
    shape: tuple[int | str | None, ...]


class DeclaredPorts:
    """Inputs and outputs that are known when a file is open: base class of sessions.

    Args:
        inputs, outputs: What `get_inputs` and `get_outputs` return, as those of onnxruntime's session do.
    """

    def __init__(self, inputs: list[DeclaredInput], outputs: list[DeclaredInput]) -> None:
        self._inputs, self._outputs = inputs, outputs

    def get_inputs(self) -> list[DeclaredInput]:
        """Returns the inputs."""
        return self._inputs

    def get_outputs(self) -> list[DeclaredInput]:
        """Returns the outputs."""
        return self._outputs


SUFFIX = ".npz"
"""Suffix of a file with the inputs of one run, by name."""


def read_inputs(file: Path) -> dict[str, np.ndarray]:
    """Returns the inputs in a file. Raises PerfError where there are none."""
    try:
        with np.load(file) as found:
            return dict(found)
    except (OSError, ValueError) as error:
        raise PerfError(f"cannot read {file}: {one_line(error)}; expected the inputs of a run") from error


def declared_inputs(session: Session) -> tuple[DeclaredInput, ...]:
    """Returns the session's inputs, as values that outlive it."""
    nodes = session.get_inputs()
    ids = next((tuple(node.shape) for node in nodes if node.name == "input_ids"), ())
    # A file that declares no shape of an input of a text takes that of the ids, or [batch, seq].
    undeclared = ids or (None, None)
    return tuple(
        DeclaredInput(node.name, node.type, tuple(node.shape) or (undeclared if node.name in TYPES_OF_INPUT else ()))
        for node in nodes
    )


def fixed_seq_len(declared: Sequence[DeclaredInput]) -> int | None:
    """Returns the length of a model with fixed shapes, in tokens; None if it takes any length."""
    lengths = [item.shape[-1] for item in declared if item.shape and item.name in TYPES_OF_INPUT]
    return next((length for length in lengths if isinstance(length, int)), None)


def synthesise(
    model: str,
    declared: Sequence[DeclaredInput],
    *,
    batch: int,
    seq_len: int,
    vocab_size: int = DEFAULT_VOCAB_SIZE,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Returns inputs of shape [batch, seq_len] or [batch, choices, seq_len]: random ids, no padding, one segment.

    The ids depend on the seed, the shape and `vocab_size` only, so that all models of a run read the same.

    Raises:
        PerfUsageError: `batch` or `seq_len` is not the one that the model's fixed shape takes.
        PerfError: an unknown input, or an unsupported element type or rank.
    """
    return {
        item.name: _values(item, _shape(model, item, batch, seq_len), vocab_size, seed).astype(_dtype(model, item))
        for item in declared
    }


def as_declared(model: str, feed: Mapping[str, np.ndarray], declared: Sequence[DeclaredInput]) -> dict[str, np.ndarray]:
    """Converts the inputs of one model for another one: the inputs that it declares, in its element types.

    Raises:
        PerfError: an unknown input, or an unsupported element type.
    """
    return {item.name: feed[item.name].astype(_dtype(model, item)) for item in declared if item.name in feed}


def _dtype(model: str, item: DeclaredInput) -> type[np.generic]:
    types = TYPES_OF_INPUT.get(item.name)
    if types is None:
        known = ", ".join(TYPES_OF_INPUT)
        raise PerfError(f"{model}: input {item.name!r} is not known, only {known} are: export it with these names")
    if item.type not in types:
        raise PerfError(f"{model}: input {item.name!r} is a {item.type}; expected one of {', '.join(types)}")
    return types[item.type]


def _shape(model: str, item: DeclaredInput, batch: int, seq_len: int) -> tuple[int, ...]:
    if len(item.shape) == 2:
        asked = [("batch", batch), ("seq-len", seq_len)]
    elif len(item.shape) == 3:
        choices = item.shape[1]
        asked = [("batch", batch), ("choices", choices if isinstance(choices, int) else CHOICES), ("seq-len", seq_len)]
    else:
        raise PerfError(
            f"{model}: input {item.name!r} has the shape {list(item.shape)}; "
            "expected [batch, seq] or [batch, choices, seq]: export it with one of these"
        )
    for (what, value), fixed in zip(asked, item.shape, strict=True):
        if isinstance(fixed, int) and fixed != value:
            raise PerfUsageError(f"{model} takes only {what} {fixed}, not {value}: pass --{what} {fixed}")
    return tuple(value for _, value in asked)


def _values(item: DeclaredInput, shape: tuple[int, ...], vocab_size: int, seed: int) -> np.ndarray:
    match item.name:
        case "input_ids":
            return np.random.default_rng((seed, *shape)).integers(0, vocab_size, shape)
        case "position_ids":
            return np.broadcast_to(np.arange(shape[-1]), shape)
        case "token_type_ids":
            return np.zeros(shape)
        case _:
            return np.ones(shape)
