"""Linking the objects of one target to its library.

Nothing of a C or C++ runtime is linked, so that a library loads beside any, and is linked in a second: zig compiles
such a runtime from its sources first.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from graphs.kernels.building.compiler import BuildError, run_clang, run_zig
from graphs.kernels.building.targets import TARGETS, import_library, library_name, processor_of, system_of

# Compiler flags of all sources, by target.
_ANDROID_FLAGS = ("-fPIC", "-DMBERT_ANDROID")
OWN_FLAGS = {
    "x86_64-android": _ANDROID_FLAGS,
    # Register x18 holds Android's shadow call stack. clang knows that of Android, not of musl, as which Android is
    # compiled; and zig does not pass -ffixed-x18 on.
    "aarch64-android": (*_ANDROID_FLAGS, "-Xclang", "-target-feature", "-Xclang", "+reserve-x18"),
    "x86_64-windows": (),
    "aarch64-windows": (),
}
USUAL_FLAGS = ("-fPIC",)

# The larger one of Android's page sizes, 4 and 16 KB.
ANDROID_PAGE = 16384

# Android's dynamic linker looks a symbol up in the libraries that a library names, so ours names libc.so. This stands
# in for it here; only the names matter.
_ANDROID_LIBC = """
extern "C" char* getenv(const char*) { return nullptr; }
extern "C" unsigned long getauxval(unsigned long) { return 0; }
"""

# The functions that Windows' library calls, and the names of processors in dlltool.
_KERNEL32 = """
LIBRARY KERNEL32.dll
EXPORTS
GetEnvironmentVariableA
IsProcessorFeaturePresent
SwitchToThread
"""
_DLLTOOL_MACHINES = {"x86_64": "i386:x86-64", "aarch64": "arm64"}


def link(target: str, objects: Sequence[str], library: Path) -> None:
    """Links objects to a target's library, a new file, on Windows with its import library beside. Raises BuildError.

    The library states its own name: a program that is linked with it would otherwise look for the path that the
    linker was given.
    """
    system = system_of(target)
    with tempfile.TemporaryDirectory() as temporary:
        if system == "ios":
            _run("ar", "rcsD", "--format=darwin", str(library), *objects)
        elif system == "windows":
            _link_windows(target, objects, library, Path(temporary))
        elif system == "macos":
            name = f"-Wl,-install_name,@rpath/{library_name(target)}"
            _link_shared(target, [name, *objects, "-lSystem"], library)
        else:
            name = f"-Wl,-soname,{library_name(target)}"
            others: list[str] = []
            if system == "android":
                libc = _android_libc(target, Path(temporary))
                others = [f"-Wl,-z,max-page-size={ANDROID_PAGE}", "-Wl,-z,defs", str(libc)]
            _link_shared(target, [name, *objects, *others], library)


def _link_shared(target: str, arguments: Sequence[str], library: Path) -> None:
    run_clang(TARGETS[target], ["-shared", "-s", "-nostdlib", "-o", str(library), *arguments])


def _android_libc(target: str, folder: Path) -> Path:
    source, library = folder / "libc.cc", folder / "libc.so"
    source.write_text(_ANDROID_LIBC)
    _link_shared(target, ["-ffreestanding", "-fPIC", "-Wl,-soname,libc.so", str(source)], library)
    return library


def _link_windows(target: str, objects: Sequence[str], library: Path, folder: Path) -> None:
    # `zig c++` would write the time of the build into the file.
    definitions, imports = folder / "kernel32.def", folder / "kernel32.lib"
    definitions.write_text(_KERNEL32)
    _run("dlltool", "-d", str(definitions), "-l", str(imports), "-m", _DLLTOOL_MACHINES[processor_of(target)])
    outputs = [f"/out:{library}", f"/implib:{import_library(library)}"]
    options = ["/dll", "/timestamp:0", "/nodefaultlib", "/entry:DllMainCRTStartup", *outputs]
    _run("lld-link", *options, *objects, str(imports))


def _run(*arguments: str) -> None:
    done = run_zig(arguments)
    if done.returncode:
        raise BuildError(f"zig {arguments[0]} failed: {' '.join(arguments)}\n{done.stderr or done.stdout}")
