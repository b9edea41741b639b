"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
