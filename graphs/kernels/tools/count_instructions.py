"""Counts the instructions of the kernels for aarch64, under the emulator qemu-user.

python -m graphs.kernels.tools.count_instructions --processor ISA=CPU [--interface N] [--qemu PATH] [TOKENS ...]

It runs an int8 layer once and twice; the difference, times 24, is the encoder of a MobileBERT. An emulator's times mean
nothing, and instruction counts ignore caches, so the counts compare programs, not processors.

The emulated processors are arguments, because `python -m perf.devices.emulated` has the only table of them:
`make count-instructions` passes it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from graphs.kernels.build import BuildError, build_counter, build_profile

LAYERS = 24


class Counter:
    """Counts instructions with qemu-user and our plugin. Raises BuildError where this qemu does not load the plugin."""

    def __init__(
        self, qemu: str, program: Path, folder: Path, processors: Mapping[str, Sequence[str]], interfaces: Sequence[int]
    ) -> None:
        """
        Args:
            qemu: The emulator.
            program: The program that `build_profile` builds for aarch64.
            folder: Output folder of the plugin and of its counts.
            processors: By instruction set, the values of qemu's `-cpu` to try, the preferred one first.
            interfaces: Versions of qemu's plugin interface to build the plugin for, until one is accepted.
        """
        self._qemu, self._program, self._file = qemu, program, folder / "count"
        self._processors = processors
        for interface in interfaces:
            self._plugin = build_counter(folder, interface)
            if not (refusal := self._refusal()):
                return
        raise BuildError(f"{qemu} does not load the plugin ({refusal}); expected a qemu-user with plugins, such as 7.2")

    def instructions(self, isa: str, tokens: int, times: int) -> int:
        """Returns the instructions of the whole program, which runs a layer `times` times.

        Raises BuildError where qemu emulates no processor with the instruction set.
        """
        models = self._processors[isa]
        for model in models:
            arguments = ["--run", str(times), str(tokens), "--isa", isa]
            done = self._run("-cpu", model, str(self._program), *arguments)
            if not done.returncode:
                return int(self._file.read_text())
        reason = done.stderr.strip() or f"exit {done.returncode}"
        raise BuildError(f"{self._program} fails under {self._qemu} on {' and '.join(models)} with {isa}: {reason}")

    def _refusal(self) -> str:
        done = self._run(str(self._program), "--run", "0", "1", "--isa", "neon")
        return done.stderr.strip() or f"exit {done.returncode}" if done.returncode else ""

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "COUNT": str(self._file)}
        command = [self._qemu, "-plugin", str(self._plugin), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment)


def processors_of(pairs: Sequence[str]) -> dict[str, list[str]]:
    """Returns the processors of each instruction set, in the order of `ISA=CPU` pairs. Raises BuildError."""
    processors: dict[str, list[str]] = {}
    for pair in pairs:
        isa, equals, model = pair.partition("=")
        if not (isa and equals and model):
            raise BuildError(f"--processor is {pair!r}; expected ISA=CPU, such as neon=cortex-a72")
        processors.setdefault(isa, []).append(model)
    return processors


def main(arguments: list[str]) -> int:
    """Runs the command line, and returns the exit status."""
    parser = argparse.ArgumentParser(prog="count_instructions.py", description="Count instructions under qemu-user.")
    parser.add_argument("tokens", nargs="*", type=int, default=[128], help="lengths (default: %(default)s)")
    parser.add_argument(
        "--processor",
        action="append",
        required=True,
        metavar="ISA=CPU",
        help="an instruction set, and what qemu's -cpu takes for a processor that has it; repeat it for more "
        "instruction sets, and for the CPU to try where an older qemu lacks the one before",
    )
    parser.add_argument(
        "--interface",
        action="append",
        type=int,
        metavar="N",
        help="a version of qemu's plugin interface to try; repeat it for more (default: 1)",
    )
    parser.add_argument("--qemu", default=shutil.which("qemu-aarch64"), help="the emulator (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        processors = processors_of(options.processor)
        if options.qemu is None:
            raise BuildError("qemu-aarch64 is not on PATH; expected qemu-user: apt install qemu-user")
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            program = build_profile(folder, "aarch64-linux")
            counter = Counter(options.qemu, program, folder, processors, options.interface or [1])
            for tokens in options.tokens:
                for isa in processors:
                    once, twice = (counter.instructions(isa, tokens, times) for times in (1, 2))
                    print(f"{tokens} tokens, {isa}: {(twice - once) * LAYERS / 1e9:.3f} G instructions", flush=True)
    except (BuildError, OSError) as error:
        print(f"count_instructions.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
