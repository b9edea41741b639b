"""The command line: options and printing over the functions of the API, which do the work and are loaded when used."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

import mbert_onnx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from mbert_onnx.printing import Progress

INTERRUPTED = 130
TERMINATED = 128 + signal.SIGTERM

app = typer.Typer(
    name="mbert-onnx",
    help="MobileBERT in production: a PyTorch checkpoint becomes a verified, fast .onnx, and is measured and run.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _in_one_line(command: Callable[..., None]) -> Callable[..., None]:
    """What a user can mend becomes one line and exit code 1 or 2; an interrupt exits with 130."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()  # here, where a closed pipe is no surprise
        except KeyboardInterrupt:
            _fail("interrupted; nothing half-written is left", INTERRUPTED)
        except BrokenPipeError:
            # The reader, such as `head`, has seen enough; nothing may write to the closed pipe at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except Exception as error:
            # The errors of our three packages carry their exit code. Any other is a mistake of ours, and shows where.
            if not isinstance(getattr(error, "exit_code", None), int) or isinstance(error, typer.Exit):
                raise
            _fail(str(error), error.exit_code)  # type: ignore[attr-defined]

    return wrapped


def _fail(line: str, code: int) -> NoReturn:
    print(f"mbert-onnx: {line}", file=sys.stderr)
    raise typer.Exit(code)


Task = Annotated[
    str | None,
    typer.Option(help="The task, such as question-answering or text-classification. Default: the checkpoint's own."),
]
Seed = Annotated[int, typer.Option(min=0, help="The seed of inputs, and of the weights of the built-in random models.")]
Kernels = Annotated[
    str,
    typer.Option(
        help="auto computes blocks by the native kernels where they are there; native insists on them; portable does "
        "without."
    ),
]
Target = Annotated[str, typer.Option(help="What it is for: cpu, mobile or web.")]
Functions = Annotated[
    bool,
    typer.Option(
        "--functions/--no-functions",
        help="Whether blocks become operators of the domain mbert, whose bodies are standard ONNX. mobile has none.",
    ),
]
Only = Annotated[list[str] | None, typer.Option(help="Run this pass alone; several with commas, or given repeatedly.")]
Skip = Annotated[list[str] | None, typer.Option(help="Do not run this pass; several likewise.")]
Explain = Annotated[bool, typer.Option("--explain", help="Tell for each block that a pass left alone, where and why.")]
Precision = Annotated[
    str,
    typer.Option(
        help="fp32; fp16; or int8: weights of 8 bits, activations quantized as they come; for mobile, by known steps."
    ),
]
Calibrate = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Texts on which fp16 or int8 is chosen, and others to measure its damage on: lines, TSV, JSONL, or "
        "SQuAD's JSON. Default: built-in sentences.",
    ),
]
KeepFloat = Annotated[
    list[str] | None,
    typer.Option(help="Let this layer stay float32, such as layer.3, embeddings or head; several with commas."),
]
MinAgreement = Annotated[
    float | None,
    typer.Option(help="Refuse fp16 or int8 that makes fewer decisions than this as float64 does. Default: 0.99."),
]
TokenizerFile = Annotated[
    Path | None,
    typer.Option(
        "--tokenizer",
        metavar="FILE_OR_FOLDER",
        help="The tokenizer.json that reads texts for an .onnx file. Default: its bundle's.",
    ),
]
FileTask = Annotated[
    str | None, typer.Option(help="What an .onnx file answers. Default: what its bundle or its outputs say.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    if version:
        print(f"mbert-onnx {mbert_onnx.__version__}")
        raise typer.Exit


@app.command()
@_in_one_line
def export(
    checkpoint: Annotated[
        str, typer.Argument(help="A folder in transformers' format, a hub id, or the built-in random or random:tiny.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")],
    task: Task = None,
    target: Annotated[
        str, typer.Option(help="What it is for: cpu, mobile (fixed shapes, int32 inputs) or web.")
    ] = "cpu",
    seq_len: Annotated[int | None, typer.Option(help="Fix the length in tokens. Default: dynamic.")] = None,
    batch: Annotated[int | None, typer.Option(help="Fix the batch. Default: dynamic; 1 for mobile.")] = None,
    choices: Annotated[
        int | None, typer.Option(help="Fix the number of choices of multiple-choice. Default: dynamic; 4 for mobile.")
    ] = None,
    precision: Precision = "fp32",
    calibrate: Calibrate = None,
    keep_float: KeepFloat = None,
    min_agreement: MinAgreement = None,
    opset: Annotated[int, typer.Option(help="The opset, from 18 to the newest that onnxruntime runs here.")] = 18,
    functions: Functions = True,
    only: Only = None,
    skip: Skip = None,
    explain: Explain = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that is there.")] = False,
    seed: Seed = 0,
    kernels: Kernels = "auto",
    as_json: Json = False,
) -> None:
    """Turn a PyTorch MobileBERT into a bundle with a verified .onnx."""
    with _progress() as progress:
        report = mbert_onnx.export(
            checkpoint,
            output,
            task=task,
            target=target,
            seq_len=seq_len,
            batch=batch,
            choices=choices,
            precision=precision,
            calibrate=calibrate,
            keep_float=_names(keep_float) or (),
            min_agreement=min_agreement,
            opset=opset,
            functions=functions,
            only=_names(only),
            skip=_names(skip) or (),
            overwrite=overwrite,
            seed=seed,
            kernels=kernels,
            progress=progress,
        )
    from mbert_onnx.printing import print_export

    if as_json:
        print((report.path / "mbert_onnx.json").read_text(encoding="utf-8"), end="")
    else:
        print_export(report, explain)


@app.command()
@_in_one_line
def optimize(
    file: Annotated[
        str, typer.Argument(help="An .onnx file of anybody's MobileBERT, of opset 11 or newer; or a bundle.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .onnx file to write.")],
    target: Target = "cpu",
    precision: Precision = "fp32",
    calibrate: Calibrate = None,
    keep_float: KeepFloat = None,
    min_agreement: MinAgreement = None,
    tokenizer: TokenizerFile = None,
    task: FileTask = None,
    opset: Annotated[
        int | None, typer.Option(help="The opset to write. Default: the file's, 18 at least if anything is rewritten.")
    ] = None,
    functions: Functions = True,
    only: Only = None,
    skip: Skip = None,
    explain: Explain = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    as_json: Json = False,
) -> None:
    """Make anybody's .onnx of a MobileBERT fast: no NoNorm, fewer GEMMs, fused blocks. The result is checked."""
    with _progress() as progress:
        progress(f"optimizing {file}")
        report = mbert_onnx.optimize(
            file,
            output,
            target=target,
            precision=precision,
            calibrate=calibrate,
            keep_float=_names(keep_float) or (),
            min_agreement=min_agreement,
            tokenizer=tokenizer,
            task=task,
            opset=opset,
            functions=functions,
            only=_names(only),
            skip=_names(skip) or (),
            overwrite=overwrite,
        )
    from mbert_onnx.printing import print_optimize

    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print_optimize(report, explain)


@app.command()
@_in_one_line
def doctor(
    model: Annotated[
        str, typer.Argument(help="A bundle, an .onnx file of anybody's, or a checkpoint, which is traced first.")
    ],
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Texts to measure it on: lines, TSV, JSONL, or SQuAD's JSON. Default: built-in sentences.",
        ),
    ] = None,
    tokenizer: TokenizerFile = None,
    task: FileTask = None,
    seed: Seed = 0,
    show_all: Annotated[bool, typer.Option("--all", help="Print every tensor, not a line for each layer.")] = False,
    provider: Annotated[
        str | None,
        typer.Option(
            help="Tell instead which nodes these execution providers would take, why not the others, and what helps: "
            "names with commas, or all."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell where numbers are too large or too small for fp16 and int8, and what rescaling makes of them."""
    if provider is not None:
        for name, given in {"--calibrate": calibrate, "--tokenizer": tokenizer, "--all": show_all or None}.items():
            if given is not None:
                raise mbert_onnx.UsageError(f"{name} is given, and --provider, which reads no texts; pass one of both")
        _doctor_providers(model, provider, task, seed, as_json)
        return
    with _progress() as progress:
        found = mbert_onnx.doctor(
            model, calibrate=calibrate, tokenizer=tokenizer, task=task, seed=seed, progress=progress
        )
    from mbert_onnx.printing import print_diagnosis

    if as_json:
        print(json.dumps(found.as_dict(), indent=2))
    else:
        print_diagnosis(found, show_all)


def _doctor_providers(model: str, provider: str, task: str | None, seed: int, as_json: bool) -> None:
    from mbert_onnx.printing import print_forecasts

    with _progress() as progress:
        found = mbert_onnx.doctor_provider(model, provider, task=task, seed=seed, progress=progress)
    if as_json:
        print(json.dumps([one.as_dict() for one in found], indent=2))
    else:
        print_forecasts(found)


@app.command()
@_in_one_line
def passes(as_json: Json = False) -> None:
    """List the graph passes, in the order in which they run."""
    from mbert_onnx.printing import print_passes

    stages = mbert_onnx.passes()
    if as_json:
        fields = ("name", "summary", "why", "targets")
        print(json.dumps([{field: getattr(stage, field) for field in fields} for stage in stages], indent=2))
    else:
        print_passes(stages)


@app.command()
@_in_one_line
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
    with _progress() as progress:
        report = mbert_onnx.bench(
            models,
            provider=provider,
            seq_lens=None if seq_len is None else _numbers("--seq-len", seq_len),
            batch=batch,
            threads=_numbers("--threads", threads),
            task=task,
            precision=precision,
            budget=budget,
            seed=seed,
            kernels=kernels,
            profile=profile,
            device=device,
            command=command,
            json=json_file,
            progress=progress,
        )
    from mbert_onnx.printing import print_bench

    print_bench(report, markdown)
    if report.interrupted:
        _fail("interrupted; what was measured until then is above", INTERRUPTED)
    if report.failures:
        raise typer.Exit(1)


@app.command()
@_in_one_line
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
    from mbert_onnx.printing import print_bench, print_comparison

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
    with _progress() as progress:
        report = mbert_onnx.bench_emulated(
            models,
            seq_lens=None if seq_len is None else _numbers("--seq-len", seq_len),
            batch=batch,
            task=task,
            seed=seed,
            kernels="native" if provider == "cpu+native" else kernels,
            json=json_file,
            progress=progress,
            command=command,
        )
    from mbert_onnx.printing import print_bench_emulated

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
    lengths = [384] if seq_len is None else _numbers("--seq-len", seq_len)
    if len(lengths) > 1:
        raise mbert_onnx.UsageError(
            f"--seq-len is {seq_len}; expected one length with --texts, to which they are padded"
        )
    with _progress() as progress:
        report = mbert_onnx.bench_texts(
            models,
            texts,
            first=first,
            seq_len=lengths[0],
            provider=provider,
            threads=_numbers("--threads", threads)[0],
            task=task,
            seed=seed,
            kernels=kernels,
            json=json_file,
            progress=progress,
        )
    from mbert_onnx.printing import print_bench_texts

    print_bench_texts(report)


@app.command()
@_in_one_line
def run(
    bundle: Annotated[str, typer.Argument(help="A bundle, or an .onnx file inside one.")],
    text: Annotated[str, typer.Argument(help="The text, or the question; - reads it from standard input.")],
    context: Annotated[str | None, typer.Option(help="Question answering: where the answer is to be found.")] = None,
    pair: Annotated[str | None, typer.Option(help="The second text, for classification and next sentence.")] = None,
    choice: Annotated[
        list[str] | None, typer.Option(help="Multiple choice: one choice; give it several times.")
    ] = None,
    top_k: Annotated[int | None, typer.Option(help="How many answers, labels or words to give.")] = None,
    threads: Annotated[int | None, typer.Option(help="Number of threads. Default: onnxruntime's.")] = None,
    kernels: Kernels = "auto",
    as_json: Json = False,
) -> None:
    """Text in, answer out, without torch."""
    from mbert_onnx.printing import print_answer

    text = sys.stdin.read().rstrip("\r\n") if text == "-" else text
    options: dict[str, Any] = {"context": context, "pair": pair, "choices": choice or None, "top_k": top_k}
    print_answer(mbert_onnx.run(bundle, text, threads=threads, kernels=kernels, **options), as_json)


@app.command()
@_in_one_line
def kernels(as_json: Json = False) -> None:
    """Tell where the library of native kernels is, and the instruction set that it uses here."""
    found = mbert_onnx.kernels()
    if as_json:
        print(json.dumps(found.as_dict(), indent=2))
        return
    print(f"library          {found.library or 'none: files run by their own function bodies'}")
    if found.library is not None:
        print(f"instruction set  {found.instruction_set}")
        print(f"here             {', '.join(name for name, is_here in found.instruction_sets.items() if is_here)}")
        print(f"not here         {', '.join(name for name, is_here in found.instruction_sets.items() if not is_here)}")


@app.command()
@_in_one_line
def providers(as_json: Json = False) -> None:
    """List the execution providers: which are usable here, why the others are not, what each wants of a model."""
    from mbert_onnx.printing import print_providers

    found = mbert_onnx.providers()
    if as_json:
        print(json.dumps([item.as_dict() for item in found], indent=2))
    else:
        print_providers(found)


@app.command()
@_in_one_line
def inspect(
    file: Annotated[str, typer.Argument(help="A bundle, or an .onnx file of anybody's.")],
    seq_len: Annotated[int, typer.Option(help="The length for which operations and memory are counted.")] = 128,
    as_json: Json = False,
) -> None:
    """Tell a model's inputs, outputs, parameters, nodes, operations and memory."""
    from mbert_onnx.printing import print_census

    census = mbert_onnx.inspect(file, seq_len=seq_len)
    if as_json:
        print(json.dumps(census.as_dict(), indent=2))
    else:
        print_census(census)


@app.command()
@_in_one_line
def verify(
    file: Annotated[str, typer.Argument(help="A bundle, or an .onnx file of anybody's.")],
    against: Annotated[
        str, typer.Option(help="A checkpoint, which judges in float64; or another bundle or .onnx file.")
    ],
    task: Task = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Check that a file says the same as a checkpoint or another file; exit 1 if it does not."""
    with _progress() as progress:
        progress(f"comparing with {against}")
        verdict = mbert_onnx.verify(file, against, task=task, seed=seed)
    if as_json:
        print(json.dumps(verdict.as_dict(), indent=2))
    else:
        print(f"{'the same model' if verdict.passed else 'NOT the same model'}: {verdict}")
    if not verdict.passed:
        raise typer.Exit(1)


def _names(values: list[str] | None) -> list[str] | None:
    return None if values is None else [name for value in values for name in value.split(",") if name]


def _numbers(option: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise mbert_onnx.UsageError(f"{option} is {text!r}; expected whole numbers with commas, such as 8,32") from None


@contextmanager
def _progress() -> Iterator[Progress]:
    from mbert_onnx.printing import progress

    with progress() as told:
        yield told


def main() -> None:
    """Runs the command line."""
    signal.signal(signal.SIGTERM, _terminate)
    # Where a terminal has no → it shows a question mark, and where text is no valid Unicode, `run` says so.
    for stream, errors in ((sys.stdout, "replace"), (sys.stderr, "replace"), (sys.stdin, "surrogateescape")):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=errors)
    app()


def _terminate(_signal: int, _frame: FrameType | None) -> Any:
    # As an exception, so that temporary folders are removed on the way out.
    raise SystemExit(TERMINATED)


if __name__ == "__main__":
    main()
