"""`verify`: compares a model file with a checkpoint, or with another file."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from graphs.errors import GraphError
from graphs.execution.judge import float64_runner
from graphs.execution.runner import runner
from graphs.ir.text_inputs import IDS, MASK, TYPES
from graphs.model.embeddings import embedding_rows
from graphs.model.loading import read_model
from graphs.model.precision_of import precision_of
from graphs.pipeline import compared_form
from mbert_onnx.bundles.model_file import TextModel, answering, find_file, is_file, open_session, read_text_model
from mbert_onnx.bundles.ports import ports_of, rename_inputs
from mbert_onnx.bundles.proto_file import is_text_file
from mbert_onnx.bundles.reader import Bundle
from mbert_onnx.bundles.records import TOKENIZER
from mbert_onnx.bundles.session_errors import LoadError, session_error
from mbert_onnx.bundles.types import Feed, Runner
from mbert_onnx.conversion.comparison.single_texts import single_texts
from mbert_onnx.conversion.damage import MIN_AGREEMENT, Damage, measure_damage
from mbert_onnx.conversion.file_runner import file_runner
from mbert_onnx.conversion.precision import PrecisionOptions, read_texts
from mbert_onnx.conversion.precision_gate import precision_runner
from mbert_onnx.conversion.provenance import ignores_padding
from mbert_onnx.conversion.reports import Verdict
from mbert_onnx.conversion.verification.model_check import (
    answered,
    check,
    check_files,
    check_outputs,
    float64_judge,
    outputs_of,
    without_missing,
)
from mbert_onnx.conversion.verification.text_file import (
    TextFileOptions,
    text_file_of,
    verify_text_file,
)
from mbert_onnx.errors import UsageError, VerificationError
from mbert_onnx.model.checkpoint import Checkpoint, load_checkpoint
from mbert_onnx.model.tokenizer_files import write_tokenizer
from mbert_onnx.model.torch_threads import idle_threads
from mbert_onnx.runtime.native_kernels import AUTO, library_for, why_not_native
from mbert_onnx.text.tasks import Task, task_named

FLOAT32 = "fp32"

# What messages call the texts: nothing is calibrated on them here.
VERIFICATION = ("verification", "verification")


def verify(
    model: str | Path,
    against: str | Path | None = None,
    *,
    task: str | None = None,
    outputs: Sequence[str] = (),
    min_agreement: float | None = None,
    calibrate: str | Path | None = None,
    tokenizer: str | Path | None = None,
    seed: int = 0,
    text: bool = False,
) -> Verdict:
    """Compares a file's outputs with those of the model it was made from.

    Both get the same inputs: what one of them does not take is left out for both, and reported. Float32 files are
    compared on random inputs. An fp16 or int8 file is measured as `export` measures it: on texts, by the share of equal
    decisions.

    Of a text file, the tokens are compared with those of `tokenizers`, the model inside as above, and the answers to
    built-in texts with those of the judge, or for fp16 and int8 with those of the model inside.

    Args:
        model: A bundle, or any MobileBERT `.onnx` file.
        against: The judge: a checkpoint, which is run in float64; or another bundle or `.onnx` file. Without one, only
            the tokens of a text file are compared.
        task: The task of both; default: the bundle's, or what the checkpoint's `architectures` or the file's outputs
            say.
        outputs: The file's names of the task's outputs, in the task's order; default: those of the task's names, or
            else of its shapes.
        min_agreement: For fp16 and int8, the smallest share of equal decisions; default 0.99, as for `export`.
        calibrate: For fp16 and int8, the file of texts that `export` was given; default: built-in sentences. Of a text
            file, their tokens are compared, too.
        tokenizer: For fp16, int8 and text files, the tokenizer.json that reads the texts, or a folder with one;
            default: the bundle's or the checkpoint's.
        seed: Seed of the inputs, and of `random`'s weights.
        text: Whether the text file of a bundle is meant, and not its model file.

    Returns:
        The errors and the agreement; `passed` is whether it is the same model. For fp16 and int8 also the accuracy
        loss, as `damage`; `passed` is then whether `export` would have written the file. For a text file, all of that
        is about the model inside, and `text` has the comparisons of its tokens and answers.

    Raises:
        CheckpointError, BundleError: one of them cannot be read, or a file of lower precision has no tokenizer.
        VerificationError: a file does not load or run, or has not the task's outputs; or the tokens or answers of a
            text file differ.
        CalibrationError: the texts cannot be used.
        UsageError: there is no task of that name, no known task has the file's outputs, or an option is for files of a
            lower precision.
    """
    path, bundle = find_file(text_file_of(model) if text else model)
    asked = None if task is None else task_named(task)
    texts = _TextOptions(min_agreement, calibrate, tokenizer)
    subject = _Subject(path, bundle, asked, tuple(outputs))
    try:
        if is_text_file(path):
            options = TextFileOptions(asked, calibrate, tokenizer, seed)
            return verify_text_file(path, bundle, against, options, partial(_verify_inside, subject, texts, seed))
        if against is None:
            raise UsageError(
                f"--against is missing, and there is nothing to compare {path.name} with; give the checkpoint or file "
                "that it was made from"
            )
        _check_judge(path, against)
        return _verify(subject, against, texts, seed)
    except LoadError as error:
        # The whole path, and advice: the file is the user's own.
        raise VerificationError(session_error("load", str(error.path), error.__cause__ or error)) from error


def _check_judge(path: Path, against: str | Path) -> None:
    """Raises UsageError for a text file as the judge of a model file, which takes other inputs."""
    if is_file(against) and is_text_file(find_file(against)[0]):
        raise UsageError(
            f"--against is {against}, a text file, and {path.name} takes token ids; verify the text file, --against "
            f"{path}"
        )


def _verify(subject: _Subject, against: str | Path, texts: _TextOptions, seed: int) -> Verdict:
    """Compares a file that takes token ids."""
    if is_file(against):
        return _against_file(subject, *find_file(against), texts, seed)
    return _against_checkpoint(subject, against, texts, seed)


def _verify_inside(
    subject: _Subject, texts: _TextOptions, seed: int, inside: Path, task: Task, against: str | Path
) -> Verdict:
    """Compares the model inside a text file, which is in `inside`. A float32 one needs no texts."""
    files = [inside, *([find_file(against)[0]] if is_file(against) else [])]
    if _lower_precision(files) is None:
        texts = _TextOptions(texts.min_agreement, None, None)
    return _verify(replace(subject, path=inside, asked=task), against, texts, seed)


@idle_threads()
def _against_checkpoint(subject: _Subject, against: str | Path, texts: _TextOptions, seed: int) -> Verdict:
    path, bundle, precision = subject.path, subject.bundle, _lower_precision([subject.path])
    texts.check(path, precision)
    declared = subject.asked or (None if bundle is None else bundle.task)
    checkpoint = load_checkpoint(against, task=None if declared is None else declared.name, seed=seed)
    model, task = checkpoint.model, subject.asked or checkpoint.task
    if precision is None:
        return check(
            path,
            model,
            task,
            seed=seed,
            outputs=subject.outputs,
            trials=True,
            ignore_padding=ignores_padding(path),
        )
    judge = float64_judge(model)
    if ignores_padding(path):
        judge = single_texts(judge, task)
    with tempfile.TemporaryDirectory() as folder:
        if bundle is None or bundle.tokenizer_path is None:
            texts = texts.of(checkpoint, Path(folder))
        is_random = checkpoint.folder is None
        return subject.measure(task, precision, texts, judge, is_random=is_random)


def _against_file(
    subject: _Subject, reference: Path, reference_bundle: Bundle | None, texts: _TextOptions, seed: int
) -> Verdict:
    path, bundle, precision = subject.path, subject.bundle, _lower_precision([subject.path, reference])
    texts.check(path, precision)
    task = subject.asked or _task_of_file(path, bundle)
    # Two files of a lower precision may be the same numbers; then no texts are needed.
    if precision is None or not texts.given:
        configs = [None if one is None else one.config for one in (bundle, reference_bundle)]
        verdict = check_files(path, reference, task, *configs, seed=seed, outputs=subject.outputs)
        if precision is None or verdict.passed:
            return verdict
    subject = replace(subject, bundle=bundle or reference_bundle)
    judge = _graph_runner(reference, task, outputs_of(reference, subject.outputs), in_float64=True)
    return subject.measure(task, precision, texts, judge, is_random=False)


@dataclass(frozen=True)
class _TextOptions:
    """The options for files of a lower precision."""

    min_agreement: float | None
    calibrate: str | Path | None
    tokenizer: str | Path | None

    @property
    def given(self) -> list[str]:
        """The options that are given."""
        values = {"--min-agreement": self.min_agreement, "--calibrate": self.calibrate, "--tokenizer": self.tokenizer}
        return [option for option, value in values.items() if value is not None]

    def check(self, path: Path, precision: str | None) -> None:
        """Raises UsageError for a value out of range, and for options that a float32 file has no use for."""
        if precision is None and self.given:
            raise UsageError(
                f"{self.given[0]} is for fp16 and int8 files, which are compared on texts; {path.name} is {FLOAT32}, "
                "which is compared on random inputs: leave it out"
            )
        if precision is not None:
            PrecisionOptions(precision, self.calibrate, (), self.min_agreement).check()

    def of(self, checkpoint: Checkpoint, folder: Path) -> _TextOptions:
        """Returns the options with the checkpoint's tokenizer, written to a folder, unless one was given."""
        config = checkpoint.config
        if self.tokenizer is not None or not write_tokenizer(
            checkpoint.folder, folder, config.vocab_size, config.max_position_embeddings
        ):
            return self
        return replace(self, tokenizer=folder / TOKENIZER)


@dataclass(frozen=True)
class _Subject:
    """The file under test.

    Args:
        path: The file.
        bundle: The bundle that it is in; None for a file on its own.
        asked: The task that was asked for.
        outputs: The file's names of the task's outputs; empty: by their names or shapes.
    """

    path: Path
    bundle: Bundle | None
    asked: Task | None
    outputs: tuple[str, ...]

    def measure(self, task: Task, precision: str, options: _TextOptions, judge: Runner, *, is_random: bool) -> Verdict:
        """Measures the file on the held-out texts, as the gate of `export` does."""
        model = read_text_model(
            self.path,
            self.bundle,
            purpose=f"{precision} files are compared on texts",
            task=task.name,
            outputs=self.outputs,
            tokenizer=options.tokenizer,
        )
        texts = read_texts(options.calibrate, model, VERIFICATION)
        opened = file_runner(self.path, task, outputs=self.outputs)
        taken, task = opened.inputs.names, without_missing(task, opened.session)
        held_out = [_as_taken(feed, taken) for feed in texts.held_out]
        minimum = MIN_AGREEMENT if options.min_agreement is None else options.min_agreement

        def damage_of(run: Runner) -> Damage:
            return measure_damage(
                judge,
                run,
                held_out,
                task,
                precision=precision,
                calibration=texts.source,
                min_agreement=minimum,
                binding=not (is_random or model.is_random),
                texts=texts.texts,
            )

        judge = answered(judge, task)
        run = _graph_runner(self.path, task, self.outputs)
        check_outputs(self.path, run(held_out[0]), judge(held_out[0]))
        damage = damage_of(run)
        if damage.nonfinite:
            bad = f"{' and '.join(damage.nonfinite)} {'is' if len(damage.nonfinite) == 1 else 'are'}"
            raise VerificationError(
                f"{self.path.name}: {bad} NaN or infinite on the held-out texts of {texts.source}; the judge's are "
                "finite, so that it is not the same model"
            )
        library = library_for(AUTO) if why_not_native(self.path) is None else None
        if library is not None:
            native = damage_of(file_runner(self.path, task, library, self.outputs).run)
            damage = damage.with_kernels(native)
        masks = [feed[MASK] for feed in held_out]
        return Verdict(
            error=damage.error,
            torch_error=None,
            agreement=damage.agreement,
            bar=math.inf,
            errors=damage.errors,
            lengths=sorted({mask.shape[-1] for mask in masks}),
            batches=sorted({mask.shape[0] for mask in masks}),
            tokens=damage.tokens,
            kernels_error=damage.kernels_error,
            padding=not all(mask.all() for mask in masks),
            not_compared=_left_out(self.path.name, taken, model),
            damage=damage,
            decisions=damage.decisions,
            cosines=damage.cosines,
        )


def _graph_runner(path: Path, task: Task, outputs: Sequence[str], *, in_float64: bool = False) -> Runner:
    """Returns a function that runs a file's graph, with transformers' names of inputs and the task's of outputs.

    Args:
        path: The file.
        task, outputs: Its task, and its names of the task's outputs.
        in_float64: Whether it runs in float64, as a judge, if it can; otherwise as hardware of its precision does.
    """
    opened = file_runner(path, task, outputs=outputs)
    ports, graph = ports_of(opened.session), read_model(path)
    if in_float64:
        graph, _ = compared_form(graph)  # float64 of the same weights in half precision
    rename_inputs(graph.graph)
    own = precision_of(graph)
    run: Runner | None = None

    def call(feed: Feed) -> dict[str, np.ndarray]:
        nonlocal run
        typed = opened.inputs.typed(feed)
        if run is None and in_float64:
            run, _ = float64_runner(graph, typed)
        elif run is None:
            run = runner(graph, optimized=True) if own == FLOAT32 else precision_runner(graph, own)
        return ports.named(run(typed))

    return call


def _as_taken(feed: Feed, names: Collection[str]) -> Feed:
    """Returns texts as a file reads them: without a mask all tokens are real, without token types all are 0."""
    found = dict(feed)
    if MASK not in names:
        found[MASK] = np.ones_like(feed[IDS])
    if TYPES not in names:
        found[TYPES] = np.zeros_like(feed[IDS])
    return found


def _left_out(name: str, taken: Collection[str], model: TextModel) -> list[str]:
    """Returns the inputs that could not be compared, a line each."""
    left_out = []
    if MASK not in taken:
        left_out.append(f"texts with padding: {name} takes no {MASK}")
    if TYPES not in taken and model.reader.segments != 1:
        left_out.append(f"pairs of texts: {name} takes no {TYPES}")
    return left_out


def _lower_precision(paths: Collection[Path]) -> str | None:
    """Returns the precision of the first file that is fp16 or int8; None where all are float32, or cannot be read."""
    for path in paths:
        try:
            found = precision_of(read_model(path))
        except GraphError:  # which onnxruntime does not load, either
            continue
        if found != FLOAT32:
            return found
    return None


def _task_of_file(path: Path, bundle: Bundle | None) -> Task:
    """Returns the bundle's task, or the first that has the file's outputs."""
    if bundle is not None:
        return bundle.task
    return answering(open_session(path), path.name, None, bundle, vocab_size=embedding_rows(path))[0]
