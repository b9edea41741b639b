"""Verification of a float32 file that `export` has written, and the error for one that differs."""

from __future__ import annotations

from pathlib import Path

from graphs.execution.error_bounds import FLOAT32_FACTOR
from mbert_onnx.conversion.reports import Verdict
from mbert_onnx.conversion.verification.model_check import check
from mbert_onnx.errors import CheckpointError, VerificationError
from mbert_onnx.model.checkpoint import Checkpoint


def verify_export(
    file: Path, checkpoint: Checkpoint, *, seed: int, library: Path | None, ignore_padding: bool
) -> Verdict:
    """Compares a file with its checkpoint, with the native kernels in `library` or without.

    Raises VerificationError if the file does not compute what the model computes, and CheckpointError if float32 does
    not hold the model.
    """
    verdict = check(file, checkpoint.model, checkpoint.task, seed=seed, library=library, ignore_padding=ignore_padding)
    if verdict.torch_error is not None and verdict.bar < verdict.error <= FLOAT32_FACTOR * verdict.torch_error:
        raise CheckpointError(
            f"{checkpoint.name}: float32 does not hold this model, whose outputs in torch's float32 are "
            f"{verdict.torch_error:.1e} from float64, so nothing can be verified, nothing is written: {verdict}"
        )
    if not verdict.passed:
        raise VerificationError(
            f"{checkpoint.name}: the graph is not the same as the model, nothing is written: {verdict}"
        )
    return verdict
