"""What pyproject.toml cannot say: wheels carry a library of native kernels and WebAssembly, which zig's clang builds.

The library is for this machine. It is no Python module, so that one wheel serves all versions of Python; where no
kernels are built for a system, the wheel is made without, since every file runs without them. The .wasm files belong to
the JavaScript package.
"""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

# The build of the kernels is a part of the package, which is not installed yet.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from graphs.kernels import build

# What is built, by the names that setuptools gives to modules of Python: folders, and a name in place of a file's.
LIBRARY = "graphs.kernels.library"
WASM = {f"mbert_onnx.runtime.web.package.wasm.{Path(name).stem}": name for name in build.WASM_FILES}


class BuildKernels(build_ext):
    """Builds the library and the .wasm files where setuptools would build modules of Python."""

    def get_ext_filename(self, fullname: str) -> str:
        *folders, name = fullname.split(".")  # the name alone, where setuptools asks for a path
        file = build.library_name(build.host()) if name == "library" else f"{name}.wasm"
        return str(Path(*folders) / file)

    def copy_extensions_to_source(self) -> None:
        for ext in self.extensions:  # setuptools expects the folders, and git has none that are empty
            folder = Path(__file__).resolve().parent.joinpath(*ext.name.split(".")[:-1])
            folder.mkdir(parents=True, exist_ok=True)
        super().copy_extensions_to_source()

    def build_extension(self, ext: Extension) -> None:
        folder = Path(self.get_ext_fullpath(ext.name)).parent
        if ext.name == LIBRARY:
            build.build(folder)
        else:
            build.build_wasm(folder, [WASM[ext.name]])


class TagWheel(bdist_wheel):
    """For any Python 3, on this platform."""

    def get_tag(self) -> tuple[str, str, str]:
        *_, system = super().get_tag()
        return "py3", "none", system


def here() -> bool:
    """Whether kernels are built for this system."""
    try:
        build.host()
    except build.BuildError as error:
        print(f"mbert-onnx: {error}; the wheel is made without", file=sys.stderr)
        return False
    return True


if here():
    setup(
        ext_modules=[Extension(name, sources=[]) for name in (LIBRARY, *WASM)],
        cmdclass={"build_ext": BuildKernels, "bdist_wheel": TagWheel},
    )
else:
    setup()
