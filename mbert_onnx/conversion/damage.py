"""Damage of a lower precision: its accuracy loss on held-out texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from mbert_onnx.bundles.types import Feed, Runner
from mbert_onnx.conversion.comparison.accuracy import Comparison, agreement_text, nonfinite_output, percentage
from mbert_onnx.conversion.comparison.cosines import Cosines
from mbert_onnx.errors import PrecisionError
from mbert_onnx.text.tasks import Task

# The default of the smallest agreement with float64 that passes.
MIN_AGREEMENT = 0.99

# Number of layers with the largest error that are reported.
WORST_LAYERS = 3


@dataclass(frozen=True)
class Damage:
    """Accuracy loss of a precision.

    Centred errors are from float64, as `mbert_onnx.conversion.comparison.accuracy` defines them.

    Args:
        precision: `fp16` or `int8`.
        error: The largest error over the outputs.
        errors: The error of each output.
        agreement: The share of decisions that equal float64's, 0 to 1; of sentences' vectors, the mean cosine.
        min_agreement: The smallest agreement that passes.
        texts, tokens: Number of held-out texts and of their tokens, padding not counted.
        calibration: The source of the texts.
        keep_float: Layers that stayed float32.
        binding: Whether a file with more damage is refused; not for random weights, whose argmax is unstable.
        layers: The error that each layer alone costs, if it was measured.
        kernels_error, kernels_agreement: `error` and `agreement` when the native kernels, which quantize finer,
            compute the blocks; None if that was not measured.
        decisions: Number of decisions that were compared.
        cosines, kernels_cosines: The cosine similarities of sentences' vectors; None for other models.
    """

    precision: str
    error: float
    errors: dict[str, float]
    agreement: float
    min_agreement: float
    texts: int
    tokens: int
    calibration: str
    keep_float: list[str] = field(default_factory=list)
    binding: bool = True
    layers: dict[str, float] = field(default_factory=dict)
    kernels_error: float | None = None
    kernels_agreement: float | None = None
    decisions: int = 0
    cosines: Cosines | None = None
    kernels_cosines: Cosines | None = None

    def with_kernels(self, other: Damage) -> Damage:
        """Returns the damage with that of the same file when the native kernels compute the blocks."""
        return replace(
            self, kernels_error=other.error, kernels_agreement=other.agreement, kernels_cosines=other.cosines
        )

    @property
    def accepted(self) -> bool:
        """True if the gate accepts the file: random weights are not refused for decisions, which are unstable."""
        return self.passed or (not self.binding and bool(np.isfinite(self.error)))

    @property
    def passed(self) -> bool:
        found = [(self.error, self.agreement)]
        if self.kernels_error is not None and self.kernels_agreement is not None:
            found.append((self.kernels_error, self.kernels_agreement))
        return all(bool(np.isfinite(error)) and agreement >= self.min_agreement for error, agreement in found)

    @property
    def nonfinite(self) -> list[str]:
        """The outputs that are NaN or infinite at a real token."""
        return [name for name, error in self.errors.items() if np.isnan(error)]

    @property
    def worst_layers(self) -> list[str]:
        """The layers with the largest errors, the worst first."""
        return sorted(self.layers, key=lambda name: -self.layers[name])[:WORST_LAYERS]

    def as_dict(self) -> dict[str, Any]:
        return without_cosines({**asdict(self), "passed": self.passed})

    @property
    def wanted(self) -> str:
        """The smallest agreement that passes: a share in percent, or a cosine."""
        return percentage(self.min_agreement) if self.cosines is None else f"{self.min_agreement:g}"

    def __str__(self) -> str:
        kernels = ""
        if self.kernels_error is not None and self.kernels_agreement is not None:
            found = agreement_text(self.kernels_agreement, self.decisions, self.kernels_cosines)
            agreement = f", {found}" if self.decisions else ""
            kernels = f" (with the native kernels {self.kernels_error:.1e}{agreement})"
        return (
            f"{self.precision}: centred error {self.error:.1e} against float64, "
            f"{agreement_text(self.agreement, self.decisions, self.cosines)}{kernels} (at least {self.wanted} "
            f"wanted); {self.texts} held-out texts of {self.calibration}, {self.tokens:,} tokens"
        )


def without_cosines(record: dict[str, Any]) -> dict[str, Any]:
    """Returns a record without the keys of sentences' vectors, if it has none."""
    return {key: value for key, value in record.items() if value is not None or not key.endswith("cosines")}


def measure_damage(
    judge: Runner,
    found: Runner,
    feeds: Sequence[Feed],
    task: Task,
    *,
    precision: str,
    calibration: str,
    min_agreement: float = MIN_AGREEMENT,
    keep_float: Sequence[str] = (),
    binding: bool = True,
    texts: int | None = None,
) -> Damage:
    """Measures the damage of a model: runs it and its float64 judge on the same texts.

    Args:
        judge, found: Run the judge, and the model of the lower precision.
        feeds: The texts.
        task: The task of both.
        texts: Number of texts; default: one in each feed.
        precision, calibration, min_agreement, keep_float, binding: As in `Damage`.

    Raises PrecisionError if the outputs differ in name or shape, or the judge's are not finite.
    """
    comparison = Comparison(task)
    for feed in feeds:
        wanted, outputs = judge(feed), found(feed)
        bad = nonfinite_output(task, wanted, feed["attention_mask"])
        if bad is not None:
            raise PrecisionError(
                f"the model's own {bad} on the held-out texts of {calibration}, so there is nothing to compare "
                f"{precision} with; repair the model, or train it again"
            )
        for name, value in wanted.items():
            if name not in outputs or outputs[name].shape != value.shape:
                raise PrecisionError(
                    f"{precision}: the output {name} is missing or has another shape; this is our mistake"
                )
        comparison.add(outputs, wanted, feed["attention_mask"])
    return Damage(
        precision=precision,
        error=comparison.error(),
        errors=comparison.errors(),
        agreement=comparison.agreement(),
        min_agreement=min_agreement,
        texts=len(feeds) if texts is None else texts,
        tokens=int(sum(feed["attention_mask"].sum() for feed in feeds)),
        calibration=calibration,
        keep_float=list(keep_float),
        binding=binding,
        decisions=comparison.decisions()[1],
        cosines=comparison.cosines(),
    )
