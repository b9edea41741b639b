"""The driver, a program that runs models on the emulated processor: builds it, runs it, and reads its results."""

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
"""zig's triple of the emulated machine, with the oldest glibc that the driver supports."""

# Without exceptions and a C++ runtime, which zig would have to compile first.
FLAGS = ("-std=c++17", "-O2", "-Wall", "-Wextra", "-Werror", "-nostdlib++", "-fno-exceptions", "-fno-rtti")


@dataclass(frozen=True)
class DriverResult:
    """The result for one input: outputs in the model's order, and the instructions of a run (None: not counted)."""

    outputs: tuple[np.ndarray, ...]
    instructions: int | None


def build_driver(folder: Path, runtime: Path) -> Program:
    """Builds the driver into a folder, for a library of onnxruntime. Raises PerfError where the compiler is missing."""
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


def run_driver(
    emulator: Emulator,
    on: Emulated,
    runtime: Path,
    model: Path,
    library: Path | None,
    feeds: Sequence[Mapping[str, np.ndarray]],
    folder: Path,
) -> list[DriverResult]:
    """Runs a model on an emulated processor, and returns the result for each input.

    Args:
        runtime: onnxruntime's library.
        library: A library of custom operators for aarch64.
        feeds: The inputs. A forked copy of the same process runs each.
        folder: An empty folder for the driver's files.

    Raises PerfError where the model does not load or run.
    """
    jobs = [folder / str(number) for number in range(len(feeds))]
    for job, feed in zip(jobs, feeds, strict=True):
        job.mkdir()
        _write(job, feed)
    printed = emulator.run(
        on, [str(runtime), str(model), str(library or "-"), str(emulator.count_file), *map(str, jobs)]
    )
    counts = dict(line.rsplit(" ", 1) for line in printed.splitlines()[1:])
    return [DriverResult(_read(job), int(counts[str(job)]) if emulator.counts else None) for job in jobs]


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
