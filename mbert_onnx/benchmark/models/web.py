"""Models in WebAssembly under Node.js, as browsers run them: in mbert-onnx-web, or in onnxruntime-web."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mbert_onnx.benchmark.models.builder import BuiltModel, ModelBuilder
from mbert_onnx.benchmark.models.prefixes import Request
from mbert_onnx.runtime.web.package_files import PACKAGE, ensure_built


def build_onnxruntime_web(request: Request, builder: ModelBuilder) -> BuiltModel:
    """Runs the `.onnx` files of a model in onnxruntime-web.

    Raises PerfError where Node.js is missing, or the package cannot be installed.
    """
    from perf.peers.npm import ORT_WEB, ORT_WEB_VERSION, npm_package

    # Before the model is built, which may take minutes.
    package = npm_package(ORT_WEB, ORT_WEB_VERSION, builder.progress(request.name))
    return _under_node(request, builder, package)


def build_mbert_web(request: Request, builder: ModelBuilder) -> BuiltModel:
    """Runs the `.onnx` files of a model in mbert-onnx-web, which is a part of this package.

    Raises PerfError where Node.js is missing, and BundleError where the .wasm cannot be built.
    """
    from perf.sessions.runtimes.node_session.process import find_node

    find_node()
    ensure_built()
    return _under_node(request, builder, PACKAGE)


def _under_node(request: Request, builder: ModelBuilder, package: Path) -> BuiltModel:
    """Runs a model's files in the npm package of the row's runtime."""
    source = builder.build(request.inner)
    given = source.subject
    # A page downloads one file: external weights are put into it.
    files: Mapping[Path, Path] = {file: builder.one_file(file) for file in dict.fromkeys([given.path, *given.files])}
    subject = replace(
        given,
        name=request.name,
        path=files[given.path],
        runtime=request.row.runtime,
        by_length={seq_len: files[file] for seq_len, file in given.by_length.items()},
        library=package,
        python=None,
    )
    return replace(source, subject=subject)
