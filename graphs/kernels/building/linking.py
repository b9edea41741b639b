"""Linking the objects of one target to its library."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from graphs.kernels.building.compiler import BuildError, run_clang, run_zig
from graphs.kernels.building.targets import TARGETS, library_name, system_of

# Compiler flags of all sources, by system. Register x18 holds Android's shadow call stack, which musl does not know.
OWN_FLAGS = {"android": ("-DMBERT_ANDROID", "-ffixed-x18")}

# The page sizes of Android are 4 and 16 KB. Symbols that are undefined would be a failure at run time.
ANDROID_PAGE = 16384
_LINKER_FLAGS = {
    "linux": ("-nostdlib",),
    "android": ("-nostdlib", f"-Wl,-z,max-page-size={ANDROID_PAGE}", "-Wl,-z,defs", "-Wl,-soname,{name}"),
    "macos": (),
    "windows": (),
}

# Android's dynamic linker looks a symbol up in the libraries that a library names, so ours must name libc.so. This
# stands in for it at the build: the names alone count.
_ANDROID_LIBC = """
char* getenv(const char*) { return nullptr; }
unsigned long getauxval(unsigned long) { return 0; }
"""


def link(target: str, objects: Sequence[str], library: Path) -> None:
    """Links objects to a target's library, a new file. Raises BuildError."""
    system = system_of(target)
    if system == "ios":
        _archive(objects, library)
        return
    flags = [flag.format(name=library_name(target)) for flag in _LINKER_FLAGS[system]]
    with tempfile.TemporaryDirectory() as temporary:
        needed = [str(_android_libc(target, Path(temporary)))] if system == "android" else []
        run_clang(TARGETS[target], ["-shared", "-s", *flags, "-o", str(library), *objects, *needed])


def _archive(objects: Sequence[str], library: Path) -> None:
    done = run_zig(["ar", "rcsD", "--format=darwin", str(library), *objects])
    if done.returncode:
        raise BuildError(f"ar failed for {library.name}\n{done.stderr}")


def _android_libc(target: str, folder: Path) -> Path:
    source, library = folder / "libc.cc", folder / "libc.so"
    source.write_text(f'extern "C" {{{_ANDROID_LIBC}}}\n')
    run_clang(
        TARGETS[target],
        ["-shared", "-nostdlib", "-ffreestanding", "-fPIC", "-Wl,-soname,libc.so", "-o", str(library), str(source)],
    )
    return library
