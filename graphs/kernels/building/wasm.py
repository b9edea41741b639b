"""The standalone runtime as WebAssembly.

Several files, because an engine compiles a module only if it knows all of its instructions, and links a shared memory
only to a module that is built for one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from graphs.kernels.building.compiler import BuildError, compile_sources, run_zig
from graphs.kernels.building.standalone import FLAGS, WASM, WASM_THREADS, runtime_sources

# The target's name on the command line, and zig's triple.
TARGET = "wasm32"
TRIPLE = "wasm32-freestanding"

# What all engines with fixed-width SIMD know, and more of what clang may use.
_FEATURES = "generic+simd128+bulk_memory+bulk_memory_opt+nontrapping_fptoint+sign_ext+mutable_globals"
_FIXED = ("isa/processor", "isa/wasm/wasm")
_RELAXED = (*_FIXED, "isa/wasm/relaxed_dot")

# A stack that overflows traps, because it comes first in memory. The largest array on it is a panel of 64 KB.
STACK_BYTES = 256 * 1024
_LINKED = ("--no-entry", "--gc-sections", "--strip-all", "--stack-first", "-z", f"stack-size={STACK_BYTES}")
# A shared memory is imported, and must have a largest size.
INITIAL_BYTES = 2**20
_SHARED = ("--shared-memory", "--import-memory", f"--initial-memory={INITIAL_BYTES}", f"--max-memory={2**32}")


class Module:
    """One file: its sources of instruction sets, clang's features, and the linker's options."""

    def __init__(self, isas: Sequence[str], features: str, sources: tuple[str, ...], options: Sequence[str]) -> None:
        self.isas, self.cpu, self.sources, self.options = isas, f"-mcpu={_FEATURES}{features}", sources, options


MODULES: Mapping[str, Module] = {
    "mbert.wasm": Module(_FIXED, "", WASM, ()),
    "mbert-relaxed.wasm": Module(_RELAXED, "+relaxed_simd", WASM, ()),
    "mbert-threads.wasm": Module(_FIXED, "+atomics", WASM_THREADS, _SHARED),
    "mbert-relaxed-threads.wasm": Module(_RELAXED, "+atomics+relaxed_simd", WASM_THREADS, _SHARED),
}


def build_wasm(folder: Path, names: Sequence[str] = tuple(MODULES)) -> list[Path]:
    """Builds files of `MODULES` into a folder, which is created if it does not exist, and returns their paths.

    Raises BuildError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [_build_module(folder / name, MODULES[name]) for name in names]


def _build_module(file: Path, module: Module) -> Path:
    with tempfile.TemporaryDirectory() as temporary:
        sources = wasm_sources(module.isas, module.sources)
        objects = compile_sources(TRIPLE, sources, [module.cpu, *FLAGS], Path(temporary))
        link(objects, module.options, Path(temporary) / file.name)
        # Written beside, then renamed, so that no reader sees a part of it.
        copied = file.with_name(f"{file.name}.new")
        copied.write_bytes((Path(temporary) / file.name).read_bytes())
        copied.replace(file)
    return file


def wasm_sources(isas: Sequence[str], system: tuple[str, ...]) -> dict[str, list[str]]:
    """Returns the sources of a module, each with its compiler flags."""
    return runtime_sources(system) | {name: ["-Os", "-fstrict-aliasing"] for name in isas}


def link(objects: Sequence[str], options: Sequence[str], file: Path) -> None:
    """Links objects to a module. Raises BuildError."""
    done = run_zig(["wasm-ld", *_LINKED, *options, *objects, "-o", str(file)])
    if done.returncode:
        raise BuildError(f"the linker failed for {file.name}:\n{done.stderr}")
