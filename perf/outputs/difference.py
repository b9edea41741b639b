"""Whether two models that are timed against each other say the same."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def difference(found: Mapping[str, np.ndarray], first: Mapping[str, np.ndarray]) -> float | None:
    """How far outputs are from the first model's: ‖a−b‖ / ‖b − mean(b)‖, the largest over the outputs of one name.

    Args:
        found, first: outputs by name, for the same inputs.

    Returns:
        Infinity for outputs that are not finite or differ in shape; None where no floating-point output has a name in
        common.
    """
    shared = [name for name in first if name in found and first[name].dtype.kind == "f"]
    return max((_distance(found[name], first[name]) for name in shared), default=None)


def _distance(found: np.ndarray, first: np.ndarray) -> float:
    if found.shape != first.shape or not (np.isfinite(found).all() and np.isfinite(first).all()):
        return float("inf")
    a, b = found.astype(np.float64), first.astype(np.float64)
    gap, size = float(np.linalg.norm(a - b)), float(np.linalg.norm(b - b.mean()) if b.size else 0.0)
    if gap == 0:
        return 0.0
    return gap / size if size else float("inf")
