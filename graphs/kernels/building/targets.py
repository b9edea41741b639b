"""Systems and processors for which the library is built.

A target's name is PROCESSOR-SYSTEM, or PROCESSOR-SYSTEM-VARIANT.
"""

from __future__ import annotations

import platform
from pathlib import Path

from graphs.kernels.building.compiler import BuildError

# File name of the library, by system. Apps for iOS are linked with it: Apple's store takes no loose dynamic library.
NAMES = {
    "linux": "libmbert_kernels.so",
    "android": "libmbert_kernels.so",
    "macos": "libmbert_kernels.dylib",
    "ios": "libmbert_kernels.a",
    "windows": "mbert_kernels.dll",
}

# zig's triples, by our names. Linux's libraries name no C library, and find `getenv` and `getauxval` in the one that
# the process has, so that they are for musl, too. zig has no libc of Android; musl's calls and types are the same.
TARGETS = {
    "x86_64-linux": "x86_64-linux-gnu.2.17",
    "aarch64-linux": "aarch64-linux-gnu.2.17",
    "x86_64-macos": "x86_64-macos.11.0",
    "aarch64-macos": "aarch64-macos.11.0",
    "x86_64-windows": "x86_64-windows-gnu",
    "aarch64-windows": "aarch64-windows-gnu",
    "x86_64-android": "x86_64-linux-musl",
    "aarch64-android": "aarch64-linux-musl",
    "aarch64-ios": "aarch64-ios.15.0",
    "aarch64-ios-simulator": "aarch64-ios.15.0-simulator",
    "x86_64-ios-simulator": "x86_64-ios.15.0-simulator",
}

# Files with the code of two processors, and the targets of their parts.
UNIVERSAL = {
    "universal-macos": ("x86_64-macos", "aarch64-macos"),
    "universal-ios-simulator": ("x86_64-ios-simulator", "aarch64-ios-simulator"),
}

# Systems that build and run this package themselves.
_HOSTS = ("linux", "macos", "windows")


def host() -> str:
    """Returns this machine's target. Raises BuildError where it is not one of `TARGETS`."""
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    system = {"darwin": "macos"}.get(platform.system().lower(), platform.system().lower())
    hosts = [target for target in TARGETS if target.partition("-")[2] in _HOSTS]
    if f"{machine}-{system}" not in hosts:
        raise BuildError(f"the kernels cannot be built for {machine} on {system}; expected one of {', '.join(hosts)}")
    return f"{machine}-{system}"


def system_of(target: str) -> str:
    """Returns a target's system, a key of `NAMES`."""
    return target.split("-")[1]


def processor_of(target: str) -> str:
    """Returns a target's processor, a key of `INSTRUCTION_SETS`, or `universal`."""
    return target.split("-")[0]


def library_name(target: str) -> str:
    """Returns the file name of a target's library."""
    return NAMES[system_of(target)]


def import_library(library: Path) -> Path:
    """Returns the path of the import library of a library for Windows: programs there are linked with that file."""
    return library.with_suffix(".lib")
