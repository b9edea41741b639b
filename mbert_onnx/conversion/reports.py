"""Reports of `export`, `optimize` and `verify`: the files, the ledger of the passes, and the accuracy."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from graphs.ledger import Entry
from graphs.lowering.bit_search import Plan
from graphs.reports.census import Census
from mbert_onnx.conversion.comparison.accuracy import agreement_text
from mbert_onnx.conversion.comparison.cosines import Cosines
from mbert_onnx.conversion.comparison.padding import Padding
from mbert_onnx.conversion.damage import Damage, without_cosines
from mbert_onnx.conversion.text_files.report import TextReport
from mbert_onnx.conversion.verification.answers import AnswerComparison
from mbert_onnx.conversion.verification.text_check import TextVerdict


@dataclass(frozen=True)
class TextChecks:
    """Result of the comparisons of a text file beside that of the model inside; a difference is an error instead.

    Args:
        tokens: The comparison of its tokens with those of `tokenizers`.
        answers: The comparison of its answers; None where there is nothing to compare them with.
    """

    tokens: TextVerdict
    answers: AnswerComparison | None = None


@dataclass(frozen=True)
class Verdict:
    """Result of verification; centred errors as `mbert_onnx.conversion.comparison.accuracy` defines them.

    Args:
        error: The file's error from float64, the largest over its outputs.
        torch_error: The error of torch's own float32; None where the judge is another file, in float32.
        agreement: The share of decisions that equal the judge's, 0 to 1; of sentences' vectors, the mean cosine.
        bar: The bound: the largest error that passes.
        errors: `error` for each output.
        lengths, batches, tokens: Lengths and batches that were tried, and the number of tokens without padding.
        kernels_error: `error` when the native kernels compute the blocks; None if that was not tried.
        padding: Whether some texts had padding.
        not_compared: Inputs that could not be compared, since one side does not take them, a line each.
        damage: The accuracy loss on texts, for an fp16 or int8 file; the gate of `export` decides then, and `bar` is
            infinite.
        decisions: Number of decisions that were compared.
        text: The comparisons of a text file; what is above is about the model inside.
        cosines: The cosine similarities of sentences' vectors; None for other models.
    """

    error: float
    torch_error: float | None
    agreement: float
    bar: float
    errors: dict[str, float]
    lengths: list[int]
    batches: list[int]
    tokens: int
    kernels_error: float | None = None
    padding: bool = True
    not_compared: list[str] = field(default_factory=list)
    damage: Damage | None = None
    decisions: int = 0
    text: TextChecks | None = None
    cosines: Cosines | None = None

    @property
    def passed(self) -> bool:
        if self.damage is not None:
            return self.damage.accepted
        # Both are false for NaN.
        return self.error <= self.bar and (self.kernels_error is None or self.kernels_error <= self.bar)

    def as_dict(self) -> dict[str, Any]:
        found = without_cosines({**asdict(self), "passed": self.passed})
        if self.text is None:
            del found["text"]
        if self.damage is not None:
            found |= {"bar": None, "damage": self.damage.as_dict()}  # JSON has no infinity
        return found

    def __str__(self) -> str:
        if self.damage is not None:
            return str(self.damage)
        judge = "the other file (" if self.torch_error is None else f"float64 (torch float32 {self.torch_error:.1e}, "
        kernels = "" if self.kernels_error is None else f" (with the native kernels {self.kernels_error:.1e})"
        agreement = agreement_text(self.agreement, self.decisions, self.cosines)
        return (
            f"centred error {self.error:.1e}{kernels} against {judge}bound {self.bar:.1e}), "
            f"{agreement}; {self.tokens:,} tokens, lengths {_join(self.lengths)}, "
            f"batches {_join(self.batches)}, {'with padding and without' if self.padding else 'without padding'}"
        )


@dataclass(frozen=True)
class ExportReport:
    """Result of `export`.

    Args:
        path: The bundle.
        model: The model file in it.
        task: The task's name.
        target: `cpu`, `mobile` or `web`.
        opset: The opset of the model file.
        precision: `fp32`, `fp16` or `int8`.
        verdict: The result of verification; for a lower precision, its accuracy loss.
        census: Counts of nodes, parameters and operations of the graph.
        ledger: What each pass did, in order.
        restarts: Number of places where a stream was rescaled or written out explicitly; 0 where all of NoNorm is
            gone.
        plan: For int8 on phones, the bits of each activation and how they were chosen; else None.
        seconds: Duration of each stage.
        notes: Notes for the user, a line each.
        removed: Model files of another checkpoint's bundle that are gone, relative to the bundle.
        outdated: The text file of the model file that was replaced, where no other was asked for; it is gone.
        left_alone: Files that export had not written, and that are still there: all that were in the bundle of another
            checkpoint, else those in whose place it would have written one.
        beside: Model files of the same checkpoint at other precisions in the bundle.
        padding: Whether the file ignores padding, and the effect of padding in the checkpoint.
        text: The text file; None where none was asked for.
    """

    path: Path
    model: Path
    task: str
    target: str
    opset: int
    precision: str
    verdict: Verdict | Damage
    census: Census
    ledger: list[Entry]
    restarts: int
    plan: Plan | None
    seconds: dict[str, float]
    notes: list[str]
    removed: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)
    left_alone: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    padding: Padding | None = None
    text: TextReport | None = None


@dataclass(frozen=True)
class OptimizeReport:
    """Result of `optimize`.

    Args:
        path: The file that was written.
        changed: Whether its graph differs from the one that was read; if not, the file is a copy.
        target, opset: The target, and the opset of the result.
        nodes_before, nodes_after: Nodes of the main graph, those of functions not counted.
        bytes_before, bytes_after: Sizes of the files, external weights included.
        ledger: What each pass did, in order.
        restarts: Number of places where a stream was rescaled or written out explicitly; 0 where all of NoNorm is
            gone.
        given_error, error: Centred errors from float64 of the file that was read and of the one that was written; None
            where nothing could be compared.
        bar: The bound: the largest error that passes; None for a lower precision, which `damage` decides about.
        seconds: Duration of the whole.
        precision: `fp32`, `fp16` or `int8`.
        damage: Accuracy loss of a lower precision; None for fp32, and for a file that was quantized already.
        plan: For int8 on phones, the bits of each activation and how they were chosen; else None.
        notes: Notes for the user, a line each.
        text: The text file, where one was asked for: `path` is it.
    """

    path: Path
    changed: bool
    target: str
    opset: int
    nodes_before: int
    nodes_after: int
    bytes_before: int
    bytes_after: int
    ledger: list[Entry]
    restarts: int
    given_error: float | None
    error: float | None
    bar: float | None
    seconds: float
    precision: str = "fp32"
    damage: Damage | None = None
    plan: Plan | None = None
    notes: list[str] = field(default_factory=list)
    text: TextReport | None = None

    def as_dict(self) -> dict[str, Any]:
        report = asdict(replace(self, damage=None, plan=None, text=None))
        report["text"] = None if self.text is None else self.text.as_dict()
        report["path"] = str(self.path)
        report["damage"] = None if self.damage is None else self.damage.as_dict()
        del report["plan"]  # its key is that of mbert_onnx.json
        report["activations"] = None if self.plan is None else self.plan.as_dict()
        return report


def _join(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))
