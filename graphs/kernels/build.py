"""Builds the library of native kernels, for this machine or another one, with the clang in PyPI's `ziglang`.

python graphs/kernels/build.py [--target aarch64-linux] [--output FOLDER]
python graphs/kernels/build.py --target wasm32 --output FOLDER

The second writes the standalone runtime as WebAssembly: the four files of `building/wasm.py`.

setup.py runs this when it builds a wheel, so that it imports only the standard library. The parts are in `building/`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":  # Python puts this file's folder first on the path, not the repository's
    sys.path[0] = str(Path(__file__).resolve().parents[2])

from graphs.kernels.building.compiler import FLAGS, HERE, BuildError, compile_sources, has_compiler, run_clang
from graphs.kernels.building.library import build
from graphs.kernels.building.programs import build_counter, build_profile
from graphs.kernels.building.sources import ARITHMETIC, COMMON, INSTRUCTION_SETS, TEXT, sources_of, with_flags
from graphs.kernels.building.targets import NAMES, TARGETS, UNIVERSAL, host, import_library, library_name
from graphs.kernels.building.wasm import MODULES as WASM_FILES
from graphs.kernels.building.wasm import TARGET as WASM
from graphs.kernels.building.wasm import build_wasm

__all__ = [
    "ARITHMETIC",
    "COMMON",
    "FLAGS",
    "HERE",
    "INSTRUCTION_SETS",
    "NAMES",
    "TARGETS",
    "TEXT",
    "UNIVERSAL",
    "WASM_FILES",
    "BuildError",
    "build",
    "build_counter",
    "build_profile",
    "build_wasm",
    "compile_sources",
    "has_compiler",
    "host",
    "import_library",
    "library_name",
    "run_clang",
    "sources_of",
    "with_flags",
]


def main() -> int:
    """Runs the command line, and returns the exit status."""
    parser = argparse.ArgumentParser(description="Build mbert's native kernels.")
    targets = [*TARGETS, *UNIVERSAL]
    parser.add_argument("--target", choices=[*targets, WASM, "all"], help="system to build for (default: this machine)")
    parser.add_argument("--profile", action="store_true", help="build the profiling program instead of the library")
    parser.add_argument("--output", type=Path, default=HERE, help="output folder (default: next to the sources)")
    options = parser.parse_args()
    try:
        if options.profile:
            print(build_profile(options.output))
        elif options.target == WASM:
            for file in build_wasm(options.output):
                print(file)
        elif options.target == "all":
            for target in targets:
                print(build(options.output / target, target))
            for file in build_wasm(options.output / WASM):
                print(file)
        else:
            print(build(options.output, options.target))
    except BuildError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
