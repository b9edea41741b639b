"""Limits of a model file's inputs: from its bundle's config, its graph, and trial runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphs.errors import GraphError
from graphs.execution.inputs.declared import inputs_of_session
from graphs.execution.inputs.limits import MOST_TOKENS, MOST_WORDS, SEGMENTS, InputLimits, tried_limits
from graphs.execution.inputs.shapes import CHOICES, constant_feed
from graphs.ir.text_inputs import TYPES
from graphs.model.embeddings import rows_of
from graphs.model.loading import read_model
from mbert_onnx.bundles.inputs import first_line
from mbert_onnx.bundles.ports import declared_sizes, with_outputs
from mbert_onnx.bundles.reader import Bundle
from mbert_onnx.errors import VerificationError
from mbert_onnx.text.tasks import Sizes


def expected_limits(
    path: Path, session: Any, config: Mapping[str, Any] | None = None, *, positions: int = MOST_TOKENS
) -> InputLimits:
    """Returns the limits that a file's bundle and graph say, without running it.

    Args:
        path: The file.
        session: A session of it.
        config: The config of its bundle; None for a file on its own.
        positions: The largest length to expect where there is no config.

    Raises graphs.errors.GraphError for a file that cannot be read.
    """
    known = config or {}
    graph = read_model(path, values=False).graph
    segments = known.get("type_vocab_size") or rows_of(graph, TYPES) or SEGMENTS
    return InputLimits.declared(
        inputs_of_session(session),
        vocab_size=known.get("vocab_size") or rows_of(graph) or MOST_WORDS,
        segments=min(segments, SEGMENTS),
        positions=known.get("max_position_embeddings") or positions,
    )


def file_limits(name: str, session: Any, expected: InputLimits) -> InputLimits:
    """Returns the expected limits, narrowed to what a file runs with.

    Raises VerificationError where it runs with no inputs that were tried.
    """

    names = [output.name for output in session.get_outputs()]

    def run(feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, dict(feed)), strict=True))

    try:
        return tried_limits(inputs_of_session(session), run, expected)
    except Exception as error:  # onnxruntime's errors have no common class
        raise VerificationError(f"{name} does not run in onnxruntime: {first_line(error)}") from error


def output_sizes(session: Any, limits: InputLimits) -> dict[str, Sizes]:
    """Returns the shapes of the outputs by name, from trials; None for sizes that follow the length of the text."""
    inputs, names = inputs_of_session(session), [output.name for output in session.get_outputs()]

    def shapes(length: int) -> dict[str, tuple[int, ...]]:
        feed = constant_feed(inputs, limits.batch or 1, length, limits.choices or CHOICES)
        return {name: value.shape for name, value in zip(names, session.run(names, feed), strict=True)}

    short, longer = (shapes(length) for length in (limits.lengths[0], limits.lengths[:2][-1]))
    return {
        name: tuple(a if a == b else None for a, b in zip(shape, longer[name], strict=True))
        for name, shape in short.items()
    }


def with_tried_outputs(session: Any, bundle: Bundle) -> Any:
    """Returns a bundle's session with its task's names of outputs, by their shapes in trials; as it is if none fit.

    Some exporters, such as torch's, declare sizes of outputs that say nothing (`Add_dim_1`).
    """
    if all("?" not in shape[1:] for shape in declared_sizes(session).values()):
        return session
    path, config = bundle.model_path, bundle.config
    try:
        limits = file_limits(path.name, session, expected_limits(path, session, config))
    except (GraphError, VerificationError):
        return session
    sizes = output_sizes(session, limits)
    return with_outputs(session, bundle.task, sizes=sizes, vocab_size=config.get("vocab_size"), by_order=False)


def lengths_text(lengths: range) -> str:
    """Returns lengths in words: "1 to 64 tokens", "64 tokens", "8 to 512 tokens in multiples of 8"."""
    if len(lengths) == 1:
        return f"{lengths[0]} tokens"
    step = "" if lengths.step == 1 else f" in steps of {lengths.step}"
    return f"{lengths[0]} to {lengths[-1]} tokens{step}"


def sizes_text(limits: InputLimits) -> str:
    """Returns sizes in words: "1 to 64 tokens", "batch 1 and 64 tokens"."""
    fixed = [f"{what} {size}" for what, size in (("batch", limits.batch), ("choices", limits.choices)) if size]
    return " and ".join([*fixed, lengths_text(limits.lengths)])
