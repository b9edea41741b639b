"""Whether an `.onnx` file may be written in a lower precision: the file that was read judges, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from graphs.execution.judge import float64_runner
from graphs.model.precision_of import precision_of
from graphs.pipeline import Outcome
from graphs.reports.layer_errors import LOWERING
from mbert_onnx.bundles.model_file import TextModel, find_file, read_text_model
from mbert_onnx.conversion.damage import Damage, Runs
from mbert_onnx.conversion.precision import Calibration, check_written, damage_of, read_texts, refuse_damage
from mbert_onnx.errors import PrecisionError


def check_is_float32(graph: ir.Model, path: Path, why: str) -> None:
    """Raises PrecisionError for a graph that is in a lower precision already."""
    found = precision_of(graph)
    if found != "fp32":
        raise PrecisionError(f"{path} is {found} already, and {why}: give the float32 file that it was made from")


@dataclass(frozen=True)
class FileGate:
    """What decides.

    Args:
        precision: What is asked for.
        model: What the file answers and takes.
        texts: What the precision is chosen on, and measured.
        given: The graph as it was read.
        judge: Runs it in float64; as it is, where that cannot be had.
        is_float64: Which of the two.
    """

    precision: str
    model: TextModel
    texts: Calibration
    given: ir.Model
    judge: Runs
    is_float64: bool

    @classmethod
    def of(
        cls,
        graph: ir.Model,
        model: str | Path,
        precision: str,
        *,
        calibrate: str | Path | None,
        tokenizer: str | Path | None,
        task: str | None,
    ) -> FileGate:
        """The gate of what is made of a graph, which is left as it is.

        Args:
            graph: What is in the file.
            model: The bundle or file, as the user gave it.
            precision, calibrate, tokenizer, task: As in `mbert_onnx.optimize`.

        Raises PrecisionError for a graph that is in a lower precision already, and what `read_text_model`, `read_texts`
        and `float64_runner` raise.
        """
        path, bundle = find_file(model)
        check_is_float32(graph, path, f"--precision {precision} is made of float32")
        purpose = f"--precision {precision} is chosen on texts"
        read = read_text_model(path, bundle, purpose=purpose, task=task, tokenizer=tokenizer)
        texts = read_texts(calibrate, read)
        return cls(precision, read, texts, graph.clone(), *float64_runner(graph, texts.held_out[0]))

    @property
    def notes(self) -> list[str]:
        """What a user should know, a line each."""
        if self.is_float64:
            return self.texts.notes
        return [*self.texts.notes, "the judge is the file in its own float32: onnxruntime has no float64 of it"]

    def measure(
        self, outcome: Outcome, target: str, min_agreement: float | None, keep_float: Sequence[str]
    ) -> tuple[Damage, list[str]]:
        """What a graph of the precision costs, and what a user should know of that, a line each.

        Raises PrecisionError if that is too much, or nothing in it is of that precision.
        """
        name = self.model.name
        if not any(entry.matches for entry in outcome.ledger if entry.name in LOWERING):
            raise PrecisionError(
                f"{name}: nothing became {self.precision}, nothing is written; expected float32 products of 32 inputs "
                "and outputs or more, and that --only, --skip and --keep-float leave some"
            )
        damage = damage_of(
            outcome.model,
            self.judge,
            self.texts,
            self.model.task,
            precision=self.precision,
            min_agreement=min_agreement,
            keep_float=keep_float,
            binding=not self.model.is_random,
        )
        notes = refuse_damage(damage, name, self.given, self.texts, target=target, plan=outcome.plan)
        return damage, notes

    def check_written(self, path: Path) -> None:
        """Raises PrecisionError for a file that does not run in onnxruntime, or gives no finite float32."""
        check_written(path, self.texts.held_out[0])
