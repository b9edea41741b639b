"""Verification: compares a model file with the torch model it was made from, in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from graphs.execution.error_bounds import float32_bound
from graphs.execution.inputs.declared import inputs_of_session
from graphs.execution.inputs.feeds import verified_feeds
from graphs.execution.inputs.limits import MOST_WORDS, SEGMENTS, InputLimits
from graphs.execution.repeatability import described, differing_output, random_operators
from graphs.ir.text_inputs import MASK, TYPES
from graphs.model.loading import read_model
from mbert_onnx.bundles.inputs import INPUT_NAMES
from mbert_onnx.bundles.limits import expected_limits, file_limits, lengths_text, sizes_text
from mbert_onnx.bundles.model_file import open_session
from mbert_onnx.bundles.types import Feed, Outputs, Runner
from mbert_onnx.conversion.comparison.accuracy import STATES, Comparison, nonfinite_output
from mbert_onnx.conversion.comparison.cosines import VECTOR
from mbert_onnx.conversion.comparison.single_texts import single_texts
from mbert_onnx.conversion.file_runner import OpenFile, file_runner
from mbert_onnx.conversion.provenance import ignores_padding
from mbert_onnx.conversion.reports import Verdict
from mbert_onnx.errors import CheckpointError, VerificationError
from mbert_onnx.text.name_lists import name_list
from mbert_onnx.text.tasks import TASKS, Task

# The positions that a file without a config is expected to have; it may have more.
UNKNOWN_POSITIONS = 128

# A bundle's config.json.
Config = Mapping[str, Any]


def check(
    path: Path,
    model: nn.Module,
    task: Task,
    *,
    seed: int = 0,
    library: Path | None = None,
    outputs: Sequence[str] = (),
    trials: bool = False,
    ignore_padding: bool = False,
) -> Verdict:
    """Compares a model file with the torch model it was made from, on the same random inputs.

    Args:
        path: The file.
        model: A student in float32, in evaluation mode. It is in float64 afterwards.
        task: The model's task.
        seed: Seed of the inputs.
        library: Native kernels, with which the file is run a second time; None for no second run.
        outputs: The file's names of the task's outputs, in the task's order; default: by their names or shapes.
        trials: Whether the sizes are narrowed to those that the file runs with. Otherwise it must run with all that it
            declares, as a file of ours does.
        ignore_padding: Whether the file is to give the same answers with padding as for each text alone: torch then
            runs each text alone.

    Raises:
        VerificationError: onnxruntime cannot load or run the file, its outputs are not the task's, not finite, or not
            the same in two runs, or it takes fewer ids than the model.
        CheckpointError: an output of the torch model is not finite.
        BundleError: its inputs are not the task's.
    """
    opened, config = file_runner(path, task, outputs=outputs), model.config
    run, task = opened.run, without_missing(task, opened.session)
    run_with_kernels = None if library is None else file_runner(path, task, library).run
    texts = _Texts(task, seed, _limits_of(config, opened, path.name))
    texts.take_inputs(path.name, opened.inputs.names, INPUT_NAMES)
    if trials:
        found = file_limits(path.name, opened.session, texts.limits)
        _check_ids(path.name, found, texts.limits)
        texts.narrow(path.name, found)
    feeds = texts.feeds()
    run_model = answered(torch_runner(model), task)
    if ignore_padding:
        run_model = single_texts(run_model, task)
    single = [run_model(feed) for feed in feeds]
    for feed, float32 in zip(feeds, single, strict=True):
        bad = nonfinite_output(task, float32, feed["attention_mask"])
        if bad is not None:
            raise CheckpointError(
                f"the checkpoint's {bad} in torch's float32, too, so nothing can be verified; train or convert it again"
            )
    model.double()
    ours, torchs, kernels = Comparison(task), Comparison(task), Comparison(task)
    for feed, float32 in zip(feeds, single, strict=True):
        judge = run_model(feed)
        _add(ours, path, feed, run(feed), judge)
        torchs.add(float32, judge, feed["attention_mask"])
        if run_with_kernels is not None:
            _add(kernels, path, feed, run_with_kernels(feed), judge)
    kernels_error = None if library is None else kernels.error()
    verdict = _verdict(ours, feeds, texts.not_compared, torchs.error(), kernels_error)
    _check_repeatable(path, run, feeds, passed=verdict.passed)
    return verdict


def check_files(
    path: Path,
    reference: Path,
    task: Task,
    config: Config | None,
    reference_config: Config | None,
    *,
    seed: int = 0,
    outputs: Sequence[str] = (),
) -> Verdict:
    """Compares two model files on the same random inputs, of the ids and sizes that both take.

    Args:
        path, reference: The files; the second one is the judge.
        task: The task of both.
        config, reference_config: The config of the bundle that each is in; None for a file on its own.
        seed: Seed of the inputs.
        outputs: Names of the task's outputs in the file, and in the reference if it has them.

    Raises: as `check`.
    """
    files = (path, reference)
    ours = file_runner(path, task, outputs=outputs)
    judge = file_runner(reference, task, outputs=outputs_of(reference, outputs))
    opened = (ours, judge)
    for one in opened:
        task = without_missing(task, one.session)
    limits = [
        file_limits(file.name, one.session, expected_limits(file, one.session, known, positions=UNKNOWN_POSITIONS))
        for file, one, known in zip(files, opened, (config, reference_config), strict=True)
    ]
    both = limits[0].within(limits[1])
    if both is None:
        found = " and ".join(f"{file.name}: {sizes_text(one)}" for file, one in zip(files, limits, strict=True))
        raise VerificationError(f"the files run with different sizes ({found}); expected some that both run with")
    texts = _Texts(task, seed, both)
    for number, file in enumerate(files):
        texts.take_inputs(file.name, opened[number].inputs.names, opened[1 - number].inputs.names)
        texts.report(file.name, limits[number], limits[1 - number])
    feeds = texts.feeds()
    run, run_judge = ours.run, answered(judge.run, task)
    if ignores_padding(path) != ignores_padding(reference):  # the same model if they agree on single texts
        if ignores_padding(path) and judge.inputs.sequence is None:
            run_judge = single_texts(run_judge, task)
        elif ignores_padding(reference) and ours.inputs.sequence is None:
            run = single_texts(run, task)
    comparison = Comparison(task)
    for feed in feeds:
        wanted = run_judge(feed)
        _check_finite(reference, task, feed, wanted, "nothing can be verified with it: export it again")
        _add(comparison, path, feed, run(feed), wanted)
    verdict = _verdict(comparison, feeds, texts.not_compared, None)
    for file, one in zip(files, opened, strict=True):
        _check_repeatable(file, one.run, feeds, passed=verdict.passed)
    return verdict


def _limits_of(config: Any, opened: OpenFile, name: str) -> InputLimits:
    """Returns the limits of a checkpoint, with the sizes that its file declares.

    Raises VerificationError for a file of more tokens than the checkpoint has positions.
    """
    positions = config.max_position_embeddings
    limits = InputLimits.declared(
        inputs_of_session(opened.session),
        vocab_size=config.vocab_size,
        segments=min(config.type_vocab_size, SEGMENTS),
        positions=positions,
    )
    if limits.longest > positions:
        raise VerificationError(
            f"{name} takes {limits.longest} tokens, and the checkpoint has {positions} positions, so they are not the "
            "same model; give the checkpoint that it was made from"
        )
    return limits


def _check_ids(name: str, found: InputLimits, expected: InputLimits) -> None:
    """Raises VerificationError for a file that takes fewer ids than its checkpoint has."""
    for what, taken, known in (
        ("token ids", found.vocab_size, expected.vocab_size),
        ("token types", found.segments, expected.segments),
    ):
        if taken < known:
            raise VerificationError(
                f"{name} takes {what} below {taken}, and the checkpoint has {known}, so they are not the same model; "
                "give the checkpoint that it was made from"
            )


@dataclass
class _Texts:
    """The texts on which two models are compared: inputs that both take, and what these leave out.

    Args:
        task: The task of both.
        seed: Seed of the ids.
        limits: The inputs that both take.
        mask, types: Whether both take an attention mask, and token types. Where one does not, the other reads what the
            first one assumes: no padding, and type 0.
        not_compared: What is left out, a line each.
    """

    task: Task
    seed: int
    limits: InputLimits
    mask: bool = True
    types: bool = True
    not_compared: list[str] = field(default_factory=list)

    def take_inputs(self, name: str, taken: Sequence[str], others: Sequence[str]) -> None:
        """Leaves out the inputs that a model does not take, and the other one does."""
        if MASK not in taken:
            self.mask = False
            if MASK in others:
                self.not_compared.append(f"texts with padding: {name} takes no {MASK}")
        if TYPES not in taken:
            self.types = False
            if TYPES in others and self.limits.segments > 1:
                self.not_compared.append(f"pairs of texts: {name} takes no {TYPES}")

    def narrow(self, name: str, found: InputLimits) -> None:
        """Narrows the limits to those that a model runs with."""
        self.report(name, found, self.limits)
        self.limits = found

    def report(self, name: str, taken: InputLimits, others: InputLimits) -> None:
        """Reports the inputs that a model does not take, and the other one does."""
        if taken.vocab_size < others.vocab_size < MOST_WORDS:
            self.not_compared.append(f"token ids from {taken.vocab_size} on: {name} does not take them")
        if taken.segments < others.segments and self.types:
            self.not_compared.append(f"pairs of texts: {name} has one token type")
        if taken.batch is not None and others.batch is None:
            self.not_compared.append(f"batches other than {taken.batch}: {name} does not take them")
        if taken.choices is not None and others.choices is None:
            self.not_compared.append(f"numbers of choices other than {taken.choices}: {name} does not take them")
        if any(length not in taken.lengths for length in others.lengths):
            self.not_compared.append(f"other lengths: {name} takes {lengths_text(taken.lengths)}")

    def feeds(self) -> list[dict[str, np.ndarray]]:
        """Returns the texts, the same for both models."""
        feeds = list(verified_feeds(self.limits, has_choices=self.task.has_choices, seed=self.seed, padding=self.mask))
        if not self.types:
            for feed in feeds:
                feed[TYPES] = np.zeros_like(feed[TYPES])
        return feeds


def outputs_of(reference: Path, outputs: Sequence[str]) -> Sequence[str]:
    """Returns names of outputs if a reference has them; none if its outputs have other names."""
    known = {one.name for one in open_session(reference).get_outputs()} if outputs else set()
    return outputs if known.issuperset(outputs) else ()


def _verdict(
    comparison: Comparison,
    feeds: Sequence[Feed],
    not_compared: Sequence[str],
    torch_error: float | None,
    kernels_error: float | None = None,
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
        padding=not all(mask.all() for mask in masks),
        not_compared=list(not_compared),
        decisions=comparison.decisions()[1],
        cosines=comparison.cosines(),
    )


def run_torch(model: nn.Module, feed: Feed) -> dict[str, np.ndarray]:
    """Returns the outputs of a torch model that are tensors, by name."""
    with torch.inference_mode():
        output = model(**{name: torch.from_numpy(ids) for name, ids in feed.items()})
    return {name: value.numpy() for name, value in output.items() if isinstance(value, torch.Tensor)}


def torch_runner(model: nn.Module) -> Runner:
    """Returns a function that runs a torch model in its own precision, on ids of any integer type."""
    return lambda feed: run_torch(model, {name: ids.astype(np.int64) for name, ids in feed.items()})


def without_missing(task: Task, session: Any) -> Task:
    """Returns a task without hidden states that a file with sentences' vectors need not have, and does not."""
    names = {one.name for one in session.get_outputs()}
    kept = tuple(one for one in task.outputs if one.name in names or one.name != STATES)
    return task if len(kept) == len(task.outputs) or VECTOR not in names else replace(task, outputs=kept)


def answered(run: Runner, task: Task) -> Runner:
    """Returns a function without the outputs that a task lacks. The model in a text file has what its answer needs."""
    if task in TASKS:
        return run
    return lambda feed: {name: value for name, value in run(feed).items() if name in task.output_names}


def float64_judge(model: nn.Module) -> Runner:
    """Returns a function that runs a torch model in float64, on ids of any integer type.

    The model is in float64 after the first call.
    """

    def run(feed: Feed) -> Outputs:
        return torch_runner(model.double())(feed)

    return run


def _add(comparison: Comparison, path: Path, feed: Feed, found: Outputs, judge: Outputs) -> None:
    """Adds one batch.

    Raises VerificationError if the file lacks an output, or one has another shape or is not finite.
    """
    check_outputs(path, found, judge)
    _check_finite(path, comparison.task, feed, found, "the judge's are finite, so that it is not the same model")
    comparison.add(found, judge, feed["attention_mask"])


def _check_finite(path: Path, task: Task, feed: Feed, outputs: Outputs, meaning: str) -> None:
    """Raises VerificationError for an output that is not finite: NaN on both sides would not make them equal."""
    bad = nonfinite_output(task, outputs, feed["attention_mask"])
    if bad is not None:
        raise VerificationError(f"{path.name}: {bad} on sample inputs; {meaning}")


def _check_repeatable(path: Path, run: Runner, feeds: Sequence[Feed], *, passed: bool) -> None:
    """Raises VerificationError for a file whose outputs differ in two runs on the same inputs.

    A file that passed is run again only if it draws random numbers: two sessions may draw the same ones.
    """
    random = random_operators(read_model(path, values=False))
    if passed and not random:
        return
    feed = max(feeds, key=lambda feed: feed["input_ids"].size)
    found = differing_output(run, [feed], [run(feed)])
    if found is None:
        return
    name, error = found
    is_dropout = random.keys() == {"Dropout"}
    raise VerificationError(
        f"{path.name} does not compute the same twice: two runs on the same inputs differ in {name} (centred error "
        f"{error:.1e}){described(random)}; export it again after model.eval()"
        f"{', or optimize it, which removes Dropout' if is_dropout else ''}"
    )


def check_outputs(path: Path, found: Outputs, judge: Outputs) -> None:
    """Raises VerificationError if a file lacks an output of its judge, or one has another shape."""
    for name, value in judge.items():
        if name not in found:
            raise VerificationError(f"{path.name} has outputs {name_list(found)}; expected {name_list(judge)}")
        if found[name].shape != value.shape:
            raise VerificationError(
                f"{path.name}: {name} has the shape {list(found[name].shape)}, expected {list(value.shape)}"
            )
