"""`verify`: compares a model file with a checkpoint, or with another file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from graphs.model.embeddings import embedding_rows
from mbert_onnx.bundles.model_file import answering, find_file, is_file, open_session
from mbert_onnx.bundles.reader import Bundle
from mbert_onnx.bundles.session_errors import LoadError, session_error
from mbert_onnx.conversion.reports import Verdict
from mbert_onnx.conversion.verification import LENGTHS, check, check_files
from mbert_onnx.errors import VerificationError
from mbert_onnx.model.checkpoint import load_checkpoint
from mbert_onnx.text.tasks import Task, task_named


@dataclass(frozen=True)
class _Sizes:
    """The ranges of inputs, for a file without a config."""

    vocab_size: int
    max_position_embeddings: int = max(LENGTHS)
    type_vocab_size: int = 2


def verify(
    model: str | Path, against: str | Path, *, task: str | None = None, outputs: Sequence[str] = (), seed: int = 0
) -> Verdict:
    """Compares a file's outputs with those of the model it was made from, on random inputs.

    Args:
        model: A bundle, or any MobileBERT `.onnx` file.
        against: The judge: a checkpoint, which is run in float64; or another bundle or `.onnx` file.
        task: The task of both; default: the bundle's, or what the checkpoint's `architectures` or the file's outputs
            say.
        outputs: The file's names of the task's outputs, in the task's order; default: those of the task's names, or
            else of its shapes.
        seed: Seed of the inputs, and of `random`'s weights.

    Returns:
        The errors and the agreement; `passed` is whether it is the same model.

    Raises:
        CheckpointError, BundleError: one of them cannot be read.
        VerificationError: a file does not load or run, or has not the task's outputs.
        UsageError: there is no task of that name, or no known task has the file's outputs.
    """
    asked = None if task is None else task_named(task)
    path, bundle = find_file(model)
    try:
        if is_file(against):
            other, other_bundle = find_file(against)
            sizes = _sizes(path, bundle or other_bundle)
            found = asked or _task_of_file(path, bundle)
            return check_files(path, other, found, sizes, seed=seed, outputs=outputs)
        wanted = asked or (None if bundle is None else bundle.task)
        checkpoint = load_checkpoint(against, task=None if wanted is None else wanted.name, seed=seed)
        return check(path, checkpoint.model, checkpoint.task, seed=seed, outputs=outputs)
    except LoadError as error:
        # The whole path, and advice: the file is the user's own.
        raise VerificationError(session_error("load", str(error.path), error.__cause__ or error)) from error


def _task_of_file(path: Path, bundle: Bundle | None) -> Task:
    """Returns the bundle's task, or the first that has the file's outputs."""
    if bundle is not None:
        return bundle.task
    return answering(open_session(path), path.name, None, bundle, vocab_size=embedding_rows(path))[0]


def _sizes(path: Path, bundle: Bundle | None) -> _Sizes:
    config = {} if bundle is None else bundle.config
    positions = config.get("max_position_embeddings", _Sizes.max_position_embeddings)
    segments = config.get("type_vocab_size", _Sizes.type_vocab_size)
    return _Sizes(config.get("vocab_size") or embedding_rows(path), positions, segments)
