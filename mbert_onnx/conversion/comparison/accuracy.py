"""Accuracy of a task's outputs: the centred error (`graphs.execution.centred_error`) and the agreement of decisions.

For sentence similarity the agreement is the mean cosine similarity of the vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from graphs.execution.centred_error import CentredError, real_rows
from mbert_onnx.bundles.types import Outputs
from mbert_onnx.conversion.comparison.cosines import VECTOR, Cosines, CosineSum
from mbert_onnx.text.tasks import POOLER_OUTPUT, QUESTION_ANSWERING, Task

# The axes of an output that count rows, which stand before all others; those after them are channels.
ROW_AXES = ("batch", "choices", "sequence")

# The fewest texts among which nearest neighbours are compared; with fewer, they mean nothing.
FEWEST_NEIGHBOURS = 3

# Outputs that are vectors, in which no number is a decision.
STATES = "last_hidden_state"
VECTORS = (STATES, POOLER_OUTPUT, VECTOR)


@dataclass
class Comparison:
    """Comparison of a task's outputs with a judge's, batch by batch, over all rows as one set.

    Args:
        task: The task of the model.
    """

    task: Task
    _errors: dict[str, CentredError] = field(default_factory=dict)
    _agreed: int = 0
    _decided: int = 0
    _pooled: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    _cosines: CosineSum = field(default_factory=CosineSum)

    def add(self, found: Outputs, judge: Outputs, mask: np.ndarray) -> None:
        """Adds one batch.

        Args:
            found: The outputs under test, by name.
            judge: The judge's outputs, of the same names and shapes.
            mask: The attention mask, ``[batch, seq]`` or ``[batch, choices, seq]``. Padding is not compared, nor is a
                text without a real token.
        """
        real = mask.astype(bool)
        for output in self.task.outputs:
            if output.name in judge:
                row_axes = sum(axis in ROW_AXES for axis in output.axes)
                rows = [real_rows(np.asarray(x[output.name]), real, row_axes) for x in (found, judge)]
                self._errors.setdefault(output.name, CentredError()).add(rows[0], rows[1])
        for a, b in self._decisions(found, judge, real):
            self._agreed += int((a == b).sum())
            self._decided += a.size
        if VECTOR in judge:
            kept = real.any(axis=-1)
            vectors = np.asarray(found[VECTOR])[kept], np.asarray(judge[VECTOR])[kept]
            self._pooled.append(vectors)
            self._cosines.add(*vectors)
        elif STATES in judge:
            self._pooled.append((_mean_pooled(found, real), _mean_pooled(judge, real)))

    def error(self) -> float:
        """Returns the largest centred error over the outputs; NaN if a value is not finite."""
        return max(self.errors().values(), default=0.0, key=lambda e: np.inf if np.isnan(e) else e)

    def errors(self) -> dict[str, float]:
        """Returns the centred error of each output."""
        return {name: error.value() for name, error in self._errors.items()}

    def agreement(self) -> float:
        """Returns the agreement: the share of equal decisions, 0 to 1. Without any decision it is 1.

        Of sentences' vectors it is the mean cosine similarity.
        """
        cosines = self.cosines()
        if cosines is not None:
            return cosines.mean
        agreed, decided = self.decisions()
        return agreed / decided if decided else 1.0

    def cosines(self) -> Cosines | None:
        """Returns the cosine similarities of sentences' vectors; None for a model without."""
        return self._cosines.value()

    def decisions(self) -> tuple[int, int]:
        """Returns the number of equal decisions, and of all.

        A decision is the label of a text, the tag or word at a token, the start and the end of an answer, the choice;
        for embeddings the nearest other text by cosine similarity.
        """
        agreed, decided = self._agreed, self._decided
        if self._pooled:
            a, b = (np.concatenate([pair[side] for pair in self._pooled]) for side in (0, 1))
            if len(a) >= FEWEST_NEIGHBOURS:
                with np.errstate(invalid="ignore"):  # of values that are not finite, which the error reports
                    agreed += int((_nearest(a) == _nearest(b)).sum())
                decided += len(a)
        return agreed, decided

    def _decisions(self, found: Outputs, judge: Outputs, real: np.ndarray) -> Sequence[tuple[np.ndarray, np.ndarray]]:
        rows = real.any(axis=-1)
        decisions = []
        for output in self.task.outputs:
            if output.name not in judge or output.name in VECTORS:
                continue
            a, b = np.asarray(found[output.name]), np.asarray(judge[output.name])
            if self.task is QUESTION_ANSWERING:
                a, b = (np.where(real, x, -np.inf).argmax(axis=-1)[rows] for x in (a, b))
            elif output.axes[-1] == "choices":
                a, b = (x.argmax(axis=-1) for x in (a, b))
            elif "sequence" in output.axes:
                a, b = (x.argmax(axis=-1)[real] for x in (a, b))
            else:
                a, b = (x.argmax(axis=-1)[rows] for x in (a, b))
            decisions.append((a, b))
        return decisions


def agreement_text(share: float, decisions: int, cosines: Cosines | None = None) -> str:
    """Returns an agreement with its number of decisions, such as "100.0 % of 16 decisions equal".

    The number is a part of it, since a share of few decisions says little. Of sentences' vectors, the cosines.
    """
    if cosines is not None:
        return str(cosines)
    if not decisions:
        return "no decisions to compare"
    return f"{percentage(share)} of {decisions:,} decision{'' if decisions == 1 else 's'} equal"


def percentage(share: float) -> str:
    """Formats a share in percent: "99.0 %"."""
    return f"{100 * share:.1f} %"


def nonfinite_output(task: Task, outputs: Outputs, mask: np.ndarray) -> str | None:
    """Returns which of a task's outputs is NaN or infinite at a real token, and in how many values; else None.

    Args:
        task: The task of the model.
        outputs, mask: As in `Comparison.add`.
    """
    for output in task.outputs:
        if output.name in outputs:
            row_axes = sum(axis in ROW_AXES for axis in output.axes)
            rows = real_rows(np.asarray(outputs[output.name]), mask.astype(bool), row_axes)
            bad = int(rows.size - np.isfinite(rows).sum())
            if bad:
                return f"{output.name} is NaN or infinite in {bad:,} of {rows.size:,} values"
    return None


def _mean_pooled(outputs: Outputs, real: np.ndarray) -> np.ndarray:
    kept = real.any(axis=-1)
    states, real = np.asarray(outputs[STATES], dtype=np.float64)[kept], real[kept][..., None]
    return np.where(real, states, 0.0).sum(axis=-2) / real.sum(axis=-2)


def _nearest(vectors: np.ndarray) -> np.ndarray:
    """Returns, for each vector, the index of the most similar other one."""
    centred = vectors - vectors.mean(axis=0)
    unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    return similarity.argmax(axis=1)
