"""Report of a text file: where it is, what it takes and gives, and how it was checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mbert_onnx.conversion.verification.answers import AnswerComparison
from mbert_onnx.conversion.verification.text_check import TextVerdict


@dataclass(frozen=True)
class TextReport:
    """A text file that was written.

    Args:
        path: The file.
        bytes: Its size.
        inputs: Its required inputs.
        optional: Inputs that have a default.
        outputs: Its outputs.
        limit: The most tokens in a row.
        max_length: The value of the input of that name where there is no reason for another one.
        pair: Whether a text classification reads pairs.
        names: The file with the names of labels, or the tokens; None for a task without.
        verification: The comparison of its tokens with those of `tokenizers`.
        answers: The comparison of its answers with those of the model file.
    """

    path: Path
    bytes: int
    inputs: Sequence[str]
    optional: Sequence[str]
    outputs: Sequence[str]
    limit: int
    max_length: int
    pair: bool
    names: str | None
    verification: TextVerdict | None
    answers: AnswerComparison | None

    @property
    def checks(self) -> list[str]:
        """The results of its checks, a line each."""
        return [str(check) for check in (self.verification, self.answers) if check is not None]

    def moved(self, bundle: Path) -> TextReport:
        """Returns the report of the file in the bundle that its folder becomes."""
        return replace(self, path=bundle / self.path.parent.name / self.path.name)

    def as_dict(self) -> dict[str, Any]:
        """Returns its JSON form, without the file."""
        return {
            "bytes": self.bytes,
            "inputs": list(self.inputs),
            "optional": list(self.optional),
            "outputs": list(self.outputs),
            "limit": self.limit,
            "max_length": self.max_length,
            "pair": self.pair,
            "names": self.names,
            "verification": None if self.verification is None else self.verification.as_dict(),
            "answers": None if self.answers is None else self.answers.as_dict(),
        }
