"""What makes another `.onnx` of a model before it is timed: `onnxslim:MODEL` and so on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Progress = Callable[[str], None]

OPTIMIZED, SLIM, ORT_TRANSFORMERS, ORT_DYNAMIC = "optimized", "onnxslim", "ort-transformers", "ort-dynamic"
# `optimum-PRESET:MODEL`, with one of the names in `perf.peers.optimum.PRESETS`.
OPTIMUM = "optimum-"
TOOLS = (OPTIMIZED, SLIM, ORT_TRANSFORMERS, ORT_DYNAMIC)


def is_tool(kind: str) -> bool:
    """Whether a name stands for one."""
    from perf.peers.optimum import PRESETS

    return kind in TOOLS or (kind.startswith(OPTIMUM) and kind.removeprefix(OPTIMUM) in PRESETS)


def lowers(kind: str) -> bool:
    """Whether it lowers the precision, so that outputs are compared with those of the float model."""
    return kind == ORT_DYNAMIC or kind.startswith(OPTIMUM)


def apply(kind: str, source: Path, output: Path, tell: Progress) -> str | None:
    """Writes the file that a tool makes; what is to be known of how it does. Raises what the tool does."""
    if kind == OPTIMIZED:
        from mbert_onnx.conversion.optimizer import optimize

        optimize(source, output)
    elif kind == SLIM:
        from perf.peers.onnxslim_optimizer import slim

        slim(source, output)
    elif kind == ORT_TRANSFORMERS:
        from perf.peers.ort_transformers import optimize_as_bert

        optimize_as_bert(source, output)
    elif kind == ORT_DYNAMIC:
        from perf.peers.ort_dynamic import quantize_dynamically

        return quantize_dynamically(source, output)
    else:
        from perf.peers.optimum import quantize_by_optimum

        return quantize_by_optimum(source, output, kind.removeprefix(OPTIMUM), tell)
    return None
