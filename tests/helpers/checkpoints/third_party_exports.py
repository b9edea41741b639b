"""`.onnx` files of small MobileBERTs written by other exporters: torch.export, TorchScript, optimum."""

from __future__ import annotations

import contextlib
import io
import shutil
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import onnx
import pytest
import torch
import transformers

INPUTS = ("input_ids", "attention_mask", "token_type_ids")

# optimum does not support the heads of pre-training and next-sentence prediction.
OPTIMUM_TASKS = (
    *("question-answering", "text-classification", "token-classification"),
    *("fill-mask", "multiple-choice", "feature-extraction"),
)


class Flat(torch.nn.Module):
    """A model with positional inputs and a tuple as output, as exporters require."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        flat: list[torch.Tensor] = []
        for value in self.model(**dict(zip(INPUTS, inputs, strict=True))).values():
            flat += value if isinstance(value, tuple) else [value]
        return tuple(flat)


def export_with_torch_export(
    model: torch.nn.Module, path: Path, outputs: Sequence[str], *, choices: bool = False, fixed: bool = False
) -> None:
    """Exports with `torch.onnx.export`, with dynamic axes unless `fixed`."""
    example = _example(choices)
    dynamic = dict.fromkeys(range(example[0].dim()), torch.export.Dim.DYNAMIC)
    with _quietly():
        program = torch.onnx.export(
            Flat(model).eval(),
            example,
            dynamo=True,
            opset_version=18,
            input_names=list(INPUTS),
            output_names=list(outputs),
            dynamic_shapes=None if fixed else (tuple(dynamic for _ in INPUTS),),  # one, since forward takes *inputs
            verbose=False,
        )
        assert program is not None
        program.save(path)


def export_with_torchscript(
    model: torch.nn.Module,
    path: Path,
    outputs: Sequence[str],
    *,
    choices: bool = False,
    fixed: bool = False,
    opset: int = 18,
) -> None:
    """Exports with the TorchScript exporter, the default before torch 2.9; outputs have no declared dynamic axes."""
    example = _example(choices)
    axes = dict(enumerate(("batch", "choices", "sequence") if choices else ("batch", "sequence")))
    with _quietly():
        torch.onnx.export(
            Flat(model).eval(),
            example,
            str(path),
            input_names=list(INPUTS),
            output_names=list(outputs),
            dynamic_axes=None if fixed else dict.fromkeys(INPUTS, axes),
            opset_version=opset,
            dynamo=False,
        )


def export_with_optimum(checkpoint: Path, path: Path, task: str) -> None:
    """Exports a folder in transformers' format with `optimum-cli export onnx`."""
    if not transformers.__version__.startswith("4."):
        pytest.skip("optimum-onnx requires transformers 4")
    main_export = pytest.importorskip("optimum.exporters.onnx").main_export
    folder = path.with_suffix(".optimum")
    with _quietly():
        main_export(str(checkpoint), folder, task=task, opset=18, do_validation=False, local_files_only=True)
    shutil.move(folder / "model.onnx", path)
    shutil.rmtree(folder)


def save_with_weights_beside(model: onnx.ModelProto, path: Path, weights: str) -> None:
    """Saves a model with its weights in an external file; small tensors stay inside, as onnxruntime requires."""
    onnx.save(model, path, save_as_external_data=True, location=weights, size_threshold=100)


def _example(choices: bool) -> tuple[torch.Tensor, ...]:
    """Returns distinct sizes other than 1, since exporters may identify equal ones."""
    ids = torch.zeros((2, 3, 7) if choices else (2, 7), dtype=torch.long)
    return ids, torch.ones_like(ids), torch.zeros_like(ids)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Suppresses warnings and output of exporters."""
    sink = io.StringIO()
    with contextlib.redirect_stdout(sink), contextlib.redirect_stderr(sink), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
