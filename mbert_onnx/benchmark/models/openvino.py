"""Models in OpenVINO: float32, bfloat16, NNCF's int8, and each of these with fixed shapes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mbert_onnx.benchmark.models.builder import BuiltModel, ModelBuilder
from mbert_onnx.benchmark.models.calibration import calibration_feeds
from mbert_onnx.benchmark.models.prefixes import Request
from perf.machine.peaks import INT8


def build_float(request: Request, builder: ModelBuilder) -> BuiltModel:
    """Runs the `.onnx` files of a model in OpenVINO. Raises PerfError where OpenVINO cannot be installed."""
    from perf.peers.openvino import openvino_python

    source = builder.build(request.inner)
    python = openvino_python(builder.progress(request.name))
    subject = replace(source.subject, name=request.name, runtime=request.row.runtime, library=None, python=python)
    return replace(source, subject=subject)


def build_int8(request: Request, builder: ModelBuilder) -> BuiltModel:
    """Quantizes each file of a model by NNCF on the calibration texts.

    Raises UsageError for a model without a tokenizer, PerfError where NNCF fails or cannot be installed.
    """
    from perf.peers.openvino import openvino_python, quantize_for_openvino

    source, folder = builder.build(request.inner), builder.new_folder()
    given, progress = source.subject, builder.progress(request.name)
    # Before the installation, so that a model without a tokenizer is refused at once.
    feeds = {file: calibration_feeds(request.name, file, source.find_reader()) for file in dict.fromkeys(given.files)}
    python = openvino_python(progress)
    progress("quantizing")
    written: dict[Path, Path] = {}
    note = ""
    for number, file in enumerate(feeds):
        written[file] = folder / f"{number}.xml"
        note = quantize_for_openvino(builder.one_file(file), written[file], feeds[file], progress)
    subject = replace(
        given,
        name=request.name,
        path=written[given.path],
        runtime=request.row.runtime,
        by_length={seq_len: written[file] for seq_len, file in given.by_length.items()},
        reference=given.reference or given.path,
        notes=(*given.notes, note),
        library=None,
        python=python,
        precision=INT8,
    )
    return replace(source, subject=subject)


def build_fixed(request: Request, builder: ModelBuilder, *, dynamic: str) -> BuiltModel:
    """Writes a file of fixed shapes for each length of an OpenVINO model, unless it has one for each length already.

    Args:
        dynamic: The prefix of the OpenVINO model with dynamic shapes.

    Raises PerfError where OpenVINO cannot read the model.
    """
    from perf.peers.openvino import fix_shapes

    source = builder.build(f"{dynamic}:{request.inner}")
    given = source.subject
    if given.by_length:
        return replace(source, subject=replace(given, name=request.name))
    folder, progress = builder.new_folder(), builder.progress(request.name)
    by_length = {seq_len: folder / f"{seq_len}.xml" for seq_len in builder.lengths_for(given.sizes)}
    for seq_len, file in by_length.items():
        fix_shapes(given.path, file, batch=builder.batch, seq_len=seq_len, progress=progress)
    subject = replace(given, name=request.name, path=by_length[max(by_length)], by_length=by_length)
    return replace(source, subject=subject)
