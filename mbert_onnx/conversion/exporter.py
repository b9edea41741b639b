"""`export`: a checkpoint becomes a bundle whose `.onnx` is verified before it is there."""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from graphs.errors import GraphError
from graphs.lowering.bit_search import Plan
from graphs.model.opsets import OLDEST_OPSET, check_opset
from graphs.pipeline import TARGETS, Entry, Outcome, optimize
from graphs.reports.census import Census, take_census
from mbert_onnx import __version__
from mbert_onnx.bundles.inputs import Shapes
from mbert_onnx.bundles.model_file import TextModel
from mbert_onnx.bundles.reader import METADATA, TOKENIZER, VARIANTS
from mbert_onnx.bundles.writer import check_destination, writing
from mbert_onnx.conversion.damage import Damage
from mbert_onnx.conversion.optimizer import check_passes
from mbert_onnx.conversion.precision import (
    Calibration,
    check_precision,
    check_written,
    damage_of,
    read_texts,
    refuse_damage,
    refusing,
)
from mbert_onnx.conversion.tracing import trace
from mbert_onnx.conversion.verification import Verdict, check, file_runner, run_torch
from mbert_onnx.errors import CheckpointError, UsageError, VerificationError
from mbert_onnx.model.checkpoint import Checkpoint, load_checkpoint
from mbert_onnx.model.tokenizer_files import write_tokenizer
from mbert_onnx.runtime.native_kernels import AUTO, library_for

# The version of `mbert_onnx.json`.
METADATA_SCHEMA = 1

# Phones want every size fixed: how many choices, where nobody says (SWAG, which defines the task, has 4).
MOBILE_CHOICES = 4

# What versions are recorded.
PACKAGES = ("mbert-onnx", "torch", "transformers", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "numpy")


@dataclass(frozen=True)
class ExportReport:
    """What `export` did.

    Args:
        path: The bundle.
        model: The `.onnx` in it.
        precision: `fp32`, `fp16` or `int8`.
        verdict: What verification measured; of a lower precision, what it costs.
        census: What the graph consists of.
        ledger: What each pass did, in order.
        restarts: Streams that had to be rescaled or written out on the way; 0 where all of NoNorm is gone.
        plan: Of int8 for phones, how many bits activations have, and how that was found; else None.
        seconds: What each stage took.
        notes: What a user should know, a line each.
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


def export(
    checkpoint: str | Path,
    output: str | Path,
    *,
    task: str | None = None,
    target: str = "cpu",
    seq_len: int | None = None,
    batch: int | None = None,
    choices: int | None = None,
    precision: str = "fp32",
    calibrate: str | Path | None = None,
    keep_float: Sequence[str] = (),
    min_agreement: float | None = None,
    opset: int = OLDEST_OPSET,
    functions: bool = True,
    only: Collection[str] | None = None,
    skip: Collection[str] = (),
    overwrite: bool = False,
    seed: int = 0,
    kernels: str = AUTO,
    progress: Callable[[str], None] | None = None,
) -> ExportReport:
    """Turns a PyTorch MobileBERT into a bundle: `.onnx`, config, tokenizer, and what was measured.

    Args:
        checkpoint: A folder in transformers' format, a hub id, or a built-in name such as `random`.
        output: The folder to write.
        task: A task's name or alias; default: what the checkpoint's `architectures` says.
        target: `cpu`; `mobile`: fixed shapes and int32 inputs, as phones' providers want them; `web`.
        seq_len: Fixes the length, 1 to the model's positions. `mobile` needs it.
        batch: Fixes the batch; default: dynamic; 1 for `mobile`.
        choices: Fixes the number of choices (multiple choice only); default: dynamic; 4 for `mobile`.
        precision: `fp32`; `fp16`; or `int8`: weights and embeddings of 8 bits, activations quantized as they come or,
            for `mobile`, with steps that are chosen beforehand.
        calibrate: Texts on which fp16 or int8 is chosen, and others on which its damage is measured: lines, TSV, JSONL,
            or SQuAD's JSON; default: built-in sentences.
        keep_float: Layers that stay float32, such as `layer.3`, `embeddings` or `head`.
        min_agreement: The share of decisions that fp16 or int8 must make as float64 does; default 0.99. Random models'
            decisions hang on a hair: for those it is told, and nothing is refused.
        opset: 18 to the newest that the installed onnxruntime runs.
        functions: Whether blocks become operators of the domain `mbert`, with standard bodies; never for `mobile`.
        only, skip: Names of the graph passes that run, or do not; default: all.
        overwrite: Replace a bundle that is there.
        seed: Of the random models' weights and of verification's inputs.
        kernels: Whether the file is verified with our native kernels, too: `auto`, where they are there; `native`, or
            an error; `portable`, without.
        progress: Called with a line at the start of each stage.

    Raises:
        UsageError: an option that cannot be meant.
        CheckpointError: a checkpoint that cannot be read, or is no MobileBERT.
        VerificationError: the file does not say the same as the model; nothing is written.
        PrecisionError: a lower precision does too much damage, or cannot hold the model; nothing is written.
        CalibrationError: the texts cannot be used.
        BundleError: the folder exists or cannot be written.
    """
    output = Path(output)
    _check_options(target, seq_len, batch, choices, opset)
    check_precision(precision, calibrate, keep_float, min_agreement)
    check_passes(only, skip)
    library = library_for(kernels)
    check_destination(output, overwrite)
    clock = _Clock(progress)

    clock.start("read", f"reading {checkpoint}")
    loaded = load_checkpoint(checkpoint, task=task, seed=seed)
    shapes = _shapes(loaded, target, seq_len, batch, choices)
    with writing(output, overwrite) as folder:
        notes = list(loaded.notes)
        config = loaded.config
        has_tokenizer = write_tokenizer(loaded.folder, folder, config.vocab_size, config.max_position_embeddings)
        if not has_tokenizer:
            notes.append(
                "the checkpoint has no tokenizer, so `run` cannot read text: put a tokenizer.json beside config.json"
            )
        texts = None
        if precision != "fp32":
            clock.start("texts", "reading calibration texts")
            if not has_tokenizer:
                raise CheckpointError(
                    f"{checkpoint} has no tokenizer, and --precision {precision} is chosen on texts; put the "
                    "checkpoint's tokenizer.json beside its config.json"
                )
            texts = _texts(calibrate, loaded, shapes, folder / TOKENIZER)
            notes += texts.notes
        clock.start("trace", "tracing with torch.export")
        graph = trace(loaded.model, loaded.task, shapes)
        traced = graph.clone() if texts is not None else None
        clock.start("optimize", f"removing NoNorm, merging GEMMs ({graph.graph.num_nodes():,} nodes)")
        with np.errstate(over="ignore"):  # weights that overflow do not pass verification
            outcome = _optimized(
                graph, precision, texts, keep_float, target, opset, functions=functions, only=only, skip=skip
            )
        clock.start("write", "writing")
        file = folder / VARIANTS[precision]
        file.parent.mkdir()
        ir.save(_finished(outcome.model, loaded), file)
        clock.start("verify", "verifying against float64")
        verdict: Verdict | Damage
        if precision == "fp16" or not outcome.model.functions:
            library = None  # there is no block that the kernels compute
        if texts is None:
            verdict = _verify(file, loaded, checkpoint, seed, library)
        else:
            verdict = _damage(outcome.model, precision, loaded, texts, min_agreement, keep_float, file, library)
            assert traced is not None
            notes += refuse_damage(verdict, str(checkpoint), traced, texts, target=target, plan=outcome.plan)
            check_written(file, texts.held_out[0])
        clock.start("finish", "finishing")
        census = take_census(file)
        config.save_pretrained(folder)
        clock.stop()
        report = ExportReport(
            path=output,
            model=output / VARIANTS[precision],
            task=loaded.task.name,
            target=target,
            opset=opset,
            precision=precision,
            verdict=verdict,
            census=census,
            ledger=outcome.ledger,
            restarts=outcome.restarts,
            plan=outcome.plan,
            seconds=clock.seconds,
            notes=notes,
        )
        text = json.dumps(_metadata(report, loaded, shapes, seed), indent=2, ensure_ascii=False)
        (folder / METADATA).write_text(text + "\n", encoding="utf-8")
    return report


def _optimized(
    graph: ir.Model,
    precision: str,
    texts: Calibration | None,
    keep_float: Sequence[str],
    target: str,
    opset: int,
    *,
    functions: bool,
    only: Collection[str] | None,
    skip: Collection[str],
) -> Outcome:
    with refusing(precision):
        return optimize(
            graph,
            target=target,
            precision=precision,
            calibration=() if texts is None else texts.fit,
            keep_float=keep_float,
            opset=opset,
            functions=functions,
            only=only,
            skip=skip,
            refuse=False,  # the file is verified below, against torch
        )


def _texts(calibrate: str | Path | None, checkpoint: Checkpoint, shapes: Shapes, tokenizer: Path) -> Calibration:
    config = checkpoint.config
    model = TextModel(
        name=checkpoint.name,
        task=checkpoint.task,
        shapes=shapes,
        tokenizer=tokenizer,
        vocab_size=config.vocab_size,
        max_positions=config.max_position_embeddings,
        is_random=checkpoint.folder is None,
    )
    return read_texts(calibrate, model)


def _verify(file: Path, loaded: Checkpoint, checkpoint: str | Path, seed: int, library: Path | None) -> Verdict:
    """Raises where the file does not say the same as the model, by itself or with the library of kernels."""
    verdict = check(file, loaded.model, loaded.task, seed=seed, library=library)
    if verdict.torch_error is not None and math.isnan(verdict.torch_error):
        raise CheckpointError(
            f"{checkpoint}: its outputs are NaN or infinite in torch's float32, too, so nothing is written; "
            "train or convert it again"
        )
    if not verdict.passed:
        raise VerificationError(f"{checkpoint}: the graph is not the same as the model, nothing is written: {verdict}")
    return verdict


def _damage(
    model: ir.Model,
    precision: str,
    checkpoint: Checkpoint,
    texts: Calibration,
    min_agreement: float | None,
    keep_float: Sequence[str],
    file: Path,
    library: Path | None,
) -> Damage:
    wide = checkpoint.model.double()
    return damage_of(
        model,
        lambda feed: run_torch(wide, {name: ids.astype(np.int64) for name, ids in feed.items()}),
        texts,
        checkpoint.task,
        precision=precision,
        min_agreement=min_agreement,
        keep_float=keep_float,
        binding=checkpoint.folder is not None,
        kernels=None if library is None else file_runner(file, checkpoint.task, library)[0],
    )


def _check_options(target: str, seq_len: int | None, batch: int | None, choices: int | None, opset: int) -> None:
    if target not in TARGETS:
        raise UsageError(f"--target is {target!r}; expected one of {', '.join(TARGETS)}")
    for option, value in (("--seq-len", seq_len), ("--batch", batch), ("--choices", choices)):
        if value is not None and value < 1:
            raise UsageError(f"{option} is {value}; expected at least 1")
    if target == "mobile" and seq_len is None:
        raise UsageError(
            "--target mobile needs a fixed length, since phones' providers do; pass --seq-len, such as 128"
        )
    try:
        check_opset(opset)
    except GraphError as error:
        raise UsageError(str(error)) from error


def _shapes(checkpoint: Checkpoint, target: str, seq_len: int | None, batch: int | None, choices: int | None) -> Shapes:
    longest = checkpoint.config.max_position_embeddings
    if seq_len is not None and seq_len > longest:
        raise UsageError(f"--seq-len is {seq_len}; {checkpoint.name} has {longest} positions: pass at most {longest}")
    if choices is not None and not checkpoint.task.has_choices:
        raise UsageError(f"--choices is for multiple-choice; {checkpoint.name} is {checkpoint.task.name}: leave it out")
    if target != "mobile":
        return Shapes(batch, seq_len, choices)
    fixed_choices = (choices or MOBILE_CHOICES) if checkpoint.task.has_choices else None
    return Shapes(batch or 1, seq_len, fixed_choices, int32=True)


def _finished(model: ir.Model, checkpoint: Checkpoint) -> ir.Model:
    """The model as it is saved: with its makers' names."""
    model.producer_name, model.producer_version = "mbert-onnx", __version__
    model.metadata_props.update({"task": checkpoint.task.name})
    return model


def _metadata(report: ExportReport, checkpoint: Checkpoint, shapes: Shapes, seed: int) -> dict[str, Any]:
    """The text of `mbert_onnx.json`."""
    return {
        "schema": METADATA_SCHEMA,
        "task": report.task,
        # A folder's path says where it was on one machine; its name, what it is.
        "checkpoint": checkpoint.name if checkpoint.folder is None else Path(checkpoint.name).name,
        "seed": seed,
        "target": report.target,
        "opset": report.opset,
        "precision": report.precision,
        "shapes": {"batch": shapes.batch, "choices": shapes.choices, "sequence": shapes.seq_len},
        "passes": [asdict(entry) for entry in report.ledger],
        "restarts": report.restarts,
        "activations": None if report.plan is None else report.plan.as_dict(),
        "verification": report.verdict.as_dict(),
        "graph": report.census.as_dict(),
        "notes": report.notes,
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


class _Clock:
    """Tells stages as they start, and keeps what they took."""

    def __init__(self, progress: Callable[[str], None] | None) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}
        self._stage: str | None = None
        self._since = 0.0

    def start(self, stage: str, line: str) -> None:
        self.stop()
        self._stage, self._since = stage, time.perf_counter()
        if self.progress is not None:
            self.progress(line)

    def stop(self) -> None:
        if self._stage is not None:
            self.seconds[self._stage] = round(time.perf_counter() - self._since, 2)
        self._stage = None
