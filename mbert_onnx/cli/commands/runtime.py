"""Commands `run` and `app`: a bundle answers a text, here or in a browser."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import mbert_onnx
from mbert_onnx.cli.options import Json, Kernels
from mbert_onnx.runtime.size_limits import MAX_THREADS

# As in mbert_onnx.runtime.entities, which loads numpy.
AGGREGATIONS = ("none", "simple", "first", "max")
STANDARD_INPUT = "-"
KINDS_OF_APPS = ("web",)
# As in mbert_onnx.runtime.web.app.page_runtime, which loads onnx.
WEB_RUNTIMES = ("mbert-onnx", "onnxruntime")


def run(
    bundle: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A bundle, an .onnx file in one, or a built-in model: reference, reference:embed."
        ),
    ],
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            help="The text, the question or the prompt. Here or in --context, --pair or one --choice, - reads standard "
            "input.",
        ),
    ],
    context: Annotated[
        str | None, typer.Option(metavar="TEXT", help="question-answering: the text that holds the answer.")
    ] = None,
    pair: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="text-classification, next-sentence-prediction: the second text."),
    ] = None,
    choice: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="multiple-choice: one choice; repeat it for each choice.")
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Number of answers, labels or words to print. Default: 1 answer, all labels, 5 words for a mask.",
        ),
    ] = None,
    max_answer_len: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="question-answering: longest answer, in tokens. Default: 15."),
    ] = None,
    no_answer: Annotated[
        bool,
        typer.Option("--no-answer", help="question-answering: the answer may be that the context has none."),
    ] = False,
    aggregation: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(AGGREGATIONS),
            help="token-classification: every token, groups of tokens, or groups of words with the label of their "
            "first token or of their most probable one. Default: simple.",
        ),
    ] = None,
    normalize: Annotated[
        bool, typer.Option("--normalize", help="feature-extraction: scale the embedding to length 1.")
    ] = False,
    threads: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_THREADS, metavar="N", help="Number of threads. Default: onnxruntime's choice."),
    ] = None,
    kernels: Kernels = "auto",
    as_json: Json = False,
) -> None:
    """Run a bundle on a text and print its answer. Needs no torch."""
    from mbert_onnx.cli.printing.runtime import print_answer

    texts: dict[str, list[Any]] = {"TEXT": [text], "--context": [context], "--pair": [pair], "--choice": choice or []}
    [text], [context], [pair], choices = _with_standard_input(texts).values()
    options: dict[str, Any] = {
        "context": context,
        "pair": pair,
        "choices": choices or None,
        "top_k": top_k,
        "max_answer_len": max_answer_len,
        "handle_impossible_answer": no_answer or None,
        "aggregation": aggregation,
        "normalize": normalize or None,
    }
    print_answer(mbert_onnx.run(bundle, text, threads=threads, kernels=kernels, **options), as_json)


def app(
    kind: Annotated[str, typer.Argument(metavar="|".join(KINDS_OF_APPS), help="The kind of app: a page for browsers.")],
    bundle: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A bundle with a text file, which `export --text` writes, or the path of a text file. Of several in a "
            "bundle, int8 is taken first, then fp32.",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="The folder to write.")],
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The heading of the page. Default: the task in words.")
    ] = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(WEB_RUNTIMES),
            help="What runs the model in the browser: mbert-onnx-web, a part of this package, or onnxruntime-web. "
            "Default: mbert-onnx; onnxruntime for a file that it does not run.",
        ),
    ] = None,
    onnxruntime_web: Annotated[
        Path | None,
        typer.Option(
            "--onnxruntime-web",
            metavar="FILE_OR_FOLDER",
            help="--runtime onnxruntime: the npm package onnxruntime-web, unpacked or as .tgz. Default: the one in "
            "node_modules here or in a folder above, or else fetched by npm.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the app in the folder; other files in it stay.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write a static web page that runs a bundle in the browser, offline too.

    The page, the model and its runtime are in one folder, for any static host.
    """
    from mbert_onnx.cli.printing.runtime import print_app
    from mbert_onnx.runtime.web.app.writing import write_app

    if kind not in KINDS_OF_APPS:
        raise mbert_onnx.UsageError(f"the kind of app is {kind!r}; expected web")
    report = write_app(
        bundle, output, title=title, runtime=runtime, onnxruntime_web=onnxruntime_web, overwrite=overwrite
    )
    if as_json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        print_app(report)


def _with_standard_input(given: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Replaces the one text that is `-` by standard input, without the newline at its end.

    Raises UsageError if there are several, because standard input can be read only once.
    """
    read = [option for option, texts in given.items() for text in texts if text == STANDARD_INPUT]
    if len(read) > 1:
        raise mbert_onnx.UsageError(f"{' and '.join(read)} are both -; expected one, since standard input is read once")
    if not read:
        return given
    content = sys.stdin.read().rstrip("\r\n")
    return {option: [content if text == STANDARD_INPUT else text for text in texts] for option, texts in given.items()}
