"""Models that a tool writes from each `.onnx` file of another model: `onnxslim:MODEL` and the like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mbert_onnx.benchmark.measures import precision_of
from mbert_onnx.benchmark.models.builder import BuiltModel, ModelBuilder
from mbert_onnx.benchmark.models.prefixes import Request


def build_optimized(request: Request, builder: ModelBuilder) -> BuiltModel:
    """Runs `mbert_onnx.optimize` on a model. Raises graphs.errors.GraphError for a file that it cannot read."""
    from mbert_onnx.conversion.optimizer import optimize

    source, outputs = _started(request, builder, "optimizing")
    for file, output in outputs.items():
        optimize(file, output)
    return _optimized(request, source, outputs)


def build_onnxslim(request: Request, builder: ModelBuilder) -> BuiltModel:
    """Runs onnxslim on a model. Raises PerfError where it is not installed or fails."""
    from perf.peers.onnxslim_optimizer import slim

    source, outputs = _started(request, builder, "optimizing")
    for file, output in outputs.items():
        slim(builder.one_file(file), output)
    return _optimized(request, source, outputs)


def build_ort_transformers(request: Request, builder: ModelBuilder) -> BuiltModel:
    """Runs onnxruntime.transformers' optimizer on a model. Raises PerfError where it fails."""
    from perf.peers.ort_transformers import optimize_as_bert

    source, outputs = _started(request, builder, "optimizing")
    for file, output in outputs.items():
        optimize_as_bert(builder.one_file(file), output)
    return _optimized(request, source, outputs)


def build_ort_dynamic(request: Request, builder: ModelBuilder) -> BuiltModel:
    """Quantizes a model by onnxruntime's `quantize_dynamic`. Raises PerfError where it fails."""
    from perf.peers.ort_dynamic import quantize_dynamically

    source, outputs = _started(request, builder, "quantizing")
    note = ""
    for file, output in outputs.items():
        note = quantize_dynamically(builder.one_file(file), output)
    return _quantized(request, source, outputs, note)


def build_optimum(request: Request, builder: ModelBuilder) -> BuiltModel:
    """Quantizes a model by one of optimum-onnx's presets. Raises PerfError where it fails or cannot be installed."""
    from perf.peers.optimum import quantize_by_optimum

    source, outputs = _started(request, builder, "quantizing")
    preset, progress = request.prefix.removeprefix("optimum-"), builder.progress(request.name)
    note = ""
    for file, output in outputs.items():
        note = quantize_by_optimum(builder.one_file(file), output, preset, progress)
    return _quantized(request, source, outputs, note)


def _started(request: Request, builder: ModelBuilder, stage: str) -> tuple[BuiltModel, dict[Path, Path]]:
    """Builds the inner model and reports the stage that follows; returns the model, and a new path for each file."""
    source, folder = builder.build(request.inner), builder.new_folder()
    builder.progress(request.name)(stage)
    files = dict.fromkeys(source.subject.files)
    return source, {file: folder / f"{number}.onnx" for number, file in enumerate(files)}


def _optimized(request: Request, source: BuiltModel, outputs: Mapping[Path, Path]) -> BuiltModel:
    """Returns a model with the files in `outputs` instead of its own."""
    given = source.subject
    subject = replace(
        given,
        name=request.name,
        path=outputs[given.path],
        by_length={seq_len: outputs[file] for seq_len, file in given.by_length.items()},
        precision=precision_of(outputs[given.path]),
    )
    return replace(source, subject=subject)


def _quantized(request: Request, source: BuiltModel, outputs: Mapping[Path, Path], note: str) -> BuiltModel:
    """Returns the same, compared with its float model, with a note on how it was quantized."""
    given, built = source.subject, _optimized(request, source, outputs)
    subject = replace(built.subject, reference=given.reference or given.path, notes=(*given.notes, note))
    return replace(built, subject=subject)
