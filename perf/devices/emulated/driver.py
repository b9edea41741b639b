"""The program that runs models on the emulated machine: how it is built, asked and understood."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir

from perf.devices.emulated.emulator import Emulated, Emulator, Program
from perf.errors import PerfError, one_line

HERE = Path(__file__).parent

TRIPLE = "aarch64-linux-gnu.2.17"
"""zig's name of the machine, with the oldest glibc that it is to run with."""

# Neither exceptions nor a C++ runtime, which zig would have to compile first.
FLAGS = ("-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-nostdlib++", "-fno-exceptions", "-fno-rtti")


@dataclass(frozen=True)
class Answer:
    """Of one input: the outputs in the model's order, and the instructions of a run; None where none are counted."""

    outputs: tuple[np.ndarray, ...]
    instructions: int | None


def build_driver(folder: Path, runtime: Path) -> Program:
    """Builds the program into a folder, for a library of onnxruntime. Raises PerfError where there is no compiler."""
    if importlib.util.find_spec("ziglang") is None:
        raise PerfError("emulated-arm64 needs the compiler of ziglang, not installed here: pip install ziglang==0.17.1")
    program = folder / "driver"
    command = [sys.executable, "-m", "ziglang", "c++", "-target", TRIPLE, *FLAGS]
    done = subprocess.run(
        [*command, str(HERE / "driver.cc"), "-o", str(program)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = one_line(Exception(done.stderr))
        raise PerfError(f"cannot compile driver.cc ({reason}); expected ziglang 0.17.1: pip install ziglang==0.17.1")
    return Program(program, (str(runtime),))


def ask(
    emulator: Emulator,
    on: Emulated,
    runtime: Path,
    model: Path,
    library: Path | None,
    feeds: Sequence[Mapping[str, np.ndarray]],
    folder: Path,
) -> list[Answer]:
    """A model's answers on an emulated processor.

    Args:
        runtime: onnxruntime's library.
        library: One of custom operators, for the emulated machine.
        feeds: Inputs, each of which is asked for in a copy of the same process.
        folder: An empty one, for what goes in and out.

    Raises PerfError where the model does not load or run there.
    """
    jobs = [folder / str(number) for number in range(len(feeds))]
    for job, feed in zip(jobs, feeds, strict=True):
        job.mkdir()
        _write(job, feed)
    told = emulator.run(on, [str(runtime), str(model), str(library or "-"), str(emulator.count_file), *map(str, jobs)])
    counts = dict(line.rsplit(" ", 1) for line in told.splitlines()[1:])
    return [Answer(_read(job), int(counts[str(job)]) if emulator.counts else None) for job in jobs]


def _write(job: Path, feed: Mapping[str, np.ndarray]) -> None:
    lines = []
    for number, (name, values) in enumerate(feed.items()):
        (job / f"input{number}").write_bytes(np.ascontiguousarray(values).tobytes())
        kind = ir.DataType.from_numpy(values.dtype).value  # onnxruntime numbers types as ONNX does
        lines.append(" ".join(map(str, [name, kind, values.nbytes, values.ndim, *values.shape])))
    (job / "inputs").write_text("\n".join(lines) + "\n")


def _read(job: Path) -> tuple[np.ndarray, ...]:
    outputs = []
    for number, line in enumerate((job / "outputs").read_text().splitlines()):
        kind, _, _, *shape = map(int, line.split())
        flat = np.fromfile(job / f"output{number}", ir.DataType(kind).numpy())
        outputs.append(flat.reshape(shape))
    return tuple(outputs)
