"""Options that several commands share, and parsers of options that are lists."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import mbert_onnx

# Titles of the groups of options in --help; what has none stands under "Options".
SHAPE_GROUP = "Fixed shapes"
PRECISION_GROUP = "Lower precision"
PASSES_GROUP = "Graph passes"
TEXT_GROUP = "Text in, answer out"

TARGETS = "cpu|mobile|web"

# torch's largest seed that is an int64.
MAX_SEED = 2**63 - 1

Task = Annotated[
    str | None,
    typer.Option(
        metavar="TASK",
        help="The task: question-answering, text-classification, token-classification, fill-mask, multiple-choice, "
        "next-sentence-prediction, pretraining, feature-extraction or sentence-similarity. Default: the task in the "
        "checkpoint's config.",
    ),
]
FileTask = Annotated[
    str | None,
    typer.Option(
        metavar="TASK",
        help="The task, such as question-answering. Default: the one in the bundle or the config, or the one that the "
        "outputs of the .onnx file fit.",
    ),
]
FileOutputs = Annotated[
    list[str] | None,
    typer.Option(
        "--outputs",
        metavar="NAME,...",
        help="The .onnx file's names of the task's outputs, in the task's order, such as linear_62,clone_73 for start "
        "and end logits. Default: the task's own names, or else the first outputs of their shapes.",
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        min=0,
        max=MAX_SEED,
        metavar="N",
        help="Seed of the random inputs, and of the weights of the built-in random models.",
    ),
]
WeightsSeed = Annotated[
    int,
    typer.Option(min=0, max=MAX_SEED, metavar="N", help="Seed of the weights of the built-in random models."),
]
Kernels = Annotated[
    str,
    typer.Option(
        metavar="auto|native|portable",
        help="Native kernels: auto uses them if they are installed and can run the file; native requires them; "
        "portable never uses them.",
    ),
]
Functions = Annotated[
    bool,
    typer.Option(
        "--functions/--no-functions",
        rich_help_panel=PASSES_GROUP,
        help="Write fused blocks as operators of the domain mbert, whose bodies are standard ONNX, or write standard "
        "nodes only. The target mobile has standard nodes only. The tokenizer and the answer of a text file are "
        "functions in any case.",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PASS,...",
        rich_help_panel=PASSES_GROUP,
        help="Run these passes and no others; may be repeated. `mbert-onnx passes` lists them. Default: all.",
    ),
]
Skip = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PASS,...", rich_help_panel=PASSES_GROUP, help="Skip these passes; may be repeated. Default: none."
    ),
]
Explain = Annotated[
    bool,
    typer.Option(
        "--explain",
        rich_help_panel=PASSES_GROUP,
        help="Print each block that a pass did not rewrite, with the node and the reason.",
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        metavar="fp32|fp16|int8",
        rich_help_panel=PRECISION_GROUP,
        help="Precision of the file. int8 has 8-bit weights; its activations are quantized at run time, or, for the "
        "target mobile, with scales measured on the calibration texts.",
    ),
]
Calibrate = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        rich_help_panel=PRECISION_GROUP,
        help="Texts for fp16 or int8, a part to choose scales on and a part to measure the accuracy loss on: .txt "
        "(one text a line), .tsv, .csv, .jsonl, or SQuAD's .json. Default: built-in sentences.",
    ),
]
KeepFloat = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LAYER,...",
        rich_help_panel=PRECISION_GROUP,
        help="Keep these layers in float32, such as layer.3, embeddings or head; may be repeated. Default: none.",
    ),
]
MinAgreement = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        rich_help_panel=PRECISION_GROUP,
        help="Smallest share of decisions, 0 to 1, in which fp16 or int8 must agree with float64, or smallest mean "
        "cosine of sentence embeddings; with less, nothing is written. Default: 0.99.",
    ),
]
TokenizerFile = Annotated[
    Path | None,
    typer.Option(
        "--tokenizer",
        metavar="FILE_OR_FOLDER",
        help="The tokenizer.json for an .onnx file, or the folder that it is in. Default: the bundle's.",
    ),
]
Text = Annotated[
    bool,
    typer.Option(
        "--text",
        rich_help_panel=TEXT_GROUP,
        help="Write a text file: the tokenizer and the task's answer are inside, so that it takes UTF-8 text and "
        "returns labels, spans, words or vectors. export writes it beside the model file.",
    ),
]
TextPair = Annotated[
    bool,
    typer.Option(
        "--text-pair",
        rich_help_panel=TEXT_GROUP,
        help="The same, for a text-classification that reads pairs of texts.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def names(values: list[str] | None) -> list[str] | None:
    """Splits the values of an option that takes names with commas, and may be repeated."""
    return None if values is None else [name for value in values for part in value.split(",") if (name := part.strip())]


def numbers(option: str, text: str) -> list[int]:
    """Parses whole numbers with commas. Raises UsageError, which names the option, for anything else."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise mbert_onnx.UsageError(f"{option} is {text!r}; expected whole numbers with commas, such as 8,32") from None
