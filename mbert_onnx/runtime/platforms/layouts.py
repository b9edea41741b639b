"""Layouts of the folders: the libraries of each platform, where its build tools look for them, and the files beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# The path of a library is that of its folder; the file has the name that its system gives it.
_DESKTOP = ("open_with_kernels.cpp", "open_with_kernels.rs", "open_with_kernels.go", "README.md")


@dataclass(frozen=True)
class Layout:
    """The folder of one platform.

    Args:
        title: The platform's name for people.
        libraries: Targets of `graphs/kernels/build.py`, by the folder of each library.
        templates: The folder of the templates.
        files: Names of the templates, which are copied to the top with $version, $title, $files,
            $note and $linking filled in.
        note: The end of the README's sentence about what the library needs.
        linking: The README's sentences on how a program in C or C++ is linked with the library.
        has_xcframework: Whether the libraries are in an XCFramework, with header and module map.
        has_import_libraries: Whether each library has its import library beside it: linkers of Windows need it.
    """

    title: str
    libraries: Mapping[str, str]
    templates: str
    files: tuple[str, ...]
    note: str = ""
    linking: str = ""
    has_xcframework: bool = field(default=False)
    has_import_libraries: bool = field(default=False)


LAYOUTS: Mapping[str, Layout] = {
    "android": Layout(
        "Android",
        {"jniLibs/arm64-v8a": "aarch64-android", "jniLibs/x86_64": "x86_64-android"},
        "android",
        ("MbertKernels.kt", "README.md"),
    ),
    "ios": Layout(
        "iOS",
        {"ios-arm64": "aarch64-ios", "ios-arm64_x86_64-simulator": "universal-ios-simulator"},
        "ios",
        ("MbertKernels.swift", "Package.swift", "README.md"),
        has_xcframework=True,
    ),
    "linux": Layout(
        "Linux",
        {"lib/x86_64": "x86_64-linux", "lib/aarch64": "aarch64-linux"},
        "desktop",
        _DESKTOP,
        ", so that it is for glibc and musl",
        "`cc program.c -Iinclude -Llib/x86_64 -lmbert_kernels -Wl,-rpath,'$ORIGIN'` links a program that takes\n"
        "`libmbert_kernels.so` from its own folder; without `-Wl,-rpath`, from where the system looks for libraries.",
    ),
    "macos": Layout(
        "macOS",
        {"lib": "universal-macos"},
        "desktop",
        _DESKTOP,
        "; it is for both processors",
        "`cc program.c -Iinclude -Llib -lmbert_kernels -Wl,-rpath,@loader_path` links a program that takes\n"
        "`libmbert_kernels.dylib` from its own folder.",
    ),
    "windows": Layout(
        "Windows",
        {"bin/x64": "x86_64-windows", "bin/arm64": "aarch64-windows"},
        "desktop",
        _DESKTOP,
        ", only Windows",
        "`cl program.c /Iinclude bin\\x64\\mbert_kernels.lib` links a program, which takes `mbert_kernels.dll` from\n"
        "its own folder. The `.lib` is the import library: the linker needs it, the program does not.",
        has_import_libraries=True,
    ),
    "dotnet": Layout(
        ".NET",
        {
            f"runtimes/{rid}/native": target
            for rid, target in {
                "linux-x64": "x86_64-linux",
                "linux-arm64": "aarch64-linux",
                "linux-musl-x64": "x86_64-linux",
                "linux-musl-arm64": "aarch64-linux",
                "osx-x64": "x86_64-macos",
                "osx-arm64": "aarch64-macos",
                "win-x64": "x86_64-windows",
                "win-arm64": "aarch64-windows",
            }.items()
        },
        "dotnet",
        ("MbertKernels.cs", "MbertKernels.targets", "README.md"),
    ),
    "node": Layout(
        "Node",
        {
            f"prebuilds/{name}": target
            for name, target in {
                "linux-x64": "x86_64-linux",
                "linux-arm64": "aarch64-linux",
                "darwin-x64": "x86_64-macos",
                "darwin-arm64": "aarch64-macos",
                "win32-x64": "x86_64-windows",
                "win32-arm64": "aarch64-windows",
            }.items()
        },
        "node",
        ("index.mjs", "package.json", "README.md"),
    ),
}
