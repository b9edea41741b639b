"""What pyproject.toml cannot say: wheels carry a library of native kernels, which zig's clang builds for this machine.

The library is no Python module, so that one wheel serves all versions of Python; and where no kernels are built for a
system, the wheel is made without, since every file runs without them.
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


class BuildKernels(build_ext):
    """Builds the library where setuptools would build a module of Python."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split(".")[:-1]) / build.library_name(build.host()))

    def build_extension(self, ext: Extension) -> None:
        build.build(Path(self.get_ext_fullpath(ext.name)).parent)


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
        ext_modules=[Extension("graphs.kernels.library", sources=[])],
        cmdclass={"build_ext": BuildKernels, "bdist_wheel": TagWheel},
    )
else:
    setup()
