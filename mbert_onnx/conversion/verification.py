"""Verification: compares a model file with the torch model it was made from, in float64."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from graphs.execution.error_bounds import float32_bound
from mbert_onnx.bundles.inputs import Shapes
from mbert_onnx.bundles.model_file import open_session
from mbert_onnx.bundles.types import Feed, Outputs, Runner
from mbert_onnx.conversion.accuracy import Comparison
from mbert_onnx.conversion.file_runner import file_runner
from mbert_onnx.conversion.reports import Verdict
from mbert_onnx.errors import VerificationError
from mbert_onnx.text.tasks import Task

# Lengths that are tried where the length is dynamic: the shortest one, a prime that no tile divides, a common one; and,
# once, all positions of the model.
LENGTHS = (1, 23, 128)
BATCHES = (1, 3)

# Multiple choice: number of choices where it is dynamic.
CHOICES = 2


def check(
    path: Path,
    model: nn.Module,
    task: Task,
    *,
    seed: int = 0,
    library: Path | None = None,
    outputs: Sequence[str] = (),
) -> Verdict:
    """Compares a model file with the torch model it was made from, on the same random inputs.

    Args:
        path: The file.
        model: A student in float32, in evaluation mode. It is in float64 afterwards.
        task: The model's task.
        seed: Seed of the inputs.
        library: Native kernels, with which the file is run a second time; None for no second run.
        outputs: The file's names of the task's outputs, in the task's order; default: by their names or shapes.

    Raises:
        VerificationError: onnxruntime cannot load or run the file, or its outputs are not the task's.
        BundleError: its inputs are not the task's.
    """
    run, shapes = file_runner(path, task, outputs=outputs)
    run_with_kernels = None if library is None else file_runner(path, task, library)[0]
    feeds = list(sample_feeds(model.config, task, shapes, seed))
    single = [run_torch(model, feed) for feed in feeds]
    model.double()
    ours, torchs, kernels = Comparison(task), Comparison(task), Comparison(task)
    for feed, float32 in zip(feeds, single, strict=True):
        judge = run_torch(model, feed)
        _add(ours, path, feed, run(feed), judge)
        torchs.add(float32, judge, feed["attention_mask"])
        if run_with_kernels is not None:
            _add(kernels, path, feed, run_with_kernels(feed), judge)
    return _verdict(ours, feeds, torchs.error(), None if library is None else kernels.error())


def check_files(
    path: Path, reference: Path, task: Task, sizes: Any, *, seed: int = 0, outputs: Sequence[str] = ()
) -> Verdict:
    """Compares two model files on the same random inputs.

    Args:
        path, reference: The files; the second one is the judge.
        task: The task of both.
        sizes: A config, or another object with `vocab_size`, `max_position_embeddings` and `type_vocab_size`.
        seed: Seed of the inputs.
        outputs: Names of the task's outputs in the file, and in the reference if it has them.

    Raises: as `check`.
    """
    run, shapes = file_runner(path, task, outputs=outputs)
    judge, judge_shapes = file_runner(reference, task, outputs=outputs if _has(reference, outputs) else ())
    feeds = list(sample_feeds(sizes, task, shapes.narrowed(judge_shapes), seed))
    comparison = Comparison(task)
    for feed in feeds:
        _add(comparison, path, feed, run(feed), judge(feed))
    return _verdict(comparison, feeds, None)


def _has(path: Path, outputs: Sequence[str]) -> bool:
    return bool(outputs) and {one.name for one in open_session(path).get_outputs()}.issuperset(outputs)


def _verdict(
    comparison: Comparison, feeds: Sequence[Feed], torch_error: float | None, kernels_error: float | None = None
) -> Verdict:
    masks = [feed["attention_mask"] for feed in feeds]
    return Verdict(
        error=comparison.error(),
        torch_error=torch_error,
        agreement=comparison.agreement(),
        bar=float32_bound(torch_error),
        errors=comparison.errors(),
        lengths=sorted({mask.shape[-1] for mask in masks}),
        batches=sorted({mask.shape[0] for mask in masks}),
        tokens=int(sum(mask.sum() for mask in masks)),
        kernels_error=kernels_error,
    )


def run_torch(model: nn.Module, feed: Feed) -> dict[str, np.ndarray]:
    """Returns the outputs of a torch model that are tensors, by name."""
    with torch.inference_mode():
        output = model(**{name: torch.from_numpy(ids) for name, ids in feed.items()})
    return {name: value.numpy() for name, value in output.items() if isinstance(value, torch.Tensor)}


def float64_judge(model: nn.Module) -> Runner:
    """Returns a function that runs a torch model in float64, on ids of any integer type.

    The model is in float64 after the first call.
    """

    def run(feed: Feed) -> Outputs:
        return run_torch(model.double(), {name: ids.astype(np.int64) for name, ids in feed.items()})

    return run


def _add(comparison: Comparison, path: Path, feed: Feed, found: Outputs, judge: Outputs) -> None:
    """Adds one batch; raises VerificationError if the file lacks an output or one has another shape."""
    for name, value in judge.items():
        if name not in found:
            raise VerificationError(f"{path.name} has outputs {', '.join(found)}; expected {', '.join(judge)}")
        if found[name].shape != value.shape:
            raise VerificationError(
                f"{path.name}: {name} has the shape {list(found[name].shape)}, expected {list(value.shape)}"
            )
    comparison.add(found, judge, feed["attention_mask"])


def sample_feeds(config: Any, task: Task, shapes: Shapes, seed: int) -> Iterator[dict[str, np.ndarray]]:
    """Yields random inputs: each length and batch, with padding and without; one text consists of padding only.

    Where the graph's length is fixed, texts of several lengths are padded to it.
    """
    generator = np.random.default_rng(seed)
    longest = shapes.seq_len or config.max_position_embeddings
    lengths = sorted({min(length, longest) for length in LENGTHS})
    batches = BATCHES if shapes.batch is None else (shapes.batch,)
    cases = [(batch, length, padded) for length in lengths for batch in batches for padded in (False, True)]
    if longest not in lengths:
        cases.append((batches[0], longest, False))
    for batch, length, padded in cases:
        size = shapes.seq_len or length
        shape = (batch, shapes.choices or CHOICES, size) if task.has_choices else (batch, size)
        real = np.full(shape[:-1], length)
        if padded:
            real = generator.integers(1, length + 1, shape[:-1])
            real.flat[-1] = 0 if real.size > 1 else max(1, length // 2)
        mask = (np.arange(size) < real[..., None]).astype(np.int64)
        types = min(config.type_vocab_size, 2)
        yield {
            "input_ids": generator.integers(0, config.vocab_size, shape),
            "attention_mask": mask,
            "token_type_ids": (np.arange(size) >= (real[..., None] + 1) // 2).astype(np.int64) % types,
        }
