"""Command `run`: a bundle answers a text."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

import mbert_onnx
from mbert_onnx.cli.options import Json, Kernels
from mbert_onnx.runtime.size_limits import MAX_THREADS

# As in mbert_onnx.runtime.entities, which loads numpy.
AGGREGATIONS = ("none", "simple", "first", "max")
STANDARD_INPUT = "-"


def run(
    bundle: Annotated[
        str, typer.Argument(metavar="MODEL", help="A bundle, an .onnx file in one, or the built-in model reference.")
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
