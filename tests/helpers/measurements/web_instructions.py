"""Counts the instructions of a model in mbert-onnx-web's kernels and in onnxruntime-web, on emulated aarch64.

python tests/helpers/measurements/web_instructions.py NODE WASM_FOLDER MODEL ONNXRUNTIME_WEB [TOKENS ...]

`make count-web-instructions` runs it, with Node.js for aarch64. Whole processes are counted, so the instructions of a
length are the difference between processes that run the model more and less often at that length; start, loading and
compilation are in both. The counts compare programs, not processors: they leave out caches and latencies.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from graphs.kernels.build import BuildError, build_counter
from perf.devices.emulated.emulator import INSTALL, PROGRAMS, VARIABLE, Emulated, Emulator, Program, find_sysroot
from perf.errors import PerfError

SCRIPT = Path(__file__).with_suffix(".mjs")
PROCESSOR = "neon-dotprod"
"""Instruction set of the emulated processor: V8 maps relaxed SIMD's dot product to it."""
FILES = {"relaxed SIMD": "mbert-relaxed.wasm", "fixed SIMD": "mbert.wasm"}
TARGETS = {("relaxed SIMD", 128): 3.0}
LIBRARY = "libatomic.so.1"
"""The library that Node.js for aarch64 links to and that Debian's C++ library does not bring."""
ADVICE = f"{INSTALL} libatomic1-arm64-cross"

# Only the optimizing compiler, on the main thread: otherwise counted runs would contain baseline code or compilation.
FLAGS = ("--single-threaded", "--no-liftoff", "--no-wasm-tier-up")
# Runs before the counted ones, which compile functions; tokens of all counted runs together, so short sequences are run
# more often: processes differ by some millions of instructions.
FIRST_RUNS, COUNTED_TOKENS = 1, 256


@dataclass(frozen=True)
class Counts:
    """Instructions of one run by length, and the instruction set that the subject reports."""

    instruction_set: str
    by_length: dict[int, float]


def main(arguments: Sequence[str]) -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(
        prog=SCRIPT.with_suffix(".py").name, description="Count instructions under qemu-user."
    )
    parser.add_argument("node", type=Path, help="Node.js for aarch64")
    parser.add_argument("wasm", type=Path, help="the folder of the .wasm files")
    parser.add_argument("model", type=Path, help="an int8 model of token ids")
    parser.add_argument("web", type=Path, help="the folder of the package onnxruntime-web")
    parser.add_argument("tokens", nargs="*", type=int, default=[8, 128], help="lengths (default: 8 128)")
    options = parser.parse_args(arguments)
    if min(options.tokens) < 1:
        parser.error(f"a length is {min(options.tokens)}; expected whole numbers from 1 on")
    try:
        check(options.node, options.web)
        with tempfile.TemporaryDirectory() as folder:
            emulator = Emulator(Program(options.node.resolve(), ("--version",)), counter, Path(folder))
            processor = next((one for one in emulator.processors if one.processor.instruction_set == PROCESSOR), None)
            if processor is None or not emulator.counts:
                lacks = "does not load plugins" if processor else f"has no processor with {PROCESSOR}"
                raise PerfError(f"qemu {emulator.version} {lacks}; expected one such as Debian 12's: {ADVICE}")
            version = emulator.run(processor, ["--version"]).strip()
            print(f"{processor.model} in qemu {emulator.version}, Node.js {version.removeprefix('v')}")
            subjects = {"onnxruntime-web": options.web, **{kind: options.wasm / name for kind, name in FILES.items()}}
            counts = {}
            for name, subject in subjects.items():
                print(f"counting {name}", file=sys.stderr, flush=True)
                counts[name] = count(
                    emulator, processor, [str(subject.resolve()), str(options.model.resolve())], options.tokens
                )
    except (PerfError, BuildError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines(counts)))
    return 0


def check(node: Path, web: Path) -> None:
    """Raises PerfError where a program or a library is missing, with what to install."""
    if sys.platform != "linux":
        raise PerfError(f"this is {sys.platform}; expected Linux, on which alone qemu-user runs: count there")
    if not any(map(shutil.which, PROGRAMS)):
        raise PerfError(f"{PROGRAMS[0]} is not on PATH; expected qemu-user: {ADVICE}")
    sysroot = find_sysroot()
    if not (sysroot / "lib" / LIBRARY).exists():
        raise PerfError(
            f"no lib/{LIBRARY} in {sysroot}; expected what Node.js for aarch64 links to: {ADVICE}, or set "
            f"{VARIABLE} to where it is"
        )
    for file in (node, web / "package.json"):
        if not file.exists():
            raise PerfError(f"no {file}; expected what npm downloads: install npm, then `make count-web-instructions`")
    if not os.access(node, os.X_OK):
        raise PerfError(
            f"{node} is not executable; expected Node.js for aarch64: remove its folder, then make it again"
        )


def counter(folder: Path, interface: int) -> Path:
    """Builds the counting plugin of the emulator."""
    return build_counter(folder, interface)


def count(emulator: Emulator, processor: Emulated, subject: Sequence[str], tokens: Sequence[int]) -> Counts:
    """Returns the instructions of one run at each length. Raises PerfError where the subject does not run."""
    runs = {length: max(1, COUNTED_TOKENS // length) for length in tokens}

    def counted(longer: int | None) -> tuple[str, int]:
        work = [f"{length}:{FIRST_RUNS + (runs[length] if length == longer else 0)}" for length in tokens]
        printed = emulator.run(processor, [*FLAGS, str(SCRIPT), *subject, *work])
        return printed.strip(), int(emulator.count_file.read_text())

    instruction_set, base = counted(None)
    return Counts(instruction_set, {length: (counted(length)[1] - base) / runs[length] for length in tokens})


def lines(counts: dict[str, Counts]) -> list[str]:
    """Returns the printed table, with onnxruntime-web, the first of the counts, divided by each of the others."""
    reference = next(iter(counts.values()))
    printed = ["tokens  runtime          instruction set  G instructions  times fewer  target"]
    for length, most in reference.by_length.items():
        for name, one in counts.items():
            own = one.by_length[length]
            ratio = "" if one is reference else f"{most / own:.2f}"
            target = TARGETS.get((name, length), "")
            printed.append(
                f"{length:6}  {name:15}  {one.instruction_set:15}  {own / 1e9:14.3f}  {ratio:>11}  {target:>6}".rstrip()
            )
    return printed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
