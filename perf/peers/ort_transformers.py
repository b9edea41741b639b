"""onnxruntime's own optimizer for transformers, as one uses it for a BERT."""

from __future__ import annotations

import logging
from pathlib import Path

from perf.errors import PerfError


def optimize_as_bert(source: Path, output: Path) -> None:
    """Writes what `onnxruntime.transformers.optimizer` makes of a file, taken for a BERT.

    Raises PerfError where it fails.
    """
    logging.getLogger("onnxruntime.transformers").setLevel(logging.ERROR)
    try:
        from onnxruntime.transformers import optimizer

        # It finds the numbers of heads and channels itself.
        model = optimizer.optimize_model(str(source), model_type="bert", opt_level=0, use_gpu=False)
        model.save_model_to_file(str(output))
    except Exception as error:  # of its many
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise PerfError(f"onnxruntime.transformers fails on {source.name}: {line}") from error
