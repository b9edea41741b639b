"""onnxruntime's optimizer for transformers, with its settings for a BERT."""

from __future__ import annotations

import logging
from pathlib import Path

from perf.errors import PerfError


def optimize_as_bert(source: Path, output: Path) -> None:
    """Optimizes a file with `onnxruntime.transformers.optimizer` as a BERT.

    Raises PerfError where it fails.
    """
    logging.getLogger("onnxruntime.transformers").setLevel(logging.ERROR)
    try:
        from onnxruntime.transformers import optimizer

        # It detects the numbers of heads and channels.
        model = optimizer.optimize_model(str(source), model_type="bert", opt_level=0, use_gpu=False)
        model.save_model_to_file(str(output))
    except Exception as error:  # it raises many classes
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise PerfError(f"onnxruntime.transformers fails on {source.name}: {line}") from error
