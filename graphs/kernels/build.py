"""Builds the library of native kernels, for this machine or another one, with the clang in PyPI's `ziglang`.

python graphs/kernels/build.py [--target aarch64-linux] [--output FOLDER]

setup.py runs this when it builds a wheel, so it imports only the standard library, and nothing of the package.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent

# File name of the library, by system.
NAMES = {"linux": "libmbert_kernels.so", "macos": "libmbert_kernels.dylib", "windows": "mbert_kernels.dll"}

# zig's triples, by our names. 2.17 is the oldest glibc that Python wheels support; of it the library uses
# `getenv` and `getauxval`.
TARGETS = {
    "x86_64-linux": "x86_64-linux-gnu.2.17",
    "aarch64-linux": "aarch64-linux-gnu.2.17",
    "aarch64-macos": "aarch64-macos.11.0",
    "x86_64-windows": "x86_64-windows-gnu",
}

# No C++ runtime, no exceptions, almost no C library. Products and sums are rounded separately (no contraction), so that
# int8 results are bit-identical for all instruction sets. zig passes -O3 to clang as -O2.
FLAGS = (
    *("-std=c++17", "-O3", "-g0", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror", "-Wno-psabi"),
    *("-ffreestanding", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-fno-stack-protector"),
    *("-ffp-contract=off", "-fno-math-errno", "-fno-sanitize=all"),
    *("-I", str(HERE)),
)

# The tokenizer, which is independent of onnxruntime and of instruction sets.
TEXT = (
    "text/rows",
    "text/symbols",
    "text/tokenizer",
    "text/wordpiece",
    "text/write_row",
)

COMMON = (
    "blocks/attention",
    "blocks/attention_int8",
    "blocks/encoder",
    "blocks/stacked_ffn",
    "isa/portable",
    "isa/processor",
    "operators/isa_selection",
    "operators/library",
    "operators/node",
    "operators/nodes/bottleneck_attention",
    "operators/nodes/embeddings",
    "operators/nodes/encoder",
    "operators/nodes/stacked_ffn",
    "operators/nodes/tokenize",
    "operators/scores",
    "operators/tokenizer_reader",
    "operators/weights",
    "ort/libc",
    "ort/mapped_pages",
    "ort/ort",
    "ort/scratch",
    "ort/weight_memory",
    *TEXT,
)

# The part of COMMON that is independent of onnxruntime, for programs that run blocks without it.
ARITHMETIC = (
    "blocks/attention",
    "blocks/attention_int8",
    "blocks/encoder",
    "blocks/stacked_ffn",
    "isa/portable",
    "isa/processor",
)

# Sources whose code takes no time worth mentioning: compiled for size.
SMALL = (
    "operators/isa_selection",
    "operators/library",
    "operators/nodes/tokenize",
    "operators/scores",
    "operators/tokenizer_reader",
    "operators/weights",
    "ort/ort",
    "ort/scratch",
    "text/rows",
    "text/tokenizer",
)

AVX512 = "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512"
# By architecture: the source file of each instruction set, and the compiler's flags for it.
INSTRUCTION_SETS = {
    "x86_64": {
        "isa/x86/avx2": "-mavx2 -mfma -mf16c",
        "isa/x86/avx_vnni": "-mavx2 -mfma -mf16c -mavxvnni",
        "isa/x86/avx512": AVX512,
        "isa/x86/avx512_vnni": f"{AVX512} -mavx512vnni",
        "isa/x86/amx": f"{AVX512} -mamx-tile -mamx-int8",
    },
    "aarch64": {
        "isa/arm/neon": "",
        "isa/arm/neon_i8mm": "-mcpu=generic+fullfp16+dotprod+i8mm",
        "isa/arm/neon_dotprod": "-mcpu=generic+fullfp16+dotprod",
    },
}


class BuildError(Exception):
    """The build failed: one line, then the compiler's output."""


def host() -> str:
    """Returns this machine's target. Raises BuildError where it is not one of `TARGETS`."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    system = {"darwin": "macos"}.get(platform.system().lower(), platform.system().lower())
    if f"{machine}-{system}" not in TARGETS:
        raise BuildError(f"the kernels cannot be built for {machine} on {system}; expected one of {', '.join(TARGETS)}")
    return f"{machine}-{system}"


def build(folder: Path, target: str | None = None) -> Path:
    """Builds the library into a folder, and returns its path.

    Args:
        folder: Output folder, created if it does not exist.
        target: One of `TARGETS`; default: this machine's.

    Raises BuildError.
    """
    target = target or host()
    if target not in TARGETS:
        raise BuildError(f"the target is {target!r}; expected one of {', '.join(TARGETS)}")
    processor, system = target.split("-")
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / NAMES[system]
    with tempfile.TemporaryDirectory() as temporary:
        position = [] if system == "windows" else ["-fPIC"]
        objects = compile_sources(TARGETS[target], sources_of(processor, COMMON), position, Path(temporary))
        linked = Path(temporary) / library.name
        bare = ["-nostdlib"] if system == "linux" else []
        run_clang(TARGETS[target], ["-shared", "-s", *bare, "-o", str(linked), *objects])
        # Copied next to it, then renamed: writing over a library that is loaded would crash the process that uses it.
        copied = library.with_name(f"{library.name}.new")
        shutil.copy(linked, copied)
        copied.replace(library)
    return library


def build_profile(folder: Path, target: str | None = None) -> Path:
    """Builds the profiling program into a folder, and returns its path.

    Args:
        folder: Output folder, created if it does not exist.
        target: One of `TARGETS` on Linux, for a statically linked program; default: this machine, linked dynamically.

    Raises BuildError.
    """
    # Static for a target, because an emulator has no shared libraries of that architecture.
    triple, static = (TARGETS[host()], []) if target is None else (f"{target}-musl", ["-static"])
    sources = sources_of(triple.split("-")[0], ARITHMETIC)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        objects = compile_sources(triple, sources, ["-DMBERT_PROFILE"], Path(temporary))
        hosted = [flag for flag in FLAGS if flag != "-ffreestanding"]
        program = Path(temporary) / "profile"
        own = [*hosted, *static, "-nostdlib++", "-DMBERT_PROFILE", str(HERE / "tools" / "profile.cc")]
        run_clang(triple, [*own, *objects, "-o", str(program)])
        return Path(shutil.copy(program, folder / program.name))


def build_counter(folder: Path, interface: int) -> Path:
    """Builds the qemu plugin that counts instructions, for a version of qemu's plugin interface, and returns its path.

    Raises BuildError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plugin = folder / "instruction_counter.so"
    # qemu defines the functions that it calls, so undefined symbols are allowed.
    own = ["-shared", "-fPIC", "-O2", "-nostdlib++", "-fno-exceptions", "-fno-rtti", "-Wl,-z,undefs"]
    source = HERE / "tools" / "instruction_counter.cc"
    run_clang(TARGETS[host()], [*own, f"-DINTERFACE={interface}", str(source), "-o", str(plugin)])
    return plugin


def with_flags(common: Sequence[str]) -> dict[str, list[str]]:
    """Returns common sources, each with its compiler flags."""
    return {name: ["-Os"] if name in SMALL else [] for name in common}


def sources_of(processor: str, common: Sequence[str]) -> dict[str, list[str]]:
    """Returns common sources and those of an architecture's instruction sets, each with its compiler flags."""
    return with_flags(common) | {name: flags.split() for name, flags in INSTRUCTION_SETS[processor].items()}


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
    command = [sys.executable, "-m", "ziglang", "c++", "-target", triple, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"clang failed for {triple}: {' '.join(arguments)}\n{done.stderr}")


def main() -> int:
    """Runs the command line, and returns the exit status."""
    parser = argparse.ArgumentParser(description="Build mbert's native kernels.")
    parser.add_argument("--target", choices=[*TARGETS, "all"], help="system to build for (default: this machine)")
    parser.add_argument("--profile", action="store_true", help="build the profiling program instead of the library")
    parser.add_argument("--output", type=Path, default=HERE, help="output folder (default: next to the sources)")
    options = parser.parse_args()
    try:
        if options.profile:
            print(build_profile(options.output))
        elif options.target == "all":
            for target in TARGETS:
                print(build(options.output / target, target))
        else:
            print(build(options.output, options.target))
    except BuildError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
