"""Any MobileBERT `.onnx` file: its task, its inputs, and the tokenizer that reads texts for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from graphs.execution.inputs.limits import MOST_WORDS
from graphs.model.quiet import quiet_options
from mbert_onnx.bundles.inputs import Shapes, inputs_of
from mbert_onnx.bundles.limits import expected_limits, file_limits, output_sizes
from mbert_onnx.bundles.ports import (
    CORRECT_TASK,
    Ports,
    check_axes,
    declared_sizes,
    fixed_length,
    named_session,
    ports_of,
    with_outputs,
)
from mbert_onnx.bundles.proto_file import is_text_file
from mbert_onnx.bundles.reader import Bundle, is_bundle, read_bundle
from mbert_onnx.bundles.records import TOKENIZER
from mbert_onnx.bundles.session_errors import LoadError
from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.reference import is_reference, located
from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.text.name_lists import name_list
from mbert_onnx.text.tasks import (
    MULTIPLE_CHOICE,
    QUESTION_ANSWERING,
    Sizes,
    Task,
    named_outputs,
    task_named,
    task_of_graph,
    task_of_outputs,
    task_of_shapes,
)

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
        segments: Number of token types; None where it is unknown. A model with one reads both texts of a pair as it.
        tokenizer_option: Whether the command has an option --tokenizer, which messages then name.
    """

    task: Task
    tokenizer: Path
    vocab_size: int | None
    max_positions: int
    segments: int | None = None
    tokenizer_option: bool = False

    def encoder(self) -> TextEncoder:
        """Returns the encoder of its texts. Raises BundleError for a tokenizer that cannot be read, or does not fit."""
        return TextEncoder(
            self.tokenizer,
            self.max_positions,
            vocab_size=self.vocab_size,
            segments=self.segments,
            tokenizer_option=self.tokenizer_option,
        )


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
        ports: The file's own names of its inputs and outputs.
        types: The type of each input.
    """

    name: str
    shapes: Shapes
    reader: TextReader
    is_random: bool
    ports: Ports = field(default_factory=Ports)
    types: Mapping[str, type[np.generic]] = field(default_factory=dict)


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


def check_ordinary(path: Path, command: str, *, converts_checkpoints: bool = False) -> None:
    """Raises UsageError for a text file, which takes no token ids, where a command needs a file that does.

    A command that converts checkpoints needs no file, but what the file was made from.
    """
    if path.is_file() and is_text_file(path):
        if converts_checkpoints:
            raise UsageError(
                f"{path} is a text file, and {command} converts checkpoints; give the one that it was made from"
            )
        ordinary = path.with_name(path.name.replace("model_text", "model"))
        instead = ordinary if ordinary != path and ordinary.is_file() else "the model file that it was made from"
        raise UsageError(f"{path} is a text file, and {command} reads files that take token ids; give {instead}")


def is_file(model: str | Path) -> bool:
    """Returns whether `model` is, or looks like, a file or bundle; else it is a checkpoint, such as `reference`."""
    path = Path(model)
    return not is_reference(model) and (path.is_file() or is_bundle(path) or path.suffix == ".onnx")


def read_text_model(
    path: Path,
    bundle: Bundle | None,
    *,
    purpose: str,
    task: str | None = None,
    outputs: Sequence[str] = (),
    tokenizer: str | Path | None = None,
) -> TextModel:
    """Determines a file's task, inputs and tokenizer: from the options, its bundle, and the file itself.

    Args:
        path: The file.
        bundle: The bundle that it is in; None for a file on its own.
        purpose: The reason that texts are needed, for the error if there is no tokenizer.
        task: A task's name; default: the bundle's, or the one that has the file's outputs.
        outputs: The file's names of the task's outputs, in the task's order; default: those of the task's names, or
            else of its shapes.
        tokenizer: A tokenizer.json, or a folder with one; default: the bundle's.

    Raises:
        UsageError: there is no such task, no known task has the file's outputs, or `outputs` are not the task's.
        BundleError: there is no tokenizer, the inputs are not MobileBERT's, or the outputs not the task's.
        VerificationError: onnxruntime does not load or run the file.
        graphs.errors.GraphError: the file cannot be read.
    """
    found = None if task is None else task_named(task)
    session = open_session(path)
    rank = max((len(node.shape or ()) for node in session.get_inputs()), default=0)
    usual = MULTIPLE_CHOICE if rank == len(MULTIPLE_CHOICE.input_axes) else QUESTION_ANSWERING
    inputs = inputs_of(session, found or usual, path.name)
    config: dict[str, Any] = {} if bundle is None else bundle.config
    limits = file_limits(path.name, session, expected_limits(path, session, config))
    found, session = answering(
        session,
        path.name,
        found,
        bundle,
        sizes=output_sizes(session, limits),
        outputs=outputs,
        vocab_size=limits.vocab_size if limits.vocab_size < MOST_WORDS else None,
    )
    metadata = None if bundle is None else bundle.metadata
    return TextModel(
        name=path.name,
        shapes=Shapes(limits.batch, limits.length, limits.choices, inputs.shapes.int32, limits.lengths.step),
        reader=TextReader(
            task=found,
            tokenizer=_tokenizer(path, bundle, tokenizer, purpose),
            vocab_size=limits.vocab_size,
            max_positions=limits.longest,
            segments=limits.segments,
            tokenizer_option=True,
        ),
        types=inputs.types,
        is_random=str((metadata or {}).get("checkpoint")).partition(":")[0] == RANDOM,
        ports=ports_of(session),
    )


def answering(
    session: Any,
    name: str,
    asked: Task | None,
    bundle: Bundle | None,
    *,
    sizes: Mapping[str, Sizes] | None = None,
    outputs: Sequence[str] = (),
    vocab_size: int | None = None,
) -> tuple[Task, Any]:
    """Returns a file's task, and its session with the task's names of outputs.

    Args:
        session: A session of `open_session`.
        name: The file's name, for messages.
        asked: The task; None: the bundle's, or the one that has the file's outputs.
        bundle: The bundle that the file is in; None for a file on its own.
        sizes: Shapes of the outputs by name; default: as the file declares them.
        outputs: The file's names of the task's outputs, in the task's order; default: by their names or shapes.
        vocab_size: Vocabulary size of the model, if known.

    Raises:
        UsageError: no known task has the file's outputs, or `outputs` are not the task's.
        BundleError: the outputs are not those of the task that was asked for.
    """
    found = declared_sizes(session) if sizes is None else sizes
    task = asked or _task_of_file(session, bundle, found, vocab_size)
    if task is None:
        raise UsageError(
            f"{name} has outputs {name_list(found)}, which no known task has, or several have by their shapes; "
            "expected those of transformers' or optimum's exports, such as logits: pass --task, or export it again "
            "with those names"
        )
    named = with_outputs(session, task, sizes=found, chosen=outputs, vocab_size=vocab_size)
    if not task.is_answered_by([one.name for one in named.get_outputs()]):
        raise BundleError(
            f"{name} has outputs {name_list(found)}; {task.name} needs {', '.join(task.output_names)}: pass the --task "
            "that it was exported for"
        )
    check_axes(named, task, name, advice="pass the --task that it was exported for" if asked else CORRECT_TASK)
    return task, named


def _task_of_file(
    session: Any, bundle: Bundle | None, outputs: Mapping[str, Sizes], vocab_size: int | None
) -> Task | None:
    """Returns the task of a file by the names and shapes of its outputs; None where they fit several tasks, or none."""
    seq_len = fixed_length(session)
    if bundle is not None:
        task = task_of_graph(bundle.task, outputs)
        if task is not None or named_outputs(bundle.task, outputs, seq_len=seq_len, vocab_size=vocab_size):
            return task or bundle.task
    # A file that declares no shapes takes [batch, seq].
    rank = max((len(one.shape or ()) for one in session.get_inputs()), default=0) or 2
    return task_of_shapes(rank, outputs, vocab_size) or task_of_outputs(
        rank, outputs, seq_len=seq_len, vocab_size=vocab_size
    )


def open_session(path: Path, library: Path | None = None) -> Any:
    """Loads a file on the CPU, with a library of native kernels or without; its inputs have transformers' names.

    Raises VerificationError, with onnxruntime's message in one line.
    """
    options = quiet_options()
    try:
        if library is not None:
            options.register_custom_ops_library(str(library))
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common class
        raise LoadError(path, error) from error
    return named_session(session, path)


def _tokenizer(path: Path, bundle: Bundle | None, given: str | Path | None, purpose: str) -> Path:
    if given is None:
        if bundle is not None and bundle.tokenizer_path is not None:
            return bundle.tokenizer_path
        where = "it is in no bundle"
        if bundle is not None:  # its own, or that of the file that it is compared with
            where = "its bundle has none" if path.is_relative_to(bundle.folder) else f"{bundle.folder} has none, too"
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
