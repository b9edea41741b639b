"""The compiler: clang, and the linkers, of PyPI's `ziglang`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# The folder of the sources.
HERE = Path(__file__).parent.parent

# No C++ runtime, no exceptions, almost no C library. Products and sums are rounded separately (no contraction), so that
# int8 results are bit-identical for all instruction sets. zig passes -O3 to clang as -O2.
FLAGS = (
    *("-std=c++17", "-O3", "-g0", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror", "-Wno-psabi"),
    *("-ffreestanding", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-fno-stack-protector"),
    *("-ffp-contract=off", "-fno-math-errno", "-fno-sanitize=all"),
    *("-I", str(HERE)),
)


class BuildError(Exception):
    """The build failed: one line, then the compiler's output."""


def has_compiler() -> bool:
    """Returns whether `ziglang` is installed for this Python."""
    return importlib.util.find_spec("ziglang") is not None


def compile_sources(
    triple: str, sources: Mapping[str, Sequence[str]], options: Sequence[str], folder: Path
) -> list[str]:
    """Compiles sources in parallel, each with its own flags after `options`. Returns the object files.

    Raises BuildError.
    """
    objects = [str(folder / f"{name.replace('/', '_')}.o") for name in sources]
    commands = [
        [*FLAGS, *options, *flags, "-c", str(HERE / f"{name}.cc"), "-o", file]
        for (name, flags), file in zip(sources.items(), objects, strict=True)
    ]
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(lambda command: run_clang(triple, command), commands):
            pass
    return objects


def run_clang(triple: str, arguments: Sequence[str]) -> None:
    """Runs ziglang's clang for a triple. Raises BuildError with its output where it fails."""
    done = run_zig(["c++", "-target", triple, *arguments])
    if done.returncode:
        raise BuildError(f"clang failed for {triple}: {' '.join(arguments)}\n{done.stderr}")


def run_zig(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Runs a tool of ziglang, and returns its status and output."""
    return subprocess.run([sys.executable, "-m", "ziglang", *arguments], capture_output=True, text=True)
