"""onnxruntime's own optimizer for transformers, as one uses it for a BERT."""

from __future__ import annotations

import logging
from pathlib import Path

from perf.errors import PerfError


def optimize_as_bert(source: Path, output: Path, heads: int, hidden: int) -> None:
    """Writes what `onnxruntime.transformers.optimizer` makes of a file, taken for a BERT.

    Args:
        source: The file.
        output: The file to write.
        heads, hidden: Attention heads and hidden size; 0 lets it find them.

    Raises PerfError where it fails.
    """
    logging.getLogger("onnxruntime.transformers").setLevel(logging.ERROR)
    try:
        from onnxruntime.transformers import optimizer

        model = optimizer.optimize_model(
            str(source), model_type="bert", num_heads=heads, hidden_size=hidden, opt_level=0, use_gpu=False
        )
        model.save_model_to_file(str(output))
    except Exception as error:  # of its many
        line = (str(error).splitlines() or [type(error).__name__])[0]
        raise PerfError(f"onnxruntime.transformers fails on {source.name}: {line}") from error
