"""Command `report`: prints, compares or plots the measurements of `bench`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

import mbert_onnx


def report(
    results: Annotated[list[Path], typer.Argument(metavar="RESULT", help="JSON files that bench --json has written.")],
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Compare two files, OLD.json NEW.json: faster, slower, or no significant difference, for each model, "
            "length and number of threads. Exits with 1 if anything became slower.",
        ),
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write one self-contained HTML page with plots instead of printing the tables."
        ),
    ] = None,
    quality: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Show quality against latency, depth and size, too: what evaluate --json has written, or a JSON or "
            "tab-separated file with one number for each model. The page of --html has a section of it, --plot has it "
            "instead of latency alone. May be repeated.",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Metric of the evaluations in --quality, such as accuracy. May be repeated. Default: the first.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write a plot of latency against length, .png or .svg, instead of printing the tables."
        ),
    ] = None,
) -> None:
    """Print the tables of earlier benchmarks, compare two of them, or plot them."""
    from mbert_onnx.cli.printing.benchmark import print_bench, print_comparison

    pictures = {"--html": html, "--quality": quality, "--plot": plot}
    asked = [name for name, path in pictures.items() if path]
    if asked and (compare or markdown):
        raise mbert_onnx.UsageError(f"{asked[0]} is given with --compare or --markdown; expected one of them")
    if metric and not quality:
        raise mbert_onnx.UsageError("--metric is given without --quality, whose evaluations have it; pass both")
    if quality and html is None and plot is None:
        raise mbert_onnx.UsageError("--quality is given without --html or --plot, which show it; pass one of them")
    if html is not None or plot is not None:
        if html is not None:
            command = ["mbert-onnx", *sys.argv[1:]]
            mbert_onnx.write_html(results, html, quality=quality or (), metrics=metric or (), command=command)
            print(html)
        if plot is not None:
            mbert_onnx.write_plot(results, plot, quality=quality or (), metrics=metric or ())
            print(plot)
        return
    if not compare:
        for read in [mbert_onnx.read_report(path) for path in results]:
            print_bench(read, markdown)
        return
    if len(results) != 2 or markdown:
        found = "--markdown" if markdown else f"{len(results)} file{'s' if len(results) > 1 else ''}"
        raise mbert_onnx.UsageError(
            f"--compare is given with {found}; expected two files, OLD.json NEW.json, and no --markdown"
        )
    comparison = mbert_onnx.compare(*results)
    print_comparison(comparison)
    if comparison.slower:
        raise typer.Exit(1)
