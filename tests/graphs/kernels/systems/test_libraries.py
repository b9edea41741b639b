"""The library of each system as its loader reads it: format, alignment, symbols, size; equal builds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from library_files import LibraryFile, archive_symbols, processors_of, read_library

from graphs import kernels
from graphs.kernels import build
from graphs.kernels.building.linking import ANDROID_PAGE
from graphs.kernels.building.targets import processor_of, system_of

LARGEST = 500_000  # bytes, for one processor

INTERFACE = {
    "RegisterCustomOps",
    *(f"mbert_kernels_{name}" for name in ("force_isa", "has", "isa", "known", "register", "version")),
}
# What every program of a system has. Of libSystem's functions for memory, the compiler chooses which it calls.
LIBC = {"getauxval", "getenv"}
APPLE = {"_getenv", "_sched_yield", "___cxa_atexit", "_memcpy", "_memset", "_bzero", "___bzero"}
KERNEL32 = {"KERNEL32.dll:GetEnvironmentVariableA", "KERNEL32.dll:SwitchToThread"}
UNDEFINED = {
    "x86_64-linux": LIBC,
    "aarch64-linux": LIBC,
    "x86_64-android": LIBC,
    "aarch64-android": LIBC,
    "x86_64-macos": {*APPLE, "dyld_stub_binder"},
    "aarch64-macos": {*APPLE, "_sysctlbyname", "dyld_stub_binder"},
    "x86_64-windows": KERNEL32,
    "aarch64-windows": {*KERNEL32, "KERNEL32.dll:IsProcessorFeaturePresent"},
    "aarch64-ios": {*APPLE, "_sysctlbyname", "___dso_handle"},
    "aarch64-ios-simulator": {*APPLE, "_sysctlbyname", "___dso_handle"},
    "x86_64-ios-simulator": {*APPLE, "___dso_handle"},
}
NEEDED = {"android": {"libc.so"}, "macos": {"/usr/lib/libSystem.B.dylib"}, "windows": {"KERNEL32.dll"}}
KINDS = {"linux": "ELF", "android": "ELF", "macos": "Mach-O", "ios": "objects", "windows": "PE"}
SYSTEMS = {
    "x86_64-macos": "MACOS 11.0.0",
    "aarch64-macos": "MACOS 11.0.0",
    "aarch64-ios": "IOS 15.0.0",
    "aarch64-ios-simulator": "IOS_SIMULATOR 15.0.0",
    "x86_64-ios-simulator": "IOS_SIMULATOR 15.0.0",
}
NAMES = {
    "linux": "libmbert_kernels.so",
    "android": "libmbert_kernels.so",
    "macos": "@rpath/libmbert_kernels.dylib",
    "windows": "mbert_kernels.dll",
}
# Page sizes that a system's processors may have: segments are aligned to the largest.
PAGES = {
    "x86_64-linux": 4096,
    "aarch64-linux": 65536,
    "x86_64-android": ANDROID_PAGE,
    "aarch64-android": ANDROID_PAGE,
    "x86_64-macos": 4096,
    "aarch64-macos": 16384,
    "x86_64-windows": 4096,
    "aarch64-windows": 4096,
}
# zig's linker exports two symbols of its own.
LINKER_SYMBOLS = {"___dso_handle", "__mh_dylib_header"}


def check(target: str, library: Path, folder: Path) -> None:
    """Checks a library for one processor; `folder` does not exist yet."""
    found, system = read_library(library, folder), system_of(target)
    assert (found.kind, found.processor) == (KINDS[system], processor_of(target))
    assert found.system == SYSTEMS.get(target, "")
    assert found.name == NAMES.get(system, "")
    assert found.needed == NEEDED.get(system, set())
    assert found.undefined <= UNDEFINED[target]
    underline = "_" if found.kind in ("Mach-O", "objects") else ""
    assert found.exported - LINKER_SYMBOLS == {f"{underline}{name}" for name in INTERFACE}
    check_parts(found, PAGES.get(target, 1))
    assert not found.text_relocations
    assert not found.has_time
    assert library.stat().st_size < LARGEST
    if system == "windows":
        check_import_library(library)
    if found.processor == "aarch64" and system != "linux":
        # Another use: the shadow call stack of Android, the thread's data of Windows, Apple's own.
        assert not {"x18", "w18"} & found.registers()


def check_import_library(library: Path) -> None:
    """Checks the import library of Windows: what programs are linked with by name, and the linker's own symbols."""
    found = archive_symbols(build.import_library(library))
    own = {name for name in found if name.startswith("__") and "IMPORT_DESCRIPTOR" in name}
    own |= {name for name in found if name.endswith("_NULL_THUNK_DATA")}
    assert found - own == INTERFACE | {f"__imp_{name}" for name in INTERFACE}
    assert len(own) == 3
    assert b"mbert_kernels.dll\0" in build.import_library(library).read_bytes()


def check_parts(found: LibraryFile, page: int) -> None:
    assert bool(found.parts) == (found.kind != "objects")
    for part in found.parts:
        assert not (part.writable and part.executable), part
        if found.kind == "ELF":  # a segment's place in memory and in the file agree within a page
            assert part.alignment == page, part
            assert (part.address - part.offset) % page == 0, part
        else:
            assert part.address % page == 0, part
            assert found.kind == "PE" or part.offset % page == 0, part


@pytest.mark.skipif(kernels.library() is None, reason="the kernels are not built here; `make setup` builds them")
def test_library_of_this_machine(tmp_path: Path) -> None:
    library = kernels.library()
    assert library is not None
    check(build.host(), library, tmp_path / "objects")


@pytest.mark.full
@pytest.mark.parametrize("target", build.TARGETS)
def test_library_of_each_system(target: str, tmp_path: Path) -> None:
    check(target, build.build(tmp_path, target), tmp_path / "objects")


@pytest.mark.full
@pytest.mark.parametrize("target", build.UNIVERSAL)
def test_universal_files(target: str, tmp_path: Path) -> None:
    parts = build.UNIVERSAL[target]
    library = build.build(tmp_path, target)
    joined = library.read_bytes()
    for part in parts:
        alone = build.build(tmp_path / part, part).read_bytes()
        place = joined.index(alone)
        assert place % 16384 == 0
        assert joined[8:168].count(place.to_bytes(4, "big") + len(alone).to_bytes(4, "big")) == 1
    if system_of(target) == "macos":
        assert processors_of(library) == [processor_of(part) for part in parts]


@pytest.mark.full
def test_equal_sources_make_equal_bytes(tmp_path: Path) -> None:
    root = Path(__file__).parents[4]
    copied = tmp_path / "sources" / "graphs"
    copied.mkdir(parents=True)
    for name in ("__init__.py", "errors.py"):
        shutil.copy(root / "graphs" / name, copied)
    leave_out = shutil.ignore_patterns("*.so", "*.dylib", "*.dll", "*.lib", "__pycache__")
    shutil.copytree(root / "graphs" / "kernels", copied / "kernels", ignore=leave_out)
    # A compiler's cache would return the first build's objects.
    caches = {f"ZIG_{kind}_CACHE_DIR": str(tmp_path / "cache") for kind in ("GLOBAL", "LOCAL")}
    program, output = str(copied / "kernels" / "build.py"), str(tmp_path / "copy")
    command = [sys.executable, program, "--target", "all", "--output", output]
    done = subprocess.run(command, env={**os.environ, **caches}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for target in (*build.TARGETS, *build.UNIVERSAL):
        name = build.library_name(target)
        one, other = build.build(tmp_path / "one" / target, target), tmp_path / "copy" / target / name
        assert one.read_bytes() == other.read_bytes(), target
        if system_of(target) == "windows":
            assert build.import_library(one).read_bytes() == build.import_library(other).read_bytes(), target


def test_another_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(build.BuildError, match="the target is 'mips-linux'; expected one of x86_64-linux, "):
        build.build(tmp_path, "mips-linux")


def test_this_machine_as_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    for machine, system, expected in [
        ("AMD64", "Windows", "x86_64-windows"),
        ("ARM64", "Windows", "aarch64-windows"),
        ("arm64", "Darwin", "aarch64-macos"),
        ("x86_64", "Darwin", "x86_64-macos"),
    ]:
        monkeypatch.setattr("platform.machine", lambda machine=machine: machine)
        monkeypatch.setattr("platform.system", lambda system=system: system)
        assert build.host() == expected
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(build.BuildError, match="cannot be built for riscv64 on macos; expected one of") as raised:
        build.host()
    assert "ios" not in str(raised.value)
