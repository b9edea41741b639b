"""`run`: a text in, an answer out."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

import mbert_onnx
from mbert_onnx.cli.options import Json, Kernels


def run(
    bundle: Annotated[str, typer.Argument(help="A bundle, an .onnx file inside one, or the built-in reference.")],
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
    from mbert_onnx.cli.printing import print_answer

    text = sys.stdin.read().rstrip("\r\n") if text == "-" else text
    options: dict[str, Any] = {"context": context, "pair": pair, "choices": choice or None, "top_k": top_k}
    print_answer(mbert_onnx.run(bundle, text, threads=threads, kernels=kernels, **options), as_json)
