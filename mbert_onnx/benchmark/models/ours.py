"""Our own models: bundles, `.onnx` files, exports of a checkpoint, and the choice of kernels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx_ir as ir

from graphs.model.embeddings import embedding_rows
from graphs.model.loading import read_model
from mbert_onnx.benchmark.measures import precision_of
from mbert_onnx.benchmark.models.builder import BuiltModel, ModelBuilder
from mbert_onnx.benchmark.models.prefixes import Request
from mbert_onnx.bundles.model_file import TextReader, is_file
from mbert_onnx.bundles.ports import rename_ports
from mbert_onnx.bundles.reader import is_bundle, read_bundle
from mbert_onnx.errors import BundleError
from perf.sessions.subject import Subject


def build_plain(request: Request, builder: ModelBuilder) -> BuiltModel:
    """Opens a bundle or an `.onnx` file; exports a checkpoint with the default options.

    Raises BundleError for a missing file, and whatever `mbert_onnx.export` raises.
    """
    if is_file(request.name):
        return _with_transformers_names(_from_path(request.name), builder)
    from mbert_onnx import export  # which checks that its extra is installed

    folder = builder.new_folder() / "bundle"
    export(request.name, folder, task=builder.task, seed=builder.seed, progress=builder.progress(request.name))
    return _from_bundle(request.name, folder)


def build_export(request: Request, builder: ModelBuilder, *, target: str, precision: str) -> BuiltModel:
    """Exports a checkpoint for a target at a precision; for phones, once for each length.

    The gate never refuses: a benchmark reports the damage of a lower precision instead. Raises whatever
    `mbert_onnx.export` raises.
    """
    from mbert_onnx import export  # which checks that its extra is installed

    folder = builder.new_folder()
    lengths: list[int | None] = [*builder.seq_lens] if target == "mobile" else [None]
    reports = {}
    for seq_len in lengths:
        reports[seq_len] = export(
            request.inner,
            folder / str(seq_len),
            task=builder.task,
            target=target,
            seq_len=seq_len,
            batch=None if seq_len is None else builder.batch,
            precision=precision,
            min_agreement=None if precision == "fp32" else 0.0,
            seed=builder.seed,
            progress=builder.progress(request.name if seq_len is None else f"{request.name}: {seq_len} tokens"),
        )
    built = _from_bundle(request.name, folder / str(lengths[-1]))
    subject = replace(built.subject, by_length={n: report.model for n, report in reports.items() if n is not None})
    if precision != "fp32":
        notes = [_damage("" if n is None else f"{n} tokens: ", report.verdict) for n, report in reports.items()]
        reference = builder.build(request.inner).subject.path
        subject = replace(subject, reference=reference, notes=tuple(notes))
    return replace(built, subject=subject)


def build_with_kernels(request: Request, builder: ModelBuilder) -> BuiltModel:
    """Builds the model inside, to be run with the native kernels (`native:`) or without (`portable:`)."""
    built = builder.build(request.inner)
    return replace(built, subject=replace(built.subject, name=request.name), kernels=request.prefix)


def _with_transformers_names(built: BuiltModel, builder: ModelBuilder) -> BuiltModel:
    """Returns a model whose file has transformers' names: a copy if its own names of inputs and outputs are others.

    Other tools read the names, too, and outputs are compared by name.
    """
    file = built.subject.path
    model = read_model(file)
    note = rename_ports(model)
    if not note:
        return built
    copy = builder.new_folder() / file.name
    ir.save(ir.external_data.load_to_model(model), copy)
    return replace(built, subject=replace(built.subject, path=copy, notes=(*built.subject.notes, note)))


def _from_path(name: str) -> BuiltModel:
    path = Path(name)
    if path.is_file():
        return BuiltModel(Subject(name, path, embedding_rows(path), precision=precision_of(path)), lambda: None)
    if is_bundle(path):
        return _from_bundle(name, path)
    found = "is no bundle: it has no onnx/model.onnx" if path.is_dir() else "does not exist"
    raise BundleError(f"{name} {found}; give a bundle, an .onnx file, or a checkpoint such as random")


def _from_bundle(name: str, folder: Path) -> BuiltModel:
    bundle = read_bundle(folder)
    vocab_size, tokenizer = bundle.config.get("vocab_size"), bundle.tokenizer_path

    def find_reader() -> TextReader | None:
        positions = bundle.config.get("max_position_embeddings")
        if tokenizer is None or not isinstance(positions, int):
            return None
        return TextReader(bundle.task, tokenizer, vocab_size, positions)

    subject = Subject(name, bundle.model_path, vocab_size, precision=precision_of(bundle.model_path))
    return BuiltModel(subject, find_reader)


def _damage(at: str, verdict: Any) -> str:
    """Describes the damage of a lower precision that `export` measured on held-out texts."""
    return (
        f"{at}{verdict.agreement:.1%} of decisions as float64 makes them, centred error {verdict.error:.1e}, on "
        f"{verdict.texts} texts of {verdict.calibration} that it was not calibrated on"
    )
