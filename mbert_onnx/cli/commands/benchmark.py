"""`bench` and `report`: commands that measure, and show what was measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

import mbert_onnx
from mbert_onnx.cli.errors import INTERRUPTED, fail, numbers, progress
from mbert_onnx.cli.options import Kernels, Seed, Task


def bench(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Bundles, .onnx files, checkpoints (exported first), or transformers:CHECKPOINT for transformers' own "
            "export of it, litert:, litert-int8:, executorch:, ncnn:, torch: and torch-compile:CHECKPOINT for others' "
            "of it, each in an environment of its own; "
            "int8:, fp16:, mobile:, mobile-int8: or mobile-fp16:CHECKPOINT for ours at that precision, "
            "mobile with a file for each length. optimized:, onnxslim: and ort-transformers:MODEL are what optimize, "
            "onnxslim and onnxruntime.transformers make of a model; ort-dynamic:MODEL what onnxruntime's "
            "quantize_dynamic does, optimum-PRESET:MODEL optimum with arm64, avx2, avx512, avx512_vnni, ppc64le or "
            "tensorrt; "
            "openvino:, openvino-bf16: and openvino-int8:MODEL (by NNCF), each also with -fixed (shapes), mnn:, iree: "
            "and tvm:MODEL run in these. native:MODEL and portable:MODEL are a model with our native kernels and "
            "without. All are compared with the first.",
        ),
    ],
    provider: Annotated[str, typer.Option(help="The execution provider; `mbert-onnx providers` lists them.")] = "cpu",
    seq_len: Annotated[
        str | None,
        typer.Option(help="Lengths in tokens, with commas. Default: 8,32,128,384, or a model's fixed length."),
    ] = None,
    batch: Annotated[int, typer.Option(help="Texts per run.")] = 1,
    threads: Annotated[str, typer.Option(help="Numbers of threads, with commas.")] = "1,2",
    task: Task = None,
    precision: Annotated[
        float, typer.Option(help="Stop when every median's 95 % interval is within this share of it.")
    ] = 0.02,
    budget: Annotated[
        float, typer.Option(help="Or after this many seconds for each length and number of threads.")
    ] = 10,
    seed: Seed = 0,
    kernels: Kernels = "auto",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report with all raw times here.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
    texts: Annotated[
        Path | None,
        typer.Option(
            help="Time the texts of this file instead (as --calibrate takes them), at their own lengths and padded to "
            "--seq-len (default 384), with the first of --threads."
        ),
    ] = None,
    first: Annotated[int, typer.Option(help="How many texts of that file.")] = 200,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile", help="Measure what this machine can do at most, and where each model's time goes, too."
        ),
    ] = False,
    device: Annotated[
        str,
        typer.Option(
            help="Where: local; ssh://USER@HOST:PORT/PYTHON (all but HOST may be left out), another machine, to which "
            "models and, unless it is there, this package are taken; "
            "or emulated-arm64: what models say on aarch64 under qemu-user, and in how many instructions, no times."
        ),
    ] = "local",
) -> None:
    """Time models in turns, and compare each with the first. Exits with 1 if one could not be timed."""
    command = ["mbert-onnx", *sys.argv[1:]]
    if device != "local" and texts is not None:
        raise mbert_onnx.UsageError(f"--device is {device}, and --texts is given, which is for local; pass one of both")
    if device == "emulated-arm64":
        _bench_emulated(models, provider, seq_len, batch, task, seed, kernels, json_file, markdown or profile, command)
        return
    if texts is not None:
        _bench_texts(models, texts, first, provider, seq_len, threads, task, seed, kernels, json_file)
        return
    with progress() as told:
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
            device=device,
            command=command,
            json=json_file,
            progress=told,
        )
    from mbert_onnx.cli.printing import print_bench

    print_bench(report, markdown)
    if report.interrupted:
        fail("interrupted; what was measured until then is above", INTERRUPTED)
    if report.failures:
        raise typer.Exit(1)


def report(
    results: Annotated[list[Path], typer.Argument(metavar="RESULT...", help="Files that bench --json has written.")],
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Compare two, an old one and a new one; exit 1 if anything became slower."),
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write one self-contained page with plots instead.")
    ] = None,
    quality: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="For the page: a figure of quality for each model, JSON or a table of tabs."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw latency against length alone, as .png or .svg.")
    ] = None,
) -> None:
    """Print reports of bench again, compare two of them, or make a page of them."""
    from mbert_onnx.cli.printing import print_bench, print_comparison

    pictures = {"--html": html, "--quality": quality, "--plot": plot}
    asked = [name for name, path in pictures.items() if path is not None]
    if asked and (compare or markdown):
        raise mbert_onnx.UsageError(f"{asked[0]} is given, and --compare or --markdown; expected one of them")
    if quality is not None and html is None:
        raise mbert_onnx.UsageError("--quality is given without --html, the page that it is for; pass both")
    if html is not None or plot is not None:
        if html is not None:
            mbert_onnx.write_html(results, html, quality=quality, command=["mbert-onnx", *sys.argv[1:]])
            print(html)
        if plot is not None:
            mbert_onnx.write_plot(results, plot)
            print(plot)
        return
    if not compare:
        for read in [mbert_onnx.read_report(path) for path in results]:
            print_bench(read, markdown)
        return
    if len(results) != 2 or markdown:
        found = "--markdown" if markdown else f"{len(results)} file{'s' if len(results) > 1 else ''}"
        raise mbert_onnx.UsageError(f"--compare has {found}; expected two files, OLD.json NEW.json, and a table")
    comparison = mbert_onnx.compare(*results)
    print_comparison(comparison)
    if comparison.slower:
        raise typer.Exit(1)


def _bench_emulated(
    models: list[str],
    provider: str,
    seq_len: str | None,
    batch: int,
    task: str | None,
    seed: int,
    kernels: str,
    json_file: Path | None,
    other_output: bool,
    command: list[str],
) -> None:
    if provider not in ("cpu", "cpu+native"):
        raise mbert_onnx.UsageError(f"--provider is {provider}; emulated-arm64 has cpu and cpu+native alone")
    if other_output:
        raise mbert_onnx.UsageError("emulated-arm64 has no --markdown and no --profile; leave them out")
    with progress() as told:
        report = mbert_onnx.bench_emulated(
            models,
            seq_lens=None if seq_len is None else numbers("--seq-len", seq_len),
            batch=batch,
            task=task,
            seed=seed,
            kernels="native" if provider == "cpu+native" else kernels,
            json=json_file,
            progress=told,
            command=command,
        )
    from mbert_onnx.cli.printing import print_bench_emulated

    print_bench_emulated(report)
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
    lengths = [384] if seq_len is None else numbers("--seq-len", seq_len)
    if len(lengths) > 1:
        raise mbert_onnx.UsageError(
            f"--seq-len is {seq_len}; expected one length with --texts, to which they are padded"
        )
    with progress() as told:
        report = mbert_onnx.bench_texts(
            models,
            texts,
            first=first,
            seq_len=lengths[0],
            provider=provider,
            threads=numbers("--threads", threads)[0],
            task=task,
            seed=seed,
            kernels=kernels,
            json=json_file,
            progress=told,
        )
    from mbert_onnx.cli.printing import print_bench_texts

    print_bench_texts(report)
