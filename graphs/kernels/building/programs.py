"""Programs beside the library: the profile, and the plugin of qemu that counts instructions."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from graphs.kernels.building.compiler import FLAGS, HERE, compile_sources, run_clang
from graphs.kernels.building.sources import ARITHMETIC, sources_of
from graphs.kernels.building.targets import TARGETS, host


def build_profile(folder: Path, target: str | None = None) -> Path:
    """Builds the profiling program into a folder, and returns its path.

    Args:
        folder: Output folder, created if it does not exist.
        target: A target on Linux, for a statically linked program; default: this machine, linked dynamically.

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
