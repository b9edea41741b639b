"""Our own models: bundles, `.onnx` files, exports of a checkpoint, and the choice of kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from graphs.model.embeddings import embedding_rows
from graphs.model.loading import read_model
from mbert_onnx.benchmark.measures import precision_of
from mbert_onnx.benchmark.models.builder import BuiltModel, ModelBuilder
from mbert_onnx.benchmark.models.prefixes import Request
from mbert_onnx.benchmark.models.text_files import build_text_file
from mbert_onnx.bundles.limits import expected_limits, file_limits
from mbert_onnx.bundles.model_file import TextReader, find_file, is_file, open_session
from mbert_onnx.bundles.onnx_writer import save_model
from mbert_onnx.bundles.ports import rename_ports
from mbert_onnx.bundles.reader import Bundle, find_text_file, is_bundle, read_bundle
from mbert_onnx.conversion.comparison.accuracy import agreement_text
from mbert_onnx.errors import BundleError, VerificationError
from mbert_onnx.text.tasks import task_named
from perf.sessions.subject import Sizes, Subject


def build_plain(request: Request, builder: ModelBuilder) -> BuiltModel:
    """Opens a bundle or an `.onnx` file; exports a checkpoint with the default options.

    Raises BundleError for a missing file, and whatever `mbert_onnx.export` raises.
    """
    if (text_file := find_text_file(request.name)) is not None:
        return build_text_file(request.name, text_file, builder)
    if is_file(request.name):
        return _with_transformers_names(_from_path(request.name, max(builder.seq_lens)), builder)
    from mbert_onnx import export  # which checks that its extra is installed

    folder = builder.new_folder() / "bundle"
    export(request.name, folder, task=builder.task, seed=builder.seed, progress=builder.progress(request.name))
    return _from_bundle(request.name, read_bundle(folder))


def build_export(request: Request, builder: ModelBuilder, *, target: str, precision: str) -> BuiltModel:
    """Exports a checkpoint for a target at a precision; for phones, once for each length.

    The gate never refuses: a benchmark reports the damage of a lower precision instead. Raises whatever
    `mbert_onnx.export` raises.
    """
    from mbert_onnx import export  # which checks that its extra is installed

    folder = builder.new_folder()
    lengths: list[int | None] = [*_lengths(request.inner, builder)] if target == "mobile" else [None]
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
    built = _from_bundle(request.name, read_bundle(folder / str(lengths[-1])))
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
    file, reader = built.subject.path, built.find_reader()
    task = None if reader is None else reader.task
    if builder.task is not None:
        task = task_named(builder.task)
    if not rename_ports(read_model(file, values=False), task):
        return built
    model = read_model(file)
    note = rename_ports(model, task)
    copy = builder.new_folder() / file.name
    save_model(model, copy)
    return replace(built, subject=replace(built.subject, path=copy, notes=(*built.subject.notes, note)))


def _lengths(checkpoint: str, builder: ModelBuilder) -> list[int]:
    """Returns the lengths for which a checkpoint is exported with fixed shapes."""
    if not builder.has_default_lengths:
        return builder.seq_lens
    from mbert_onnx.model.checkpoint import load_checkpoint

    config = load_checkpoint(checkpoint, task=builder.task, seed=builder.seed).config
    return builder.lengths_for(Sizes(longest=config.max_position_embeddings))


def _from_path(name: str, longest: int) -> BuiltModel:
    path = Path(name)
    if not path.is_file() and not is_bundle(path):
        found = "is no bundle: it has no onnx/model.onnx" if path.is_dir() else "does not exist"
        raise BundleError(f"{name} {found}; give a bundle, an .onnx file, or a checkpoint such as random")
    file, bundle = find_file(path)
    rows = embedding_rows(file)  # which refuses a file that onnxruntime would not load, before anything is timed
    if bundle is None:
        built = BuiltModel(Subject(name, file, rows, precision=precision_of(file)), lambda: None)
    else:
        built = _from_bundle(name, bundle)
    return replace(built, subject=_tried(built.subject, None if bundle is None else bundle.config, longest))


def _tried(subject: Subject, config: Mapping[str, Any] | None, longest: int) -> Subject:
    """Returns a subject with the ids and sizes with which its file runs here; as it is where it does not run here.

    Args:
        subject: The subject.
        config: The config of its bundle; None for a file on its own.
        longest: The largest length that matters, in tokens.
    """
    try:
        session = open_session(subject.path)
        expected = expected_limits(subject.path, session, config, positions=longest)
        found = file_limits(subject.path.name, session, expected)
    except VerificationError:  # it may run in another runtime, or with another provider
        return subject
    # Lengths above `longest` were not tried.
    is_cut = found.longest == longest and config is None and found.length is None
    sizes = Sizes(found.batch, found.lengths[0], None if is_cut else found.longest, found.lengths.step)
    return replace(subject, vocab_size=min(found.vocab_size, subject.vocab_size or found.vocab_size), sizes=sizes)


def _from_bundle(name: str, bundle: Bundle) -> BuiltModel:
    vocab_size, tokenizer = bundle.config.get("vocab_size"), bundle.tokenizer_path
    positions, layers = bundle.config.get("max_position_embeddings"), bundle.config.get("num_hidden_layers")

    def find_reader() -> TextReader | None:
        if tokenizer is None or not isinstance(positions, int):
            return None
        return TextReader(bundle.task, tokenizer, vocab_size, positions, bundle.config.get("type_vocab_size"))

    subject = Subject(
        name,
        bundle.model_path,
        vocab_size,
        precision=precision_of(bundle.model_path),
        sizes=Sizes(longest=positions if isinstance(positions, int) else None),
        layers=layers if isinstance(layers, int) else None,
    )
    return BuiltModel(subject, find_reader)


def _damage(at: str, verdict: Any) -> str:
    """Describes the damage of a lower precision that `export` measured on held-out texts."""
    agreement = agreement_text(verdict.agreement, verdict.decisions, verdict.cosines)
    return (
        f"{at}{agreement} to float64's, centred error {verdict.error:.1e}, "
        f"on {verdict.texts} held-out texts of {verdict.calibration}"
    )
