"""The standalone runtime: its sources, for native libraries and for WebAssembly, and its native library."""

from __future__ import annotations

from pathlib import Path

from graphs.kernels.building.compiler import compile_sources, run_clang
from graphs.kernels.building.sources import INSTRUCTION_SETS, KERNELS
from graphs.kernels.building.targets import TARGETS, host, processor_of

LIBRARY = "libmbert_runtime.so"

# The runtime's own sources.
OWN = (
    "standalone/host/kernel_info",
    "standalone/host/memory",
    "standalone/host/node_run",
    "standalone/host/ort",
    "standalone/model/arena",
    "standalone/reader/attributes",
    "standalone/model/describe",
    "standalone/loader/branches",
    "standalone/loader/file_memory",
    "standalone/loader/loader",
    "standalone/model/model",
    "standalone/loader/names",
    "standalone/reader/node_view",
    "standalone/loader/nodes",
    "standalone/reader/tensors",
    "standalone/reader/wire",
    "standalone/operators/kernels",
    "standalone/operators/signatures",
    "standalone/operators/standard/elementwise",
    "standalone/operators/numbers/functions",
    "standalone/operators/standard/movement",
    "standalone/operators/standard/packed_product",
    "standalone/operators/standard/products",
    "standalone/operators/standard/ranking",
    "standalone/operators/standard/reductions",
    "standalone/operators/numbers/strips",
    "standalone/operators/table",
    "standalone/runtime",
    "standalone/system/weight_memory",
)

# What the host has: memory and threads.
NATIVE = ("operators/isa_selection", "standalone/system/native_memory", "standalone/system/no_workers")
_WASM = (
    "ort/libc",
    "standalone/system/wasm_environment",
    "standalone/system/wasm_isa_selection",
    "standalone/system/wasm_memory",
)
WASM = (*_WASM, "standalone/system/no_workers")
WASM_THREADS = (*_WASM, "standalone/system/wasm_workers")

# Sources whose loops take a part of a run's time. All others are compiled for size.
FAST = ("standalone/operators/numbers/strips",)

# zig passes -Os to clang for -Oz; -Xclang passes -Oz itself.
SMALL_FLAGS = ("-Os", "-Xclang", "-Oz")

# Flags of all of these sources. Numbers of different types share memory.
FLAGS = ("-DMBERT_STANDALONE", "-fno-strict-aliasing")


def runtime_sources(system: tuple[str, ...]) -> dict[str, list[str]]:
    """Returns the sources of a system, `NATIVE` or `WASM`, without those of instruction sets, each with its flags."""
    return {name: ["-Os"] if name in FAST else list(SMALL_FLAGS) for name in OWN + KERNELS + system}


def build_runtime(folder: Path, *, portable: bool = False) -> Path:
    """Builds the native library of the runtime, for tests on this machine, and returns its path.

    Args:
        folder: Output folder.
        portable: Whether the library has the portable instruction set only, which is compiled in a fifth of the time.

    Raises BuildError.
    """
    triple, processor = TARGETS[host()], processor_of(host())
    sources = runtime_sources(NATIVE) | {"isa/portable": [], "isa/processor": []}
    if not portable:
        sources |= {name: flags.split() for name, flags in INSTRUCTION_SETS[processor].items()}
    options = ["-fPIC", *FLAGS, *(["-DMBERT_PORTABLE_ONLY"] if portable else [])]
    objects = compile_sources(triple, sources, options, folder)
    run_clang(triple, ["-shared", "-s", "-nostdlib++", "-o", str(folder / LIBRARY), *objects])
    return folder / LIBRARY
