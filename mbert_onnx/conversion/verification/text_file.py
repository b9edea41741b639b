"""Verification of a text file: its tokens, the model inside, and the answers of the whole."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from graphs.functions.text_file.detach import is_text_model, without_text
from graphs.functions.text_file.options import MODEL_OUTPUTS
from graphs.ir.text_inputs import IDS, TYPES
from graphs.model.embeddings import rows_of
from graphs.model.loading import read_model
from graphs.model.precision_of import precision_of
from mbert_onnx.bundles.inputs import INPUT_NAMES
from mbert_onnx.bundles.model_file import find_file, is_file, open_session, tokenizer_file
from mbert_onnx.bundles.onnx_writer import save_model
from mbert_onnx.bundles.proto_file import is_text_file
from mbert_onnx.bundles.reader import Bundle
from mbert_onnx.bundles.records import TEXT_VARIANTS, TOKENIZER
from mbert_onnx.conversion.reports import TextChecks, Verdict
from mbert_onnx.conversion.verification.answers import compare_models
from mbert_onnx.conversion.verification.model_check import torch_runner
from mbert_onnx.conversion.verification.text_check import TextVerdict, check_text
from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.model.checkpoint import Checkpoint, load_checkpoint
from mbert_onnx.model.checkpoint_tokenizer.loading import has_tokenizer, loaded_tokenizer
from mbert_onnx.model.tokenizer_files import write_tokenizer
from mbert_onnx.runtime.loading import load
from mbert_onnx.runtime.model import Model
from mbert_onnx.runtime.native_kernels import AUTO, PORTABLE, library_for
from mbert_onnx.runtime.text_files.record import TextRecord
from mbert_onnx.text.calibration_text import read_calibration
from mbert_onnx.text.encoder import TextEncoder
from mbert_onnx.text.sentence_embedding import settings_in
from mbert_onnx.text.tasks import PRETRAINING, Task
from mbert_onnx.text.text_options import text_options

FLOAT32 = "fp32"


class TextFileOptions(NamedTuple):
    """Options of the verification of a text file.

    `asked` is the task that was asked for; `calibrate` a file of texts whose tokens are compared, in place of built-in
    ones.
    """

    asked: Task | None
    calibrate: str | Path | None
    tokenizer: str | Path | None
    seed: int


# Compares a file with the model inside, of a task, with a checkpoint or file.
VerifyModel = Callable[[Path, Task, "str | Path"], Verdict]


def text_file_of(model: str | Path) -> Path:
    """Returns the text file at a path, or the first in the bundle there. Raises UsageError where there is none."""
    path = Path(model)
    files = [path / name for name in TEXT_VARIANTS.values()] if path.is_dir() else [path]
    found = next((file for file in files if file.is_file()), None)
    if found is None and (path.is_dir() or not path.is_file()):
        raise UsageError(f"{path} has no text file, expected onnx/model_text.onnx; export it with --text")
    if found is None or not is_text_file(found):
        raise UsageError(f"{path} is no text file, which takes text and no token ids; leave --text out")
    return found


def verify_text_file(
    path: Path,
    bundle: Bundle | None,
    against: str | Path | None,
    options: TextFileOptions,
    verify_model: VerifyModel,
) -> Verdict:
    """Compares the tokens of a text file with those of its tokenizer, and its answers with those of another model.

    The answers of a float32 file are compared with those of the other model. Those of a lower precision differ from
    them by more than rounding, so that they are compared with those of the model inside, which is measured by itself.

    Args:
        path: The text file.
        bundle: The bundle that it is in; None for a file on its own.
        against: A checkpoint, a bundle or an `.onnx` file; None: only the tokens are compared.
        options: Further options.
        verify_model: Compares the model inside.

    Raises:
        VerificationError: tokens or answers differ; the message names the first difference.
        BundleError: there is no tokenizer.
    """
    with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as temporary:
        folder = Path(temporary)
        record = TextRecord.of(read_model(path, values=False).metadata_props, path)
        if options.asked not in (None, record.task):
            raise UsageError(f"--task is {options.asked.name}, and {path.name} does {record.task.name}; leave it out")
        inner = _inner(path, folder / "inside")
        judge = None if against is None else _Judge.of(against, record.task, options.seed, folder)
        parts = _Parts.of(path, bundle, judge, options.tokenizer, folder)
        tokens = _check_tokens(path, inner, record, parts, judge, options)
        if against is None or judge is None:
            return _tokens_only(
                tokens, "the model inside, and its answers: --against names nothing to compare them with"
            )
        is_float = precision_of(read_model(inner)) == FLOAT32
        if record.task is PRETRAINING and not is_float:  # nothing runs it with one of its two outputs
            return _tokens_only(tokens, "the model inside, and its answers: verify the model file beside it")
        theirs = judge.model(parts, record, inner) if is_float else parts.model(inner, record)
        name = str(against) if is_float else "the model inside"
        ours = load(path, threads=1, kernels=PORTABLE)
        advice = "give the model that it was exported from, or export it again"
        answers = compare_models(ours, theirs, pair=record.pair, name=name, advice=advice)
        task, inside = record.task, MODEL_OUTPUTS[record.task.name]
        if len(inside) < len(task.outputs):  # the answer does not need all of them, so the others were removed
            task = replace(task, outputs=tuple(one for one in task.outputs if one.name in inside))
        return replace(verify_model(inner, task, judge.path or against), text=TextChecks(tokens, answers))


def _tokens_only(tokens: TextVerdict, not_compared: str) -> Verdict:
    return Verdict(
        error=0.0,
        torch_error=None,
        agreement=1.0,
        bar=0.0,
        errors={},
        lengths=[],
        batches=[],
        tokens=0,
        not_compared=[not_compared],
        text=TextChecks(tokens),
    )


def _inner(path: Path, folder: Path) -> Path:
    """Writes the model inside a text file, under the same name, into a folder; returns its path."""
    folder.mkdir()
    save_model(without_text(read_model(path)), folder / path.name)
    return folder / path.name


@dataclass(frozen=True)
class _Judge:
    """The model that a text file is compared with.

    Args:
        checkpoint: A checkpoint; None for a file.
        path, bundle: A file that takes token ids, and its bundle; None for a checkpoint, and for a file on its own.
    """

    checkpoint: Checkpoint | None = None
    path: Path | None = None
    bundle: Bundle | None = None

    @classmethod
    def of(cls, against: str | Path, task: Task, seed: int, folder: Path) -> _Judge:
        """Reads a checkpoint, a bundle or an `.onnx` file; the model inside a text file is written to a folder."""
        if not is_file(against):
            return cls(checkpoint=load_checkpoint(against, task=task.name, seed=seed))
        path, bundle = find_file(against)
        if is_text_model(read_model(path, values=False)):
            path = _inner(path, folder / "judge")
        return cls(path=path, bundle=bundle)

    def model(self, parts: _Parts, record: TextRecord, inner: Path) -> Model:
        """Returns the model, with a tokenizer in Python. A checkpoint gets texts of the sizes that the file takes."""
        if self.path is not None:
            return parts.model(self.path, record)
        assert self.checkpoint is not None
        shape = next(one.shape for one in open_session(inner).get_inputs() if one.name == IDS)
        session = _TorchSession(self.checkpoint.model.float(), record.task, shape or record.task.input_axes)
        return Model(parts.bundle(parts.folder, record), session)


@dataclass(frozen=True)
class _Parts:
    """Parts that a model needs beside its file: a tokenizer, a config, the settings of sentence embeddings.

    `folder` is where it seems to be.
    """

    folder: Path
    tokenizer: Path
    config: Mapping[str, Any]
    embedding: Mapping[str, Any] | None

    @classmethod
    def of(
        cls, path: Path, bundle: Bundle | None, judge: _Judge | None, tokenizer: str | Path | None, folder: Path
    ) -> _Parts:
        """Finds them: in the options, the bundle, or with the model that the file is compared with.

        Raises BundleError where there is no tokenizer.
        """
        bundles = [one for one in (bundle, None if judge is None else judge.bundle) if one is not None]
        checkpoint = None if judge is None else judge.checkpoint
        given = None if tokenizer is None else tokenizer_file(tokenizer)
        found = given or next((one.tokenizer_path for one in bundles if one.tokenizer_path is not None), None)
        configs = [one.config for one in bundles]
        records = [(one.metadata or {}).get("sentence_embedding") for one in bundles]
        if checkpoint is not None:
            configs.append(checkpoint.config.to_dict())
            embedding, _ = checkpoint.sentence_embedding()
            records.append(None if embedding is None else embedding.as_dict())
            config = checkpoint.config
            if found is None and write_tokenizer(
                checkpoint.folder, folder, config.vocab_size, config.max_position_embeddings
            ):
                found = folder / TOKENIZER
        if found is None:
            raise BundleError(
                f"{path} is in no bundle with a {TOKENIZER}, which its tokens are compared with; pass --tokenizer with "
                "the checkpoint's, or the folder that it is in"
            )
        known = next((one for one in configs if one), {})
        return cls(folder, found, known, next((one for one in records if one is not None), None))

    def bundle(self, path: Path, record: TextRecord) -> Bundle:
        """Returns a bundle of a model file."""
        names = dict(enumerate(record.labels))
        config = {**self.config, "id2label": names} if names else dict(self.config)
        metadata = None if self.embedding is None else {"sentence_embedding": dict(self.embedding)}
        return Bundle(path.parent, path, config, metadata, record.task, self.tokenizer, {})

    def model(self, path: Path, record: TextRecord) -> Model:
        """Returns a model file with a tokenizer in Python."""
        return Model(self.bundle(path, record), open_session(path))


def _check_tokens(
    path: Path, inner: Path, record: TextRecord, parts: _Parts, judge: _Judge | None, options: TextFileOptions
) -> TextVerdict:
    """Compares the tokens with those of transformers' tokenizer of a checkpoint, or of a tokenizer.json."""
    graph = read_model(inner)
    segments = parts.config.get("type_vocab_size") or rows_of(graph.graph, TYPES)
    encoder = TextEncoder(parts.tokenizer, record.limit, segments=segments, tokenizer_option=True)
    embedding = None if parts.embedding is None else settings_in(parts.embedding, parts.folder)
    config = {**parts.config, "type_vocab_size": segments}
    settings = text_options(graph, record.task, encoder, config, embedding=embedding, pair=record.pair)
    texts: list[tuple[str, str | None]] = []
    if options.calibrate is not None:
        read = read_calibration(Path(options.calibrate), record.task)
        texts = [(text.text, text.pair) for text in (*read.fit, *read.held_out)]
    with _tokenizer(parts.tokenizer, judge, options) as tokenizer:
        return check_text(
            path,
            tokenizer,
            segments=settings.segments,
            prompt=settings.prompt,
            texts=texts,
            library=library_for(AUTO),
            seed=options.seed,
        )


@contextmanager
def _tokenizer(path: Path, judge: _Judge | None, options: TextFileOptions) -> Iterator[Any]:
    """Yields a tokenizer.json, or transformers' tokenizer of the checkpoint if none was given."""
    folder = None if judge is None or judge.checkpoint is None else judge.checkpoint.folder
    if folder is None or options.tokenizer is not None or not has_tokenizer(folder):
        yield path
        return
    with loaded_tokenizer(folder) as tokenizer:
        yield tokenizer.backend_tokenizer


class _Port(NamedTuple):
    """An input or output, as onnxruntime declares it."""

    name: str
    type: str
    shape: Sequence[str | int]


class _TorchSession:
    """A torch model with the methods of an onnxruntime session that the runtime calls.

    `shape` is that of its inputs, with names of axes of any size.
    """

    def __init__(self, model: nn.Module, task: Task, shape: Sequence[str | int]) -> None:
        self._run, self._task, self._shape = torch_runner(model), task, shape

    def get_inputs(self) -> list[_Port]:
        return [_Port(name, "tensor(int64)", self._shape) for name in INPUT_NAMES]

    def get_outputs(self) -> list[_Port]:
        return [_Port(one.name, "tensor(float)", one.axes) for one in self._task.outputs if not one.optional]

    def run(self, names: Sequence[str], feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        found = self._run(feed)
        return [found[name] for name in names]
