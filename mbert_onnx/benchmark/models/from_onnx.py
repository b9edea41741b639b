"""Models in other runtimes, opened or converted from the `.onnx` files of a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mbert_onnx.benchmark.models.builder import BuiltModel, ModelBuilder
from mbert_onnx.benchmark.models.prefixes import Request


def build_opened(request: Request, builder: ModelBuilder) -> BuiltModel:
    """Runs the `.onnx` files of a model in the row's runtime as they are.

    The runtime's packages, if the row has any, are installed into an environment of their own. Raises PerfError where
    they cannot be.
    """
    from perf.peers.program import python_of

    source, row = builder.build(request.inner), request.row
    python = python_of(row.name, row.installs, builder.progress(request.name)) if row.installs else None
    subject = replace(source.subject, name=request.name, runtime=row.runtime, library=None, python=python)
    return replace(source, subject=subject)


def build_converted(request: Request, builder: ModelBuilder) -> BuiltModel:
    """Converts a model to the format of the row's runtime: one file of fixed shapes for each length.

    Raises PerfError where the converter fails, or cannot be installed.
    """
    from perf.peers.onnx_converters import ONNX_CONVERTERS

    converter = ONNX_CONVERTERS[request.prefix]
    source, folder = builder.build(request.inner), builder.new_folder()
    given, progress = source.subject, builder.progress(request.name)
    progress("converting")
    sources = given.by_length or dict.fromkeys(builder.lengths_for(given.sizes), given.path)
    by_length: dict[int, Path] = {}
    for file in dict.fromkeys(sources.values()):
        lengths = [seq_len for seq_len, path in sources.items() if path == file]
        by_length |= converter.convert(
            builder.one_file(file), folder, seq_lens=lengths, batch=builder.batch, progress=progress
        )
    subject = replace(
        given,
        name=request.name,
        path=by_length[max(by_length)],
        runtime=request.row.runtime,
        by_length=by_length,
        library=None,
        python=converter.python(progress),
    )
    return replace(source, subject=subject)
