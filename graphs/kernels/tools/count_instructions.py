"""Counts the instructions that the kernels need on aarch64, where nothing but an emulator is at hand: qemu-user.

python -m graphs.kernels.tools.count_instructions [--qemu PATH] [TOKENS ...]

A layer in 8 bits is run twice and once; the difference, times 24, is a MobileBERT's encoder. Times mean nothing under
an emulator, and counts leave caches out, so that this compares programs, not machines.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from graphs.kernels.build import BuildError, build_counter, build_profile

LAYERS = 24
# Of each instruction set, processors that have it and nothing better; older emulators know the second name only.
PROCESSORS = {"neon": ["cortex-a72"], "neon-dotprod": ["neoverse-n1"], "neon-i8mm": ["neoverse-v1", "max"]}


class Counter:
    """An emulator that counts: qemu-user with a plugin of ours. Raises BuildError where qemu takes none."""

    # Versions of qemu's plugin interface that have all we use, and mean the same by it.
    INTERFACES = (1, 2, 3, 4)

    def __init__(self, qemu: str, program: Path, folder: Path) -> None:
        """
        Args:
            qemu: The emulator.
            program: What `build_profile` builds for aarch64.
            folder: For the plugin, and for what it writes.
        """
        self._qemu, self._program, self._file = qemu, program, folder / "count"
        listed = subprocess.run([qemu, "-cpu", "help"], capture_output=True, text=True)
        self._known = (listed.stdout + listed.stderr).split()
        for interface in self.INTERFACES:
            self._plugin = build_counter(folder, interface)
            if not (refusal := self._refusal()):
                return
        raise BuildError(f"{qemu} takes no plugin; expected a qemu-user that does, as Debian 12's 7.2 ({refusal})")

    def instructions(self, isa: str, tokens: int, times: int) -> int:
        """The instructions of the whole program, which runs a layer so often."""
        processor = next((one for one in PROCESSORS[isa] if one in self._known), None)
        if processor is None:
            raise BuildError(f"{self._qemu} knows no processor with {isa}; expected {' or '.join(PROCESSORS[isa])}")
        done = self._run("-cpu", processor, str(self._program), "--run", str(times), str(tokens), "--isa", isa)
        if done.returncode:
            raise BuildError(f"{self._program} ended with {done.returncode} under {self._qemu}: {done.stderr.strip()}")
        return int(self._file.read_text())

    def _refusal(self) -> str:
        done = self._run(str(self._program), "--run", "0", "1", "--isa", "neon")
        return done.stderr.strip() or f"ended with {done.returncode}" if done.returncode else ""

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "COUNT": str(self._file)}
        command = [self._qemu, "-plugin", str(self._plugin), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment)


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="count_instructions.py", description="Count instructions under qemu-user.")
    parser.add_argument("tokens", nargs="*", type=int, default=[128], help="lengths (default: %(default)s)")
    parser.add_argument("--qemu", default=shutil.which("qemu-aarch64"), help="the emulator (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        if options.qemu is None:
            raise BuildError("qemu-user is not installed; expected qemu-aarch64")
        with tempfile.TemporaryDirectory() as folder:
            counter = Counter(options.qemu, build_profile(Path(folder), "aarch64-linux"), Path(folder))
            for tokens in options.tokens:
                for isa in PROCESSORS:
                    once, twice = (counter.instructions(isa, tokens, times) for times in (1, 2))
                    print(f"{tokens} tokens, {isa}: {(twice - once) * LAYERS / 1e9:.3f} G instructions", flush=True)
    except (BuildError, OSError) as error:
        print(f"count_instructions.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
