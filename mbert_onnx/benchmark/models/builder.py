"""What the names stand for that `bench` is given: the file behind each, made where it is not there yet."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from graphs.model.embeddings import embedding_rows
from mbert_onnx.benchmark.measures import precision_of
from mbert_onnx.benchmark.models.calibration import calibration_feeds
from mbert_onnx.benchmark.models.from_checkpoint import PEERS, Saved, made_by_peer, save
from mbert_onnx.benchmark.models.from_onnx import (
    CONVERTED,
    FIXED,
    OPENVINOS,
    converted,
    fixed_in_openvino,
    in_openvino,
    is_fixed_openvino,
)
from mbert_onnx.benchmark.models.graph_tools import apply, is_tool, lowers
from mbert_onnx.benchmark.models.kernels import with_kernels
from mbert_onnx.bundles.model_file import is_file
from mbert_onnx.bundles.reader import TOKENIZER, is_bundle, read_bundle
from mbert_onnx.bundles.text_reader import FindReader, Reader
from mbert_onnx.errors import BundleError
from mbert_onnx.runtime.native_kernels import NATIVE, PORTABLE
from perf.harness import SEQ_LENS, Subject

# What our own export makes of a checkpoint otherwise than by default: `int8:CHECKPOINT`; target and precision.
OURS = {
    "fp16": ("cpu", "fp16"),
    "int8": ("cpu", "int8"),
    "mobile": ("mobile", "fp32"),
    "mobile-fp16": ("mobile", "fp16"),
    "mobile-int8": ("mobile", "int8"),
}

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Made:
    subject: Subject
    reader: FindReader


class Maker:
    """Makes the files that names stand for, each once, though several names may ask for it.

    Args:
        stack: Removes their folders in the end.
        task, seed: Of checkpoints, as `bench` takes them.
        seq_lens: The lengths for which files of fixed shapes are made; None stands for bench's own.
        batch: The batch of such files.
        kernels: Whether they are run with the native kernels, as `bench` takes it.
        progress: Called with a line at the start of each stage.
    """

    def __init__(
        self,
        stack: ExitStack,
        *,
        task: str | None,
        seed: int,
        seq_lens: Sequence[int] | None,
        batch: int,
        kernels: str,
        progress: Progress | None,
    ) -> None:
        self._stack, self._task, self._seed, self._batch = stack, task, seed, batch
        self._kernels = kernels
        self._seq_lens = sorted(set(seq_lens or SEQ_LENS))
        self._tell = progress or (lambda _: None)
        self._made: dict[str, Made] = {}
        self._saved: dict[str, Saved] = {}

    def subject(self, name: str) -> Subject:
        """The model that a name stands for. Raises what `bench` does."""
        return self.made(name).subject

    def made(self, name: str) -> Made:
        """The same, with what reads texts for it."""
        kind, colon, inner = name.partition(":")
        if colon and kind in (NATIVE, PORTABLE) and not Path(name).exists():
            made = self._make(inner)
            return replace(made, subject=replace(with_kernels(made.subject, kind), name=name))
        made = self._make(name)
        return replace(made, subject=with_kernels(made.subject, self._kernels))

    def _make(self, name: str) -> Made:
        if name not in self._made:
            kind, colon, inner = name.partition(":")
            if not colon or Path(name).exists():
                made = self._plain(name)
            elif kind in OPENVINOS or is_fixed_openvino(kind):
                made = self._in_openvino(name, kind, inner)
            elif kind in CONVERTED:
                made = self._converted(name, kind, inner)
            elif is_tool(kind):
                made = self._by_tool(name, kind, inner)
            elif kind in PEERS:
                made = self._by_peer(name, kind, inner)
            elif kind in OURS:
                made = self._by_us(name, inner, *OURS[kind])
            else:
                made = self._plain(name)
            self._made[name] = made
        return self._made[name]

    def _folder(self) -> Path:
        return Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="mbert-onnx-")))

    def _plain(self, name: str) -> Made:
        """A file, a bundle, or a checkpoint."""
        if is_file(name):
            return _of_file(name)
        from mbert_onnx import export  # which checks that its extra is installed

        folder = self._folder() / "bundle"
        export(name, folder, task=self._task, seed=self._seed, progress=self._told(name))
        return _of_bundle(name, folder)

    def _by_us(self, name: str, checkpoint: str, target: str, precision: str) -> Made:
        """Our export of a checkpoint for this target at this precision; for phones, a file for each length."""
        from mbert_onnx import export  # which checks that its extra is installed

        folder = self._folder()
        lengths: list[int | None] = [*self._seq_lens] if target == "mobile" else [None]
        reports = {}
        for seq_len in lengths:
            at = "" if seq_len is None else f"{seq_len} tokens: "
            reports[seq_len] = export(
                checkpoint,
                folder / str(seq_len),
                task=self._task,
                target=target,
                seq_len=seq_len,
                batch=None if seq_len is None else self._batch,
                precision=precision,
                min_agreement=None if precision == "fp32" else 0.0,  # what it costs is told, and refuses nothing here
                seed=self._seed,
                progress=self._told(name, at),
            )
        made = _of_bundle(name, folder / str(lengths[-1]))
        subject = replace(made.subject, by_length={n: report.model for n, report in reports.items() if n is not None})
        if precision != "fp32":
            notes = [_cost("" if n is None else f"{n} tokens: ", report.verdict) for n, report in reports.items()]
            subject = replace(subject, reference=self.subject(checkpoint).path, notes=tuple(notes))
        return Made(subject, made.reader)

    def _by_peer(self, name: str, peer: str, checkpoint: str) -> Made:
        """What somebody else makes of a checkpoint."""
        if checkpoint not in self._saved:
            self._saved[checkpoint] = save(peer, checkpoint, self._folder(), task=self._task, seed=self._seed)
        saved = self._saved[checkpoint]
        subject = made_by_peer(
            name,
            peer,
            saved,
            self._folder(),
            seq_lens=self._seq_lens,
            batch=self._batch,
            reference=lambda: self._make(checkpoint).subject.path,
            tell=self._tell,
        )

        def reader() -> Reader | None:
            from mbert_onnx.model.tokenizer_files import write_tokenizer

            if not write_tokenizer(saved.source, saved.folder, saved.vocab_size, saved.max_positions):
                return None
            return Reader(saved.task, saved.folder / TOKENIZER, saved.vocab_size, saved.max_positions)

        return Made(subject, reader)

    def _by_tool(self, name: str, tool: str, inner: str) -> Made:
        """What a tool makes of each file of a model."""
        source = self._make(inner)
        given, folder, tell = source.subject, self._folder(), self._told(name)
        tell("quantizing" if lowers(tool) else "optimizing")
        notes: tuple[str, ...] = ()
        made: dict[Path, Path] = {}
        for number, file in enumerate(dict.fromkeys(given.files)):
            made[file] = folder / f"{number}.onnx"
            note = apply(tool, file, made[file], tell)
            notes = (note,) if note else ()
        subject = replace(
            given,
            name=name,
            path=made[given.path],
            by_length={seq_len: made[file] for seq_len, file in given.by_length.items()},
            reference=given.reference or (given.path if lowers(tool) else None),
            notes=(*given.notes, *notes),
            precision=precision_of(made[given.path]),
        )
        return Made(subject, source.reader)

    def _in_openvino(self, name: str, kind: str, inner: str) -> Made:
        """A model in OpenVINO, with its own shapes or, for each length, fixed ones."""
        tell = self._told(name)
        if is_fixed_openvino(kind):
            source = self._make(f"{kind.removesuffix(FIXED)}:{inner}")
            subject = fixed_in_openvino(name, source.subject, self._folder(), self._seq_lens, self._batch, tell)
            return Made(subject, source.reader)
        source = self._make(inner)

        def texts(file: Path) -> list[dict[str, np.ndarray]]:
            return calibration_feeds(name, file, source.reader())

        return Made(in_openvino(name, kind, source.subject, self._folder(), texts, tell), source.reader)

    def _converted(self, name: str, kind: str, inner: str) -> Made:
        """A model in another runtime's format: a file for each length."""
        source, tell = self._make(inner), self._told(name)
        subject = converted(name, kind, source.subject, self._folder(), self._seq_lens, self._batch, tell)
        return Made(subject, source.reader)

    def _told(self, name: str, at: str = "") -> Progress:
        return lambda line: self._tell(f"{name}: {at}{line}")


def distinct(subjects: Sequence[Subject]) -> list[Subject]:
    """A model given twice gets a number, so that a report can tell its rows apart."""
    seen: dict[str, int] = {}
    named = []
    for subject in subjects:
        seen[subject.name] = seen.get(subject.name, 0) + 1
        suffix = f" #{seen[subject.name]}" if seen[subject.name] > 1 else ""
        named.append(replace(subject, name=subject.name + suffix))
    return named


def _of_file(name: str) -> Made:
    path = Path(name)
    if path.is_file():
        return Made(Subject(name, path, embedding_rows(path), precision=precision_of(path)), lambda: None)
    if is_bundle(path):
        return _of_bundle(name, path)
    raise BundleError(f"{name} does not exist; give a bundle, an .onnx file, or a checkpoint such as random")


def _of_bundle(name: str, folder: Path) -> Made:
    bundle = read_bundle(folder)
    vocab_size, tokenizer = bundle.config.get("vocab_size"), bundle.tokenizer_path

    def reader() -> Reader | None:
        positions = bundle.config.get("max_position_embeddings")
        if tokenizer is None or not isinstance(positions, int):
            return None
        return Reader(bundle.task, tokenizer, vocab_size, positions)

    return Made(
        Subject(name, bundle.model_path, vocab_size, precision=precision_of(bundle.model_path)),
        reader,
    )


def _cost(at: str, verdict: Any) -> str:
    """What export measured of a lower precision, on texts."""
    return (
        f"{at}{verdict.agreement:.1%} of decisions as float64 makes them, centred error {verdict.error:.1e}, on "
        f"{verdict.texts} texts of {verdict.calibration} that it was not calibrated on"
    )
