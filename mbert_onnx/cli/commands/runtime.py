"""Command `run`: a bundle answers a text."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

import mbert_onnx
from mbert_onnx.cli.options import Json, Kernels


def run(
    bundle: Annotated[
        str, typer.Argument(metavar="MODEL", help="A bundle, an .onnx file in one, or the built-in model reference.")
    ],
    text: Annotated[
        str,
        typer.Argument(metavar="TEXT", help="The text, the question or the prompt; - reads it from standard input."),
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
            metavar="N",
            help="Number of answers, labels or words to print. Default: 1 answer, all labels, 5 words for a mask.",
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="Number of threads, 1 to 1024. Default: onnxruntime's choice.")
    ] = None,
    kernels: Kernels = "auto",
    as_json: Json = False,
) -> None:
    """Run a bundle on a text and print its answer. Needs no torch."""
    from mbert_onnx.cli.printing.runtime import print_answer

    text = sys.stdin.read().rstrip("\r\n") if text == "-" else text
    options: dict[str, Any] = {"context": context, "pair": pair, "choices": choice or None, "top_k": top_k}
    print_answer(mbert_onnx.run(bundle, text, threads=threads, kernels=kernels, **options), as_json)
