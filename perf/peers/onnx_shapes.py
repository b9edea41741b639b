"""ONNX files of fixed shapes, for the peers that make a file for each length of them: MNN, IREE and TVM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx

from perf.errors import PerfError, one_line
from perf.peers.program import run_program
from perf.sessions.inputs import CHOICES


def fix_shapes(source: Path, output: Path, *, batch: int, seq_len: int) -> None:
    """Writes an ONNX file whose inputs have one shape.

    Args:
        source: The `.onnx`, with dynamic shapes.
        output: The `.onnx` to write.
        batch, seq_len: Its first and last dimension; choices between become as many as a bench gives.

    Raises PerfError where the file is no model of these shapes.
    """
    try:
        model = onnx.load(source)
        # They are written with the dimensions' names, and contradict the numbers.
        del model.graph.value_info[:]
        for value in model.graph.output:
            for dim in value.type.tensor_type.shape.dim:
                dim.ClearField("dim_param")
        for value in model.graph.input:
            dims = value.type.tensor_type.shape.dim
            wanted = [batch, *(dim.dim_value or CHOICES for dim in dims[1:-1]), seq_len]
            for dim, size in zip(dims, wanted, strict=True):
                if dim.dim_value not in (0, size):
                    raise PerfError(f"{source.name} takes only {dim.dim_value} in {value.name}, not {size}")
                dim.dim_value = size
        onnx.save(onnx.shape_inference.infer_shapes(model, data_prop=True), output)
    except PerfError:
        raise
    except Exception as error:  # of onnx's and protobuf's many
        raise PerfError(f"the shapes of {source.name} cannot be fixed: {one_line(error)}") from error


def convert_fixed(
    python: Path,
    program: Path,
    source: Path,
    to: Path,
    suffix: str,
    *,
    seq_lens: Sequence[int],
    batch: int,
    failure: str,
) -> dict[int, Path]:
    """A file for each length, which a program makes of an `.onnx` of that shape: `program FIXED.onnx OUTPUT`.

    Args:
        python: Of the environment that it runs in.
        program: The converter's file.
        source: An `.onnx` with dynamic shapes.
        to: The folder to write into.
        suffix: Of the files.
        seq_lens, batch: The shapes.
        failure: Begins the error: what fails, on what.

    Raises PerfError where the program fails.
    """
    made = {}
    for seq_len in seq_lens:
        fixed, made[seq_len] = to / f"{seq_len}.onnx", to / f"{seq_len}{suffix}"
        fix_shapes(source, fixed, batch=batch, seq_len=seq_len)
        run_program(python, program, [fixed, made[seq_len]], failure)
        fixed.unlink()
    return made
