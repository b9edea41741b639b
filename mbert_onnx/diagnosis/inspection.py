"""Census of a model file (`inspect`)."""

from __future__ import annotations

from pathlib import Path

from graphs.reports.census import Census, take_census
from mbert_onnx.bundles.reader import find_text_file, read_bundle
from mbert_onnx.errors import UsageError
from mbert_onnx.reference import located
from mbert_onnx.runtime.size_limits import MAX_SEQ_LEN


def inspect(model: str | Path, *, seq_len: int = 128) -> Census:
    """Counts inputs, outputs, parameters, nodes by type, multiply-accumulates and memory of a model file.

    Of a text file, these are counts of the model inside; its inputs and outputs are those of the file.

    Args:
        model: A bundle, any `.onnx` file, or the built-in `reference`.
        seq_len: Length for which multiply-accumulates and memory are counted, if the file's is dynamic.

    Raises:
        UsageError: `seq_len` is not 1 to 1,048,576.
        BundleError, graphs.errors.GraphError: the file cannot be read.
    """
    if not 1 <= seq_len <= MAX_SEQ_LEN:
        raise UsageError(f"--seq-len is {seq_len}; expected 1 to {MAX_SEQ_LEN:,}")
    path = find_text_file(model)
    if path is None:
        path = located(model)
        path = read_bundle(path).model_path if path.is_dir() else path
    return take_census(path, seq_len)
