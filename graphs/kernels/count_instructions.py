"""Counts the instructions that the kernels need on aarch64, where nothing but an emulator is at hand: qemu-user.

python -m graphs.kernels.count_instructions [TOKENS ...]

A layer in 8 bits is run twice and once; the difference, times 24, is a MobileBERT's encoder. Times mean nothing under
an emulator, and counts leave caches out, so that this compares programs, not machines.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from graphs.kernels.build import BuildError, build_profile

LAYERS = 24
# Of each instruction set, a processor that has it.
PROCESSORS = {"neon": "cortex-a72", "neon-dotprod": "neoverse-n1", "neon-i8mm": "max"}


def count(qemu: str, program: Path, isa: str, tokens: int, times: int) -> int:
    """The instructions of the whole program, which runs a layer so often: qemu tells each, one a line."""
    command = [qemu, "-cpu", PROCESSORS[isa], "-singlestep", "-d", "nochain,exec", "-D", "/dev/stdout", str(program)]
    command += ["--run", str(times), str(tokens), "--isa", isa]
    lines = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        while part := running.stdout.read(1 << 20):
            lines += part.count(b"\n")
    if running.returncode:
        raise BuildError(f"{program} ended with {running.returncode} under {qemu}")
    return lines


def main(arguments: list[str]) -> int:
    """The command line."""
    qemu = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if qemu is None:
        print("count_instructions.py: qemu-user is not installed; expected qemu-aarch64", file=sys.stderr)
        return 1
    try:
        with tempfile.TemporaryDirectory() as folder:
            program = build_profile(Path(folder), "aarch64-linux")
            for tokens in map(int, arguments or ["128"]):
                for isa in PROCESSORS:
                    once, twice = (count(qemu, program, isa, tokens, times) for times in (1, 2))
                    print(f"{tokens} tokens, {isa}: {(twice - once) * LAYERS / 1e9:.3f} G instructions", flush=True)
    except BuildError as error:
        print(f"count_instructions.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
