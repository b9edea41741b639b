"""`inspect`: what a model file consists of."""

from __future__ import annotations

from pathlib import Path

from graphs.reports.census import Census, take_census
from mbert_onnx.bundles.reader import read_bundle
from mbert_onnx.errors import UsageError
from mbert_onnx.reference import located


def inspect(model: str | Path, *, seq_len: int = 128) -> Census:
    """Inputs, outputs, parameters, nodes by type, multiply-accumulates and memory of a bundle or any `.onnx` file.

    Args:
        model: A bundle, an `.onnx` file of anybody's, or the built-in `reference`.
        seq_len: The length for which multiply-accumulates and memory are counted, where the file's is dynamic.

    Raises:
        UsageError: a length below 1.
        BundleError, graphs.errors.GraphError: it cannot be read.
    """
    if seq_len < 1:
        raise UsageError(f"--seq-len is {seq_len}; expected at least 1")
    path = located(model)
    return take_census(read_bundle(path).model_path if path.is_dir() else path, seq_len)
