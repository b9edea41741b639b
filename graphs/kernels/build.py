"""Builds the library of kernels, for this machine or another one, with the clang that PyPI's `ziglang` brings.

python graphs/kernels/build.py [--target aarch64-linux] [--output FOLDER]

setup.py runs this when a wheel is made, so it imports nothing of the package, and nothing but the standard library.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent

# What the library is called, by system.
NAMES = {"linux": "libmbert_kernels.so", "macos": "libmbert_kernels.dylib", "windows": "mbert_kernels.dll"}

# zig's names of what we build for. The oldest glibc that Python wheels are made for is 2.17; the library uses one
# function of it, `getenv`.
TARGETS = {
    "x86_64-linux": "x86_64-linux-gnu.2.17",
    "aarch64-linux": "aarch64-linux-gnu.2.17",
    "aarch64-macos": "aarch64-macos.11.0",
    "x86_64-windows": "x86_64-windows-gnu",
}

# No C++ runtime, no exceptions, no C library to speak of; products and sums are rounded each by itself, so that all
# instruction sets give the same numbers.
FLAGS = (
    *("-std=c++17", "-O3", "-g0", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror", "-Wno-psabi"),
    *("-ffreestanding", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics", "-fno-stack-protector"),
    *("-ffp-contract=off", "-fno-math-errno", "-fno-sanitize=all"),
    *("-I", str(HERE)),
)

COMMON = (
    "isa/portable",
    "isa/processor",
    "operators/blocks",
    "operators/bottleneck_attention",
    "operators/isa_selection",
    "operators/library",
    "operators/node",
    "operators/stacked_ffn",
    "operators/weights",
    "ort/libc",
    "ort/ort",
    "ort/scratch",
    "ort/weight_memory",
)

# The part of COMMON that computes and calls nothing of onnxruntime, for programs that run blocks by themselves.
ARITHMETIC = ("isa/portable", "isa/processor", "operators/blocks")

AVX512 = "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512"
# By processor: the file of each instruction set, and what the compiler may use in it.
INSTRUCTION_SETS = {
    "x86_64": {
        "isa/x86/avx2": "-mavx2 -mfma",
        "isa/x86/avx_vnni": "-mavx2 -mfma -mavxvnni",
        "isa/x86/avx512": AVX512,
        "isa/x86/avx512_vnni": f"{AVX512} -mavx512vnni",
        "isa/x86/amx": f"{AVX512} -mamx-tile -mamx-int8",
    },
    "aarch64": {
        "isa/arm/neon": "",
        "isa/arm/neon_i8mm": "-mcpu=generic+dotprod+i8mm",
        "isa/arm/neon_dotprod": "-mcpu=generic+dotprod",
    },
}


class BuildError(Exception):
    """The compiler is not there, or refuses; one line, and what it printed."""


def host() -> str:
    """This machine's target. Raises BuildError where kernels are not built for it."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    system = {"darwin": "macos"}.get(platform.system().lower(), platform.system().lower())
    if f"{machine}-{system}" not in TARGETS:
        raise BuildError(f"no kernels for {machine} on {system}; expected one of {', '.join(TARGETS)}")
    return f"{machine}-{system}"


def build(folder: Path, target: str | None = None) -> Path:
    """Writes the library into a folder, and says where.

    Args:
        folder: Made if it is not there.
        target: One of `TARGETS`; default: this machine's.

    Raises BuildError.
    """
    target = target or host()
    if target not in TARGETS:
        raise BuildError(f"the target is {target!r}; expected one of {', '.join(TARGETS)}")
    processor, system = target.split("-")
    sources = dict.fromkeys(COMMON, "") | INSTRUCTION_SETS[processor]
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / NAMES[system]
    with tempfile.TemporaryDirectory() as made:
        position = [] if system == "windows" else ["-fPIC"]
        objects = _compile(TARGETS[target], sources, position, Path(made))
        fresh = Path(made) / library.name
        bare = ["-nostdlib"] if system == "linux" else []
        _clang(TARGETS[target], ["-shared", "-s", *bare, "-o", str(fresh), *objects])
        # Copied beside, then renamed: a library that is in use is not written over.
        beside = library.with_name(f"{library.name}.new")
        shutil.copy(fresh, beside)
        beside.replace(library)
    return library


def build_profile(folder: Path, target: str | None = None) -> Path:
    """Writes the program `profile` into a folder, for this machine or, complete in itself, for another one.

    Raises BuildError.
    """
    # An emulator has no libraries of another machine's.
    triple, static = (TARGETS[host()], []) if target is None else (f"{target}-musl", ["-static"])
    sources = dict.fromkeys(ARITHMETIC, "") | INSTRUCTION_SETS[triple.split("-")[0]]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as made:
        objects = _compile(triple, sources, ["-DMBERT_PROFILE"], Path(made))
        hosted = [flag for flag in FLAGS if flag != "-ffreestanding"]
        fresh = Path(made) / "profile"
        own = [*hosted, *static, "-nostdlib++", "-DMBERT_PROFILE", str(HERE / "tools" / "profile.cc")]
        _clang(triple, [*own, *objects, "-o", str(fresh)])
        return Path(shutil.copy(fresh, folder / fresh.name))


def build_counter(folder: Path, interface: int) -> Path:
    """Writes the plugin of qemu that counts instructions into a folder, for a version of its interface.

    Raises BuildError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plugin = folder / "instruction_counter.so"
    # What it calls is qemu's own.
    own = ["-shared", "-fPIC", "-O2", "-nostdlib++", "-fno-exceptions", "-fno-rtti", "-Wl,-z,undefs"]
    source = HERE / "tools" / "instruction_counter.cc"
    _clang(TARGETS[host()], [*own, f"-DINTERFACE={interface}", str(source), "-o", str(plugin)])
    return plugin


def _compile(triple: str, sources: dict[str, str], options: list[str], folder: Path) -> list[str]:
    """The objects of sources, each with flags of its own, all at once."""
    objects = [str(folder / f"{name.replace('/', '_')}.o") for name in sources]
    commands = [
        [*FLAGS, *options, *flags.split(), "-c", str(HERE / f"{name}.cc"), "-o", file]
        for (name, flags), file in zip(sources.items(), objects, strict=True)
    ]
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(lambda command: _clang(triple, command), commands):
            pass
    return objects


def _clang(triple: str, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "ziglang", "c++", "-target", triple, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"clang failed for {triple}: {' '.join(arguments)}\n{done.stderr}")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Build mbert's native kernels.")
    parser.add_argument("--target", choices=[*TARGETS, "all"], help="default: this machine")
    parser.add_argument("--profile", action="store_true", help="the program that measures them, instead")
    parser.add_argument("--output", type=Path, default=HERE, help="default: beside the sources")
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
