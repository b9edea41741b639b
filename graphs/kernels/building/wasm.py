"""The standalone runtime as WebAssembly.

Several files, because an engine compiles a module only if it knows all of its instructions, and links a shared memory
only to a module that is built for one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from graphs.kernels.building.compiler import BuildError, compile_sources, run_zig
from graphs.kernels.building.standalone import FLAGS, SMALL_FLAGS, WASM, WASM_THREADS, runtime_sources

# The target's name on the command line, and zig's triple.
TARGET = "wasm32"
TRIPLE = "wasm32-freestanding"

# What all engines with fixed-width SIMD know, and more of what clang may use.
_FEATURES = "generic+simd128+bulk_memory+bulk_memory_opt+nontrapping_fptoint+sign_ext+mutable_globals"

# A stack that overflows traps, because it comes first in memory. The largest array on it is a panel of 64 KB.
STACK_BYTES = 256 * 1024
_LINKED = ("--no-entry", "--gc-sections", "--strip-all", "--stack-first", "-z", f"stack-size={STACK_BYTES}")
# Else each address and each call takes five bytes.
_COMPRESSED = ("-O2", "--compress-relocations")
# A shared memory is imported, and has a largest size.
INITIAL_BYTES, MOST_BYTES = 2**20, 2**32
_SHARED = ("--shared-memory", "--import-memory", f"--initial-memory={INITIAL_BYTES}", f"--max-memory={MOST_BYTES}")

# Sources that depend on whether engines know relaxed SIMD.
_ISAS = ("isa/wasm/wasm", "standalone/system/wasm_isa_selection")
_PROBE = "isa/wasm/relaxed_dot"


@dataclass(frozen=True)
class Module:
    """Features that distinguish one file."""

    is_relaxed: bool
    is_shared: bool


MODULES: Mapping[str, Module] = {
    "mbert.wasm": Module(is_relaxed=False, is_shared=False),
    "mbert-relaxed.wasm": Module(is_relaxed=True, is_shared=False),
    "mbert-threads.wasm": Module(is_relaxed=False, is_shared=True),
    "mbert-relaxed-threads.wasm": Module(is_relaxed=True, is_shared=True),
}


def build_wasm(folder: Path, names: Sequence[str] = tuple(MODULES)) -> list[Path]:
    """Builds files of `MODULES` into a folder, which is created if it does not exist, and returns their paths.

    Raises BuildError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        compiled = _compile([MODULES[name] for name in names], Path(temporary))
        for name in names:
            built = Path(temporary) / name
            _link(compiled[MODULES[name]], _SHARED if MODULES[name].is_shared else (), built)
            # Written beside, then renamed, so that no reader sees a part of it.
            copied = folder / f"{name}.new"
            copied.write_bytes(built.read_bytes())
            copied.replace(folder / name)
    return [folder / name for name in names]


def _compile(modules: Sequence[Module], folder: Path) -> dict[Module, list[str]]:
    """Returns the object files of each module. Modules share what does not depend on relaxed SIMD."""
    found: dict[Module, list[str]] = {module: [] for module in modules}
    for is_shared in {module.is_shared for module in modules}:
        cpu = f"-mcpu={_FEATURES}" + ("+atomics" if is_shared else "")
        sources = runtime_sources(WASM_THREADS if is_shared else WASM) | {"isa/processor": []}
        isas = {name: [*sources.pop(name, []), "-Os", "-fstrict-aliasing"] for name in _ISAS}
        common = _objects(sources, cpu, folder / f"common-{is_shared}")
        for module in modules:
            if module.is_shared == is_shared:
                own = isas | ({_PROBE: list(SMALL_FLAGS)} if module.is_relaxed else {})
                features = cpu + ("+relaxed_simd" if module.is_relaxed else "")
                found[module] = common + _objects(own, features, folder / f"isas-{is_shared}-{module.is_relaxed}")
    return found


def _objects(sources: Mapping[str, Sequence[str]], cpu: str, folder: Path) -> list[str]:
    folder.mkdir()
    return compile_sources(TRIPLE, sources, [cpu, *FLAGS], folder)


def _link(objects: Sequence[str], options: Sequence[str], file: Path) -> None:
    done = run_zig(["wasm-ld", *_LINKED, *_COMPRESSED, *options, *objects, "-o", str(file)])
    if done.returncode:
        raise BuildError(f"the linker failed for {file.name}:\n{done.stderr}")
