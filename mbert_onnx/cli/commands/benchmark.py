"""Command `bench`: measures models."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import mbert_onnx
from mbert_onnx.benchmark.models.prefixes import help_lines
from mbert_onnx.cli.errors import fail
from mbert_onnx.cli.options import Kernels, Seed, Task, numbers
from mbert_onnx.cli.printing.progress import progress
from mbert_onnx.cli.signals import INTERRUPTED
from mbert_onnx.runtime.size_limits import MAX_BATCH, MAX_TEXTS

# Titles of the groups of options in --help.
MEASUREMENT_GROUP, TEXTS_GROUP, MACHINE_GROUP, OUTPUT_GROUP = "Measurement", "Real texts", "Machine", "Output"

# Options that do not apply to `--device emulated-arm64`, to `--texts`, and without `--texts` or `--throughput`, by
# parameter.
NOT_FOR_EMULATED = ("threads", "precision", "budget", "profile", "markdown", "ragged", "throughput")
NOT_FOR_TEXTS = ("batch", "precision", "budget", "profile", "markdown", "ragged")
ONLY_FOR_TEXTS = ("first",)
ONLY_FOR_THROUGHPUT = ("run_tokens", "workers")
FIRST, FIRST_FOR_THROUGHPUT = 200, 1000

# The name of the source of a parameter that the command line has.
GIVEN = "COMMANDLINE"

# An empty line between two paragraphs: typer prints each on a line of its own.
MODEL_HELP = "\n\n".join(
    [
        "Models to time; every other one is compared with the first. A MODEL is a bundle, an .onnx file, a checkpoint "
        "(a folder, a hub id, or a built-in name such as random; it is exported first), or one of these:",
        *help_lines(),
        "The packages of other runtimes are installed into Python environments of their own, in the user's cache, when "
        "they are first needed.",
    ]
)


def bench(
    context: typer.Context,
    models: Annotated[list[str], typer.Argument(metavar="MODEL", help=MODEL_HELP)],
    provider: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The execution provider that runs the models; `mbert-onnx providers` lists them.",
            rich_help_panel=MACHINE_GROUP,
        ),
    ] = "cpu",
    seq_len: Annotated[
        str | None,
        typer.Option(
            metavar="N,...",
            help="Lengths of the texts, in tokens. Default: 8,32,128,384; for a model of fixed shape, its length; with "
            "--texts, 384; with --ragged, its longest. Lengths that a model does not take are left out.",
            rich_help_panel=MEASUREMENT_GROUP,
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option(min=1, max=MAX_BATCH, metavar="N", help="Texts per run.", rich_help_panel=MEASUREMENT_GROUP)
    ] = 1,
    ragged: Annotated[
        str | None,
        typer.Option(
            metavar="N,...",
            help="Also time one batch of texts of these lengths in tokens, padded to the longest, and the same texts "
            "one by one. Models that take no such batch, for example those of fixed length, are left out of it.",
            rich_help_panel=MEASUREMENT_GROUP,
        ),
    ] = None,
    threads: Annotated[
        str,
        typer.Option(
            metavar="N,...",
            help="Numbers of threads, 1 to 1024; each is timed with each length.",
            rich_help_panel=MEASUREMENT_GROUP,
        ),
    ] = "1,2",
    task: Task = None,
    precision: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Stop when the 95 % confidence interval of every median is within ± this share of it: 0.02 is ±2 %.",
            rich_help_panel=MEASUREMENT_GROUP,
        ),
    ] = 0.02,
    budget: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="Stop a length and number of threads after this time in timed rounds, of which at least 12 are run. "
            "Loading, warm-up and repeats of disturbed repetitions are not counted. At most 86400.",
            rich_help_panel=MEASUREMENT_GROUP,
        ),
    ] = 10,
    seed: Seed = 0,
    kernels: Kernels = "auto",
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="FILE",
            help="Write the report, with every raw time, as JSON.",
            rich_help_panel=OUTPUT_GROUP,
        ),
    ] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the tables as Markdown.", rich_help_panel=OUTPUT_GROUP)
    ] = False,
    texts: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Time the texts of this file instead of random ids: at their own lengths, and padded to --seq-len. "
            "Formats: those of export --calibrate. With one number of threads: by default 1.",
            rich_help_panel=TEXTS_GROUP,
        ),
    ] = None,
    first: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_TEXTS,
            metavar="N",
            help=f"Use only the first N texts of --texts. Default: {FIRST}; with --throughput {FIRST_FOR_THROUGHPUT}.",
            rich_help_panel=TEXTS_GROUP,
        ),
    ] = None,
    throughput: Annotated[
        bool,
        typer.Option(
            "--throughput",
            help="Measure how many texts of --texts are read, answered in batches and written in a second, as predict "
            "does it. Every model has the same tokenizer, batches and output.",
            rich_help_panel=TEXTS_GROUP,
        ),
    ] = False,
    run_tokens: Annotated[
        str | None,
        typer.Option(
            metavar="N,...",
            help="With --throughput: tokens of a run, padding included; each number is timed. 1 runs each text alone.",
            rich_help_panel=TEXTS_GROUP,
        ),
    ] = None,
    workers: Annotated[
        str,
        typer.Option(
            metavar="N,...",
            help="With --throughput: numbers of worker processes; each is timed.",
            rich_help_panel=TEXTS_GROUP,
        ),
    ] = "1",
    profile: Annotated[
        bool,
        typer.Option(
            "--profile",
            help="Also measure the peak speed of this machine's arithmetic and memory, and each model's time in "
            "embeddings, attention, FFN (or both of all layers, where one kernel computes them) and the rest.",
            rich_help_panel=MEASUREMENT_GROUP,
        ),
    ] = False,
    device: Annotated[
        str,
        typer.Option(
            metavar="DEVICE",
            help="The machine that runs the models: local; ssh://USER@HOST:PORT/PYTHON, another machine (only HOST is "
            "required), to which models and, if needed, this package are copied; or emulated-arm64, aarch64 under "
            "qemu-user, which reports outputs and instruction counts instead of times.",
            rich_help_panel=MACHINE_GROUP,
        ),
    ] = "local",
) -> None:
    """Time models in turns, and compare each with the first. Exits with 1 if one fails or gives NaN."""
    command = ["mbert-onnx", *sys.argv[1:]]
    if device != "local" and texts is not None:
        raise mbert_onnx.UsageError(f"--device is {device}, and --texts is given, which is for local; pass one of them")
    if device == "emulated-arm64":
        _refuse_given(context, NOT_FOR_EMULATED, "with --device emulated-arm64, which does not time models")
        _bench_emulated(models, provider, seq_len, batch, task, seed, kernels, json_file, command)
        return
    if not throughput:
        _refuse_given(context, ONLY_FOR_THROUGHPUT, "without --throughput, which has batches and workers")
    if texts is None:
        if throughput:
            raise mbert_onnx.UsageError("--throughput is given without --texts; name the file of the texts")
        _refuse_given(context, ONLY_FOR_TEXTS, "without --texts, whose texts it counts")
    else:
        if "," in threads and _is_given(context, "threads"):
            raise mbert_onnx.UsageError(f"--threads is {threads}; expected one number with --texts")
        if throughput:
            _refuse_given(context, NOT_FOR_TEXTS, "with --throughput, which has batches of its own")
            tokens = None if run_tokens is None else numbers("--run-tokens", run_tokens)
            _bench_throughput(
                models,
                texts,
                first or FIRST_FOR_THROUGHPUT,
                tokens,
                numbers("--workers", workers),
                provider,
                seq_len,
                threads,
                task,
                seed,
                kernels,
                json_file,
            )
            return
        _refuse_given(context, NOT_FOR_TEXTS, "with --texts, which times one text after the other")
        _bench_texts(models, texts, first or FIRST, provider, seq_len, threads, task, seed, kernels, json_file)
        return
    with progress() as report_progress:
        report = mbert_onnx.bench(
            models,
            provider=provider,
            seq_lens=None if seq_len is None else numbers("--seq-len", seq_len),
            batch=batch,
            threads=numbers("--threads", threads),
            task=task,
            precision=precision,
            budget=budget,
            seed=seed,
            kernels=kernels,
            profile=profile,
            ragged=None if ragged is None else numbers("--ragged", ragged),
            device=device,
            command=command,
            json=json_file,
            progress=report_progress,
        )
    from mbert_onnx.cli.printing.benchmark import print_bench

    print_bench(report, markdown)
    if report.interrupted:
        fail("interrupted; the measurements until then are above", INTERRUPTED)
    _refuse_broken(report.broken)
    if report.failures:
        raise typer.Exit(1)


def _refuse_given(context: typer.Context, parameters: Sequence[str], where: str) -> None:
    """Raises UsageError if one of these options was given on the command line, where it would have no effect."""
    given = [f"--{name.replace('_', '-')}" for name in parameters if _is_given(context, name)]
    if given:
        are, them = ("are", "them") if len(given) > 1 else ("is", "it")
        raise mbert_onnx.UsageError(f"{' and '.join(given)} {are} given {where}; leave {them} out")


def _is_given(context: typer.Context, parameter: str) -> bool:
    source = context.get_parameter_source(parameter)
    return source is not None and source.name == GIVEN


def _refuse_broken(names: Sequence[str]) -> None:
    """Exits with 1 if outputs of a model are NaN or infinite, since its times are no valid result."""
    if names:
        fail(f"{', '.join(names)}: outputs are NaN or infinite, see above; these times are no valid result", 1)


def _bench_emulated(
    models: list[str],
    provider: str,
    seq_len: str | None,
    batch: int,
    task: str | None,
    seed: int,
    kernels: str,
    json_file: Path | None,
    command: list[str],
) -> None:
    if provider not in ("cpu", "cpu+native"):
        raise mbert_onnx.UsageError(f"--provider is {provider}; --device emulated-arm64 has only cpu and cpu+native")
    with progress() as report_progress:
        report = mbert_onnx.bench_emulated(
            models,
            seq_lens=None if seq_len is None else numbers("--seq-len", seq_len),
            batch=batch,
            task=task,
            seed=seed,
            kernels="native" if provider == "cpu+native" else kernels,
            json=json_file,
            progress=report_progress,
            command=command,
        )
    from mbert_onnx.cli.printing.benchmark import print_bench_emulated

    print_bench_emulated(report)
    _refuse_broken(report.broken)
    if report.failures:
        raise typer.Exit(1)


def _bench_texts(
    models: list[str],
    texts: Path,
    first: int,
    provider: str,
    seq_len: str | None,
    threads: str,
    task: str | None,
    seed: int,
    kernels: str,
    json_file: Path | None,
) -> None:
    with progress() as report_progress:
        report = mbert_onnx.bench_texts(
            models,
            texts,
            first=first,
            seq_len=_one_length(seq_len),
            provider=provider,
            threads=numbers("--threads", threads)[0],
            task=task,
            seed=seed,
            kernels=kernels,
            json=json_file,
            progress=report_progress,
        )
    from mbert_onnx.cli.printing.benchmark import print_bench_texts

    print_bench_texts(report)
    _refuse_broken(report.broken)


def _one_length(seq_len: str | None) -> int | None:
    """Returns the length of `--seq-len` with `--texts`. Raises UsageError for several."""
    lengths: list[int] | list[None] = [None] if seq_len is None else numbers("--seq-len", seq_len)
    if len(lengths) > 1:
        raise mbert_onnx.UsageError(
            f"--seq-len is {seq_len}; expected one length with --texts, to which the texts are padded"
        )
    return lengths[0]


def _bench_throughput(
    models: list[str],
    texts: Path,
    first: int,
    run_tokens: list[int] | None,
    workers: list[int],
    provider: str,
    seq_len: str | None,
    threads: str,
    task: str | None,
    seed: int,
    kernels: str,
    json_file: Path | None,
) -> None:
    with progress() as report_progress:
        report = mbert_onnx.bench_throughput(
            models,
            texts,
            first=first,
            run_tokens=run_tokens,
            workers=workers,
            provider=provider,
            seq_len=_one_length(seq_len),
            threads=numbers("--threads", threads)[0],
            task=task,
            seed=seed,
            kernels=kernels,
            json=json_file,
            progress=report_progress,
        )
    from mbert_onnx.cli.printing.benchmark import print_bench_throughput

    print_bench_throughput(report)
