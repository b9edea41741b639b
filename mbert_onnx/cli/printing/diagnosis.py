"""Printed results of `doctor`, `inspect`, `kernels` and `providers`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mbert_onnx.cli.printing.console import megabytes, new_console, new_table

if TYPE_CHECKING:
    from rich.console import Console

    from graphs.reports.census import Census, Port, TextPart
    from graphs.reports.tensor_ranges import Numbers
    from mbert_onnx.diagnosis.provider_forecast import ProviderDiagnosis
    from mbert_onnx.diagnosis.ranges import Diagnosis
    from mbert_onnx.runtime.native_kernels import Kernels
    from mbert_onnx.runtime.platforms.writer import KernelFolder
    from perf.providers import Standing

# Columns of a table of tensors, whose names are long, in a file or pipe.
TENSORS_WIDTH = 220

# Number of outlier channels, and of outlier positions, that a line names.
NAMED = 2

# Smaller shares are printed as less than this one.
LEAST_SHARE = 0.001


def print_diagnosis(found: Diagnosis, show_all: bool = False) -> None:
    """Prints a line for each layer (with `show_all`, each tensor), then the advice for each precision."""
    console = new_console()
    console.print(f"{found.model}  {found.task}; {found.texts} texts of {found.calibration}, {found.tokens:,} tokens")
    if show_all:
        for state in found.maps:
            title = "as it is" if state == "as_is" else f"rescaled for {state}"
            console.print(f"{title}:")
            _print_tensors(console, found, found.maps[state])
    else:
        _print_layers(console, found)
    for prospect in found.prospects.values():
        counts = [(prospect.unsafe, prospect.tensors), (prospect.rescaled_unsafe, prospect.rescaled_tensors)]
        before, after = (f"{unsafe} of {tensors}" for unsafe, tensors in counts)
        what = "tensors" if prospect.precision == "fp16" else "inputs of matrix products"
        over = f" ({prospect.overflowing} overflow)" if prospect.precision == "fp16" else ""
        console.print(
            f"{prospect.precision:5s} {before} {what} are unsafe{over}; after the rescaling of "
            f"--precision {prospect.precision}, {after}: {prospect.advice}"
        )
    console.print(f"took  {found.seconds:.1f} s")
    for note in found.notes:
        console.print(f"note  {note}")


def print_forecasts(found: Sequence[ProviderDiagnosis]) -> None:
    """Prints each provider's forecast, a line for each other file that it could be given, and the notes."""
    from rich.text import Text

    from perf.providers.forecast.table import headline, print_forecast

    console = new_console()
    for number, one in enumerate(found):
        if number:
            console.print()
        if one.how:
            console.print(Text(f"{one.model}, as written by {one.how}:"), soft_wrap=True)
        print_forecast(one.forecast, console)
        for other in one.alternatives:
            console.print(Text.assemble((f"{other.how}: ", "cyan"), headline(other.forecast)), soft_wrap=True)
        for note in one.notes:
            console.print(Text.assemble(("note: ", "yellow"), note), soft_wrap=True)


def print_census(census: Census) -> None:
    """Prints a model's inputs, outputs, parameters, nodes, operations and memory."""
    console = new_console()
    console.print(
        f"opset {census.opset}, IR {census.ir_version}, by {census.producer or 'an unknown producer'}; "
        f"file {megabytes(census.file_bytes)}"
    )
    for title, ports in (("inputs", census.inputs), ("outputs", census.outputs)):
        console.print(f"{title:11s}" + "\n           ".join(_port(port) for port in ports))
    _print_text_part(console, census.text)
    console.print(f"parameters {census.parameters:,} ({megabytes(census.weight_bytes)})")
    console.print(
        f"nodes      {census.node_count:,}: " + ", ".join(f"{count} {name}" for name, count in census.nodes.items())
    )
    at = f"at batch 1, {census.seq_len} tokens"
    if census.macs is None or census.macs_per_token is None:
        console.print(f"operations unknown: a shape could not be inferred {at}")
    else:
        console.print(f"operations {census.macs_per_token / 1e6:.1f} M multiply-accumulates per token {at}")
    if census.activation_bytes is None:
        console.print(f"memory     {megabytes(census.weight_bytes)} of weights; activations unknown {at}")
    else:
        activations = megabytes(census.activation_bytes)
        console.print(f"memory     {megabytes(census.weight_bytes)} of weights, {activations} of activations {at}")


def _print_text_part(console: Console, part: TextPart | None) -> None:
    """Prints what is around the model in a text file; its parameters, nodes and operations are the model's."""
    if part is None:
        return
    length = f"padded to {part.columns} tokens" if part.columns else f"of at most {part.limit} tokens"
    labels = f", {part.labels} labels" if part.labels else ""
    if part.optional:
        console.print(f"defaults   for the inputs {', '.join(part.optional)}")
    console.print(
        f"text file  {part.task} by mbert.{part.operator}: rows {length} (max_length {part.max_length}){labels}; "
        f"{megabytes(part.table_bytes)} of tables of the tokenizer; of the model inside:"
    )


def print_kernels(found: Kernels) -> None:
    """Prints the native kernel library and its instruction sets."""
    print(f"library          {found.library or 'none: the function bodies in the files are run instead'}")
    if found.library is not None:
        sets = found.instruction_sets
        print(f"instruction set  {found.instruction_set}")
        print(f"supported        {', '.join(name for name, is_supported in sets.items() if is_supported)}")
        print(f"unsupported      {', '.join(name for name, is_supported in sets.items() if not is_supported)}")


def print_kernel_folder(found: KernelFolder) -> None:
    """Prints the files of a folder with kernels, and their sizes."""
    print(f"wrote {found.output}")
    width = max(map(len, found.files))
    for name, size in found.files.items():
        print(f"  {name:{width}}  {size:>9,}")
    if found.left_alone:
        print(f"left alone: {', '.join(found.left_alone)}")


def print_providers(found: Sequence[Standing]) -> None:
    """Prints the table of execution providers."""
    from perf.providers.table import print_standings

    print_standings(found, new_console())


def _print_layers(console: Console, found: Diagnosis) -> None:
    """Prints a line for each layer; `a → b` is a before and b after the rescaling for the column's precision."""
    titles = (
        "layer",
        "worst tensor",
        "peak",
        "unsafe fp16",
        "lost in fp16",
        "unsafe int8",
        "outlier channels",
        "outlier tokens",
    )
    table = new_table(titles, right=(2, 3, 4, 5))
    for layer in found.layers:
        now, half, eight = ([n for n in found.maps[state] if n.layer == layer] for state in ("as_is", "fp16", "int8"))
        worst = max(now, key=lambda numbers: (numbers.kind == "activation", numbers.peak))
        table.add_row(
            layer,
            worst.name.removeprefix(f"{layer}/"),
            f"{worst.peak:.1e}",
            " → ".join(str(sum(not n.safe_in_fp16 for n in numbers)) for numbers in (now, half)),
            " → ".join(_percent(max((_lost(n) for n in numbers), default=0.0)) for numbers in (now, half)),
            " → ".join(str(sum(not n.safe_in_int8 for n in numbers)) for numbers in (now, eight)),
            _channels(now),
            _tokens(now, found.pieces),
        )
    console.print(table)


def _print_tensors(console: Console, found: Diagnosis, numbers: list[Numbers]) -> None:
    numeric = ("min", "max", "rms", "over", "under", "fp16", "bits", "error")
    table = new_table(("tensor", *numeric, "outlier channels", "outlier tokens"), right=(1, 2, 3, 4, 5, 7, 8))
    for one in numbers:
        table.add_row(
            one.name,
            *(f"{number:.1e}" for number in (one.low, one.high, one.rms)),
            *(_percent(share) for share in (one.overflow, one.underflow)),
            "safe" if one.safe_in_fp16 else "unsafe",
            "" if one.bits is None else f"{one.bits:.1f}",
            "" if one.error is None else f"{one.error:.1e}",
            _channels([one]),
            _tokens([one], found.pieces),
        )
    if not console.is_terminal:
        console.width = max(console.width, TENSORS_WIDTH)
    console.print(table)


def _lost(numbers: Numbers) -> float:
    """Returns the share of numbers that float16 would lose: overflow plus underflow."""
    return numbers.overflow + numbers.underflow


def _percent(share: float) -> str:
    return "0" if share == 0 else f"{share:.1%}" if share >= LEAST_SHARE else f"<{LEAST_SHARE:.1%}"


def _channels(numbers: list[Numbers]) -> str:
    """Formats the largest outlier channels with their ratio to the median: `0 (3e+06×), 28 (2e+04×), …`."""
    times: dict[int, float] = {}
    for channel in [channel for one in numbers for channel in one.channels]:
        times[channel.channel] = max(times.get(channel.channel, 0.0), channel.times)
    return _largest({str(channel): value for channel, value in times.items()})


def _tokens(numbers: list[Numbers], pieces: dict[int, str]) -> str:
    """Formats the largest outlier positions with their token and ratio to the median: `0 [CLS] (9e+05×)`."""
    times: dict[int, tuple[float, str]] = {}
    for token in [token for one in numbers for token in one.tokens]:
        label = f"{token.position} {pieces.get(token.token_id, '')}".strip()
        times[token.position] = max(times.get(token.position, (0.0, "")), (token.times, label))
    return _largest({label: value for value, label in times.values()})


def _largest(times: dict[str, float]) -> str:
    order = sorted(times, key=lambda label: -times[label])
    return ", ".join(
        [*(f"{label} ({times[label]:.0e}×)" for label in order[:NAMED]), *(["…"] if order[NAMED:] else [])]
    )


def _port(port: Port) -> str:
    shape = "unknown shape" if port.shape is None else f"[{', '.join(map(str, port.shape))}]"
    return f"{port.name} {port.dtype} {shape}"
