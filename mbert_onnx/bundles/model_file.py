"""Any MobileBERT `.onnx` file: its task, its inputs, and the tokenizer that reads texts for it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from graphs.model.embeddings import rows_of
from graphs.model.loading import read_model
from mbert_onnx.bundles.inputs import Inputs, Shapes, first_line, inputs_of
from mbert_onnx.bundles.reader import TOKENIZER, Bundle, is_bundle, read_bundle
from mbert_onnx.bundles.session_errors import LoadError
from mbert_onnx.errors import BundleError, UsageError, VerificationError
from mbert_onnx.reference import is_reference, located
from mbert_onnx.text.calibration_text import CHOICES
from mbert_onnx.text.encoder import DEFAULT_MAX_POSITIONS
from mbert_onnx.text.tasks import MULTIPLE_CHOICE, QUESTION_ANSWERING, Task, task_named, task_of_graph, task_of_shapes

# onnxruntime's severity of fatal errors: errors are raised, and reported in one line, not logged.
SILENT = 4

# The name, before a colon, of the checkpoint of a bundle with one of the built-in random models.
RANDOM = "random"


@dataclass(frozen=True)
class TextReader:
    """Reader of texts for a model: task, tokenizer and limits.

    Args:
        task: The model's task.
        tokenizer: A tokenizer.json.
        vocab_size: Number of token ids; None where it is unknown.
        max_positions: The largest number of tokens.
    """

    task: Task
    tokenizer: Path
    vocab_size: int | None
    max_positions: int


# Called only for a model that is calibrated; returns None for one without a tokenizer.
FindReader = Callable[[], TextReader | None]


@dataclass(frozen=True)
class TextModel:
    """A model file or checkpoint that texts can be run through.

    Args:
        name: The name of the file or checkpoint, for messages.
        shapes: Sizes and type of its inputs.
        reader: Reader of texts for it.
        is_random: Whether it is known to have random weights.
    """

    name: str
    shapes: Shapes
    reader: TextReader
    is_random: bool


def find_file(model: str | Path) -> tuple[Path, Bundle | None]:
    """Returns a bundle's model file and the bundle; for a model file, the file and the bundle that it is in, or None.

    Raises BundleError where there is no file.
    """
    path = located(model)
    if path.is_dir():
        bundle = read_bundle(path)
        return bundle.model_path, bundle
    if not path.is_file():
        raise BundleError(f"{model} does not exist; give a bundle or an .onnx file")
    try:
        return path, read_bundle(path)
    except BundleError:
        return path, None  # a file on its own


def is_file(model: str | Path) -> bool:
    """Returns whether `model` is, or looks like, a file or bundle; else it is a checkpoint, such as `reference`."""
    path = Path(model)
    return not is_reference(model) and (path.is_file() or is_bundle(path) or path.suffix == ".onnx")


def read_text_model(
    path: Path, bundle: Bundle | None, *, purpose: str, task: str | None = None, tokenizer: str | Path | None = None
) -> TextModel:
    """Determines a file's task, inputs and tokenizer: from the options, its bundle, and the file itself.

    Args:
        path: The file.
        bundle: The bundle that it is in; None for a file on its own.
        purpose: The reason that texts are needed, for the error if there is no tokenizer.
        task: A task's name; default: the bundle's, or the one that has the file's outputs.
        tokenizer: A tokenizer.json, or a folder with one; default: the bundle's.

    Raises:
        UsageError: there is no such task, or no known task has the file's outputs.
        BundleError: there is no tokenizer, the inputs are not MobileBERT's, or the outputs not the task's.
        VerificationError: onnxruntime does not load or run the file.
        graphs.errors.GraphError: the file cannot be read.
    """
    found = None if task is None else task_named(task)
    session = open_session(path)
    vocab_size = rows_of(read_model(path).graph)
    rank = max((len(node.shape or ()) for node in session.get_inputs()), default=0)
    usual = MULTIPLE_CHOICE if rank == len(MULTIPLE_CHOICE.input_axes) else QUESTION_ANSWERING
    inputs = inputs_of(session, found or usual, path.name)
    run = _trial(session, inputs, path.name)
    outputs = run(1)
    if found is None and bundle is not None:
        found = task_of_graph(bundle.task, outputs)
    if found is None:
        found = task_of_shapes(rank, outputs, vocab_size)
    if found is None:
        raise UsageError(
            f"{path.name} has outputs {', '.join(outputs)}, which no known task has; expected those of "
            "transformers' or optimum's exports, such as logits: export it again with those names"
        )
    if not found.is_answered_by(outputs):
        raise BundleError(
            f"{path.name} has outputs {', '.join(outputs)}; {found.name} needs {', '.join(found.output_names)}: "
            "pass the --task that it was exported for"
        )
    config: dict[str, Any] = {} if bundle is None else bundle.config
    metadata = None if bundle is None else bundle.metadata
    return TextModel(
        name=path.name,
        shapes=inputs.shapes,
        reader=TextReader(
            task=found,
            tokenizer=_tokenizer(path, bundle, tokenizer, purpose),
            vocab_size=config.get("vocab_size") or vocab_size,
            max_positions=inputs.sequence or config.get("max_position_embeddings") or _longest(run),
        ),
        is_random=str((metadata or {}).get("checkpoint")).partition(":")[0] == RANDOM,
    )


def open_session(path: Path, library: Path | None = None) -> onnxruntime.InferenceSession:
    """Loads a file on the CPU, with a library of native kernels or without.

    Raises VerificationError, with onnxruntime's message in one line.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT
    try:
        if library is not None:
            options.register_custom_ops_library(str(library))
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common class
        raise LoadError(path, error) from error


def _trial(session: Any, inputs: Inputs, name: str) -> Callable[[int], dict[str, tuple[int, ...]]]:
    """Returns a function that runs a text of some length (or the fixed one), and returns the outputs' shapes."""
    names = [output.name for output in session.get_outputs()]

    def run(length: int) -> dict[str, tuple[int, ...]]:
        rank = len(session.get_inputs()[0].shape)
        choices = () if rank == len(QUESTION_ANSWERING.input_axes) else (inputs.choices or CHOICES,)
        shape = (inputs.batch or 1, *choices, inputs.sequence or length)
        feed = {key: np.full(shape, key == "attention_mask", inputs.dtype) for key in inputs.names}
        try:
            return {key: value.shape for key, value in zip(names, session.run(names, feed), strict=True)}
        except Exception as error:
            raise VerificationError(f"{name} does not run in onnxruntime: {first_line(error)}") from error

    return run


def _longest(run: Callable[[int], object]) -> int:
    """Searches for the largest number of tokens that a file runs with, up to MobileBERT's own limit."""

    def runs(length: int) -> bool:
        try:
            run(length)
        except VerificationError:
            return False
        return True

    if runs(DEFAULT_MAX_POSITIONS):
        return DEFAULT_MAX_POSITIONS
    return bisect_left(range(1, DEFAULT_MAX_POSITIONS), True, key=lambda length: not runs(length))


def _tokenizer(path: Path, bundle: Bundle | None, given: str | Path | None, purpose: str) -> Path:
    if given is None:
        if bundle is not None and bundle.tokenizer_path is not None:
            return bundle.tokenizer_path
        where = "it is in no bundle" if bundle is None else "its bundle has none"
        raise BundleError(
            f"{path} has no {TOKENIZER} ({where}), and {purpose}; pass --tokenizer with the checkpoint's, "
            "or the folder that it is in"
        )
    return tokenizer_file(given)


def tokenizer_file(given: str | Path) -> Path:
    """Returns the tokenizer.json at a path, or in the folder there. Raises BundleError where there is none."""
    path = Path(given)
    if path.is_dir():
        if not (path / TOKENIZER).is_file():
            raise BundleError(f"{path} has no {TOKENIZER}; pass --tokenizer with one, or with a folder that has one")
        return path / TOKENIZER
    if not path.is_file():
        raise BundleError(f"{path} does not exist; pass --tokenizer with a {TOKENIZER}, or a folder that has one")
    return path
