"""`export`: converts a checkpoint to a bundle, whose model file is verified before the bundle appears."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx_ir as ir

from graphs.errors import GraphError
from graphs.ledger import Outcome
from graphs.model.opsets import OLDEST_OPSET, check_opset
from graphs.pipeline import TARGETS, optimize
from graphs.reports.census import take_census
from mbert_onnx.bundles.inputs import Shapes
from mbert_onnx.bundles.model_file import TextModel, TextReader
from mbert_onnx.bundles.onnx_writer import save_model
from mbert_onnx.bundles.records import TOKENIZER, VARIANTS
from mbert_onnx.bundles.types import Progress
from mbert_onnx.bundles.writer import check_destination, writing
from mbert_onnx.conversion.comparison.padding import Padding, measure_padding, with_padding
from mbert_onnx.conversion.comparison.single_texts import single_texts
from mbert_onnx.conversion.damage import Damage
from mbert_onnx.conversion.optimizer import check_passes
from mbert_onnx.conversion.precision import Calibration, PrecisionOptions, precision_errors, read_texts
from mbert_onnx.conversion.precision_gate import PrecisionGate, check_is_lowered
from mbert_onnx.conversion.provenance import StageClock, sign, write_metadata
from mbert_onnx.conversion.reports import ExportReport, Verdict
from mbert_onnx.conversion.text_files.exported import plan_export, write_export
from mbert_onnx.conversion.text_files.plan import TextRequest
from mbert_onnx.conversion.tracing import trace
from mbert_onnx.conversion.verification.exported import verify_export
from mbert_onnx.conversion.verification.model_check import float64_judge, torch_runner
from mbert_onnx.errors import CheckpointError, MbertError, UsageError
from mbert_onnx.model.checkpoint import Checkpoint, load_checkpoint, write_config
from mbert_onnx.model.checkpoint_hashes import checkpoint_hashes
from mbert_onnx.model.checkpoint_tokenizer.check import embedding_notes
from mbert_onnx.model.padding import ignores_padding
from mbert_onnx.model.tokenizer_files import write_tokenizer
from mbert_onnx.model.torch_threads import idle_threads
from mbert_onnx.runtime.native_kernels import AUTO, library_for, why_not_native
from mbert_onnx.runtime.size_limits import MAX_BATCH, MAX_SEQ_LEN
from mbert_onnx.text.sentence_embedding import EmbeddingSettings
from mbert_onnx.text.tokenizer import padding_id

# Phones' providers want every size fixed. The default number of choices is that of SWAG, which defines the task.
MOBILE_CHOICES = 4

# A model of so few positions has a graph of that length only.
FEWEST_DYNAMIC = 2


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
    ignore_padding: bool = False,
    text: bool = False,
    text_pair: bool = False,
    progress: Progress | None = None,
) -> ExportReport:
    """Converts a PyTorch MobileBERT to a bundle: model file, config, tokenizer, and the record of its accuracy.

    Args:
        checkpoint: A folder in transformers' format, a hub id, or a built-in name such as `random`.
        output: The folder to write. Where it has other precisions of the same checkpoint, this one is added to them.
        task: A task's name or alias; default: what the checkpoint's `architectures` says.
        target: `cpu`; `mobile`: fixed shapes and int32 inputs, as phones' providers need them; `web`.
        seq_len: Fixes the length, 1 to the model's positions. `mobile` needs it.
        batch: Fixes the batch, 1 to 1,024; default: dynamic; 1 for `mobile`.
        choices: Fixes the number of choices, 1 to 1,024 (multiple choice only); default: dynamic; 4 for `mobile`.
        precision: `fp32`; `fp16`; or `int8`: weights and embeddings of 8 bits, activations quantized dynamically or,
            for `mobile`, with static scales.
        calibrate: Texts, some for choosing fp16 or int8, the others for measuring its accuracy loss: lines, TSV,
            JSONL, or SQuAD's JSON; default: built-in sentences.
        keep_float: Layers that stay float32, such as `layer.3`, `embeddings` or `head`.
        min_agreement: The smallest share of decisions in which fp16 or int8 agrees with float64; default 0.99. With
            random weights the argmax is unstable: for those it is reported, and nothing is refused.
        opset: 18 to the newest that the installed onnxruntime runs.
        functions: Whether blocks become operators of the domain `mbert`, with standard bodies; never for `mobile`.
        only: Names of the graph passes that run; default: all.
        skip: Names of the graph passes that do not run.
        overwrite: Replace this precision if it is there, or a bundle of another checkpoint. Files that export did not
            write stay.
        seed: Seed of random weights and of the inputs for verification.
        kernels: Whether the file is verified with the native kernels, too: `auto`, if they are there; `native`, or
            an error; `portable`, without.
        ignore_padding: Whether the graph reads zeros in place of the embeddings of padding, so that an answer is the
            checkpoint's for the text alone, whatever the text is padded with.
        text: Whether a text file is written beside the model file: UTF-8 bytes in, the task's answer out.
        text_pair: The same, for a text classification that reads pairs of texts.
        progress: Called with a line at the start of each stage.

    Raises:
        UsageError: an option is out of range, or options do not go together.
        CheckpointError: the checkpoint cannot be read, or is not a MobileBERT.
        VerificationError: the file does not compute what the model computes; nothing is written.
        PrecisionError: a lower precision loses too much accuracy, or cannot hold the model; nothing is written.
        CalibrationError: the texts cannot be used.
        BundleError: the folder exists or cannot be written.
        graphs.errors.GraphError: the tokenizer cannot be in a text file; nothing is written.
    """
    request = _Request(
        checkpoint,
        task=task,
        target=target,
        seq_len=seq_len,
        batch=batch,
        choices=choices,
        precision=PrecisionOptions(precision, calibrate, keep_float, min_agreement),
        opset=opset,
        functions=functions,
        only=only,
        skip=skip,
        seed=seed,
        ignore_padding=ignore_padding,
        text=TextRequest(text, text_pair),
    )
    request.check()
    library, output, has_text = library_for(kernels), Path(output), request.text.wanted
    check_destination(output, overwrite, precision, text=has_text)

    clock = StageClock(progress)
    source = _read(request, clock)
    with idle_threads(), writing(output, overwrite, precision, text=has_text) as staged:
        folder = staged.folder
        notes = [*source.checkpoint.notes, *_add_tokenizer(source, folder)]
        hashes = checkpoint_hashes(source.checkpoint, list(folder.iterdir()), source.embedding)
        check_destination(output, overwrite, precision, hashes, text=has_text)
        plan = plan_export(request.text, source.checkpoint, _text_model(source, folder).reader, source.embedding)
        notes += [] if plan is None else plan.notes
        write_config(source.checkpoint, folder)
        texts = _read_texts(request, source, folder, clock)
        padding = _padding(request, source, texts, folder, clock)
        notes += padding.notes()
        graph = _trace(request, source, clock)
        gate = None if texts is None else _gate(request, source, texts, graph)
        outcome = _optimize(request, graph, texts, clock)
        file = _write(outcome.model, request, source, folder, clock)

        clock.start("verify", "verifying against float64")
        if why_not_native(file) is not None:
            library = None  # there is no block that the kernels compute
        verdict: Verdict | Damage
        if gate is None:
            verdict = verify_export(file, source.checkpoint, seed=seed, library=library, ignore_padding=ignore_padding)
        else:
            verdict, gate_notes = gate.check(outcome, file, library)
            notes += gate_notes
        text_file = None
        if plan is not None:
            clock.start("text", "writing the text file, and comparing its tokens")
            native = library_for(kernels)
            text_file = write_export(
                plan, source.checkpoint, source.embedding, folder, request.precision, native, seed
            ).moved(output)

        clock.start("finish", "finishing")
        census = take_census(file)
        clock.stop()
        report = ExportReport(
            path=output,
            model=output / VARIANTS[precision],
            task=source.checkpoint.task.name,
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
            padding=padding,
            text=text_file,
        )
        write_metadata(folder, report, source.checkpoint, hashes, source.shapes, seed, source.embedding)
    return replace(
        report,
        removed=staged.removed,
        outdated=staged.outdated,
        left_alone=staged.left_alone,
        beside=staged.beside,
    )


@dataclass(frozen=True)
class _Request:
    """The options of `export`, except for the output."""

    checkpoint: str | Path
    task: str | None
    target: str
    seq_len: int | None
    batch: int | None
    choices: int | None
    precision: PrecisionOptions
    opset: int
    functions: bool
    only: Collection[str] | None
    skip: Collection[str]
    seed: int
    ignore_padding: bool
    text: TextRequest

    def check(self) -> None:
        """Raises UsageError for what is wrong whatever the checkpoint is."""
        if self.target not in TARGETS:
            raise UsageError(f"--target is {self.target!r}; expected one of {', '.join(TARGETS)}")
        for option, value, most in (
            ("--seq-len", self.seq_len, MAX_SEQ_LEN),
            ("--batch", self.batch, MAX_BATCH),
            ("--choices", self.choices, MAX_BATCH),
        ):
            if value is not None and not 1 <= value <= most:
                raise UsageError(f"{option} is {value}; expected 1 to {most:,}")
        if self.target == "mobile" and self.seq_len is None:
            raise UsageError(
                "--target mobile needs a fixed length, since phones' providers do; pass --seq-len, such as 128"
            )
        try:
            check_opset(self.opset)
        except GraphError as error:
            raise UsageError(str(error)) from error
        self.precision.check()
        check_passes(self.only, self.skip)

    def shapes(self, checkpoint: Checkpoint) -> Shapes:
        """Returns the sizes of the graph's inputs. Raises UsageError for sizes that the checkpoint does not have."""
        longest, task = checkpoint.config.max_position_embeddings, checkpoint.task
        if self.seq_len is not None and self.seq_len > longest:
            raise UsageError(
                f"--seq-len is {self.seq_len}; {checkpoint.name} has {longest} positions: pass at most {longest}"
            )
        if self.choices is not None and not task.has_choices:
            raise UsageError(f"--choices is for multiple-choice; {checkpoint.name} is {task.name}: leave it out")
        if self.target != "mobile":
            # torch.export traces a length from 2 on, and has none to choose from where 2 is the largest.
            fixed = longest if longest <= FEWEST_DYNAMIC else None
            return Shapes(self.batch, self.seq_len or fixed, self.choices)
        choices = (self.choices or MOBILE_CHOICES) if task.has_choices else None
        return Shapes(self.batch or 1, self.seq_len, choices, int32=True)


@dataclass(frozen=True)
class _Source:
    """The checkpoint as it was read, the sizes of the graph's inputs, and how sentence-transformers embeds with it."""

    checkpoint: Checkpoint
    shapes: Shapes
    embedding: EmbeddingSettings | None


def _read(request: _Request, clock: StageClock) -> _Source:
    clock.start("read", f"reading {request.checkpoint}")
    checkpoint = load_checkpoint(request.checkpoint, task=request.task, seed=request.seed)
    shapes = request.shapes(checkpoint)
    embedding, notes = checkpoint.sentence_embedding()
    if embedding is not None and shapes.seq_len is not None and shapes.seq_len < embedding.max_seq_length:
        notes.append(f"texts are cut at {shapes.seq_len} tokens (--seq-len), and not at {embedding.max_seq_length}")
    checkpoint.notes.extend(notes)
    segments = checkpoint.config.type_vocab_size
    request.text.check(checkpoint.task, checkpoint.name, segments=segments, batch=request.batch)
    return _Source(checkpoint, shapes, embedding)


def _add_tokenizer(source: _Source, folder: Path) -> list[str]:
    """Writes the tokenizer's files; returns notes about tokens without embedding, or that the checkpoint has none."""
    config = source.checkpoint.config
    if write_tokenizer(source.checkpoint.folder, folder, config.vocab_size, config.max_position_embeddings):
        return embedding_notes(folder / TOKENIZER, config.vocab_size, source.checkpoint.name)
    return ["the checkpoint has no tokenizer, so `run` cannot read text: put a tokenizer.json beside config.json"]


def _read_texts(request: _Request, source: _Source, folder: Path, clock: StageClock) -> Calibration | None:
    """Returns the texts for a lower precision; None for fp32."""
    options = request.precision
    if not options.is_lower:
        return None
    clock.start("texts", "reading calibration texts")
    if not (folder / TOKENIZER).is_file():
        raise CheckpointError(
            f"{request.checkpoint} has no tokenizer, and --precision {options.precision} is chosen on texts; put the "
            "checkpoint's tokenizer.json beside its config.json"
        )
    return read_texts(options.calibrate, _text_model(source, folder))


def _text_model(source: _Source, folder: Path) -> TextModel:
    """Returns what texts are read with: the checkpoint, and the tokenizer in the bundle."""
    checkpoint = source.checkpoint
    config = checkpoint.config
    reader = TextReader(
        checkpoint.task,
        folder / TOKENIZER,
        config.vocab_size,
        config.max_position_embeddings,
        config.type_vocab_size,
    )
    return TextModel(checkpoint.name, source.shapes, reader, is_random=checkpoint.folder is None)


def _padding(request: _Request, source: _Source, texts: Calibration | None, folder: Path, clock: StageClock) -> Padding:
    """Measures the effect of padding in the checkpoint, where its embedding is not zero."""
    checkpoint, shapes = source.checkpoint, source.shapes
    config, task = checkpoint.config, checkpoint.task
    tokenizer = folder / TOKENIZER
    token = padding_id(tokenizer if tokenizer.is_file() else None, config.pad_token_id)
    if ignores_padding(checkpoint.model, token):
        return Padding(request.ignore_padding, True)
    clock.start("padding", "measuring the effect of padding")
    if texts is None:
        try:
            texts = read_texts(None, _text_model(source, folder))
        except MbertError:  # no tokenizer, or one of another language
            return Padding(request.ignore_padding, False)
    feeds = list(with_padding(texts.fit, token, config.max_position_embeddings, fixed=shapes.seq_len is not None))
    run = torch_runner(checkpoint.model)
    effect = measure_padding(run, single_texts(run, task), feeds, task, texts.source)
    return Padding(request.ignore_padding, False, effect)


def _trace(request: _Request, source: _Source, clock: StageClock) -> ir.Model:
    clock.start("trace", "tracing with torch.export")
    checkpoint, ignore = source.checkpoint, request.ignore_padding
    # Steps that are chosen at run time depend on all tokens, padding included.
    dynamic = request.precision.precision == "int8" and request.target != "mobile"
    return trace(
        checkpoint.model, checkpoint.task, source.shapes, ignore_padding=ignore, repeat_first=ignore and dynamic
    )


def _gate(request: _Request, source: _Source, texts: Calibration, graph: ir.Model) -> PrecisionGate:
    """Returns the gate whose judge is the checkpoint in torch's float64."""
    checkpoint = source.checkpoint
    judge = float64_judge(checkpoint.model)
    return PrecisionGate(
        name=str(request.checkpoint),
        task=checkpoint.task,
        target=request.target,
        options=request.precision,
        texts=texts,
        float32=graph.clone(),
        judge=single_texts(judge, checkpoint.task) if request.ignore_padding else judge,
        binding=checkpoint.folder is not None,
    )


def _optimize(request: _Request, graph: ir.Model, texts: Calibration | None, clock: StageClock) -> Outcome:
    clock.start("optimize", f"removing NoNorm, merging GEMMs ({graph.graph.num_nodes():,} nodes)")
    # Weights that overflow do not pass verification.
    precision = request.precision
    with np.errstate(over="ignore"), precision_errors(precision.precision):
        outcome = optimize(
            graph,
            target=request.target,
            precision=precision.precision,
            calibration=() if texts is None else texts.fit,
            keep_float=precision.keep_float,
            opset=request.opset,
            functions=request.functions,
            only=request.only,
            skip=request.skip,
            refuse=False,  # the file is verified against torch
        )
    if precision.is_lower:
        check_is_lowered(outcome.model, precision.precision, str(request.checkpoint))
    return outcome


def _write(model: ir.Model, request: _Request, source: _Source, folder: Path, clock: StageClock) -> Path:
    """Writes the model file into the bundle; returns its path."""
    clock.start("write", "writing")
    file = folder / VARIANTS[request.precision.precision]
    file.parent.mkdir()
    sign(model, source.checkpoint.task.name, ignores_padding=request.ignore_padding)
    save_model(model, file)
    return file
