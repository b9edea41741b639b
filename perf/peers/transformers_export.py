"""transformers' module through torch's ONNX exporter, without further optimization."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import warnings
from pathlib import Path

import torch
import transformers

from perf.errors import PerfError

INPUTS = ("input_ids", "attention_mask", "token_type_ids")

# Example sizes of the dynamic dimensions: all different, and none 0 or 1, which torch.export treats as constants. A
# model may have fewer positions.
EXAMPLES = {"batch": 3, "choices": 2, "sequence": 5}


def export_transformers(folder: Path, architecture: str, output_names: tuple[str, ...], output: Path) -> None:
    """Exports transformers' module with `torch.onnx.export(dynamo=True)` and its defaults.

    Args:
        folder: A checkpoint in transformers' format.
        architecture: The name of transformers' class, such as `MobileBertForQuestionAnswering`.
        output_names: The task's outputs.
        output: The `.onnx` to write.

    Raises:
        PerfError: transformers does not load the checkpoint, or torch does not export it.
    """
    axes = ("batch", "choices", "sequence") if "MultipleChoice" in architecture else ("batch", "sequence")
    dims = {index: torch.export.Dim(axis) for index, axis in enumerate(axes)}
    with _quiet():
        try:
            model = getattr(transformers, architecture).from_pretrained(folder).eval()
            inputs = [name for name in INPUTS if name in inspect.signature(model.forward).parameters]
            # A tensor for each input: one tensor passed three times would be exported as a single input.
            sizes = EXAMPLES | {"sequence": min(EXAMPLES["sequence"], model.config.max_position_embeddings)}
            ids = {name: torch.full([sizes[axis] for axis in axes], int(name == "attention_mask")) for name in inputs}
            torch.onnx.export(
                model,
                kwargs=ids,
                f=output,
                dynamo=True,
                input_names=inputs,
                output_names=list(output_names),
                dynamic_shapes=dict.fromkeys(inputs, dims),
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # torch raises many classes
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise PerfError(f"transformers' own export of {folder.name} failed: {reason[0]}") from error


@contextlib.contextmanager
def _quiet():  # type: ignore[no-untyped-def]
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
