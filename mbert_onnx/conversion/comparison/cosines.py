"""Cosine similarity of sentences' vectors with a judge's: what a search that ranks by cosines notices."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

# The output that is compared so.
VECTOR = "sentence_embedding"


@dataclass(frozen=True)
class Cosines:
    """Cosine similarity of each text's vector with the judge's vector of the same text.

    Args:
        mean, least: Over the texts, −1 to 1; NaN if a value is not finite.
        texts: Number of texts.
    """

    mean: float
    least: float
    texts: int

    def __str__(self) -> str:
        texts = "1 text" if self.texts == 1 else f"{self.texts:,} texts"
        return f"cosine {self.mean:.5f} on average and {self.least:.5f} at least over {texts}"


@dataclass
class CosineSum:
    """Accumulator of cosine similarities over batches of texts."""

    _cosines: list[np.ndarray] = field(default_factory=list)

    def add(self, found: np.ndarray, judge: np.ndarray) -> None:
        """Adds the vectors of a batch, ``[texts, hidden]`` each. Two zero vectors are equal, and count as 1."""
        pair = [np.asarray(vectors, dtype=np.float64) for vectors in (found, judge)]
        with np.errstate(invalid="ignore", over="ignore"):  # of values that are not finite, which the result shows
            a, b = (vectors / _lengths(vectors) for vectors in pair)
            cosines = (a * b).sum(axis=1)
        both_zero = ~(pair[0].any(axis=1) | pair[1].any(axis=1))
        self._cosines.append(np.where(both_zero, 1.0, cosines.clip(-1.0, 1.0)))

    def value(self) -> Cosines | None:
        """Returns the cosines over all batches; None without a text."""
        found = np.concatenate(self._cosines) if self._cosines else np.zeros(0)
        return Cosines(float(found.mean()), float(found.min()), len(found)) if len(found) else None


def _lengths(vectors: np.ndarray) -> np.ndarray:
    return np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float64).tiny)
