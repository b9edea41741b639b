"""What pyproject.toml cannot say: wheels carry a library of native kernels, which zig's clang builds for this machine.

The library is no Python module, so that one wheel serves all versions of Python; and where no kernels are built for a
system, the wheel is made without, since every file runs without them.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

KERNELS = Path(__file__).parent / "graphs" / "kernels"


def build_module() -> ModuleType:
    """graphs/kernels/build.py, by its place: the packages around it need what is not installed yet."""
    spec = importlib.util.spec_from_file_location("build_kernels", KERNELS / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BUILD = build_module()


class BuildKernels(build_ext):
    """Builds the library where setuptools would build a module of Python."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split(".")[:-1]) / BUILD.NAMES[BUILD.host().split("-")[1]])

    def build_extension(self, ext: Extension) -> None:
        BUILD.build(Path(self.get_ext_fullpath(ext.name)).parent)


class TagWheel(bdist_wheel):
    """For any Python 3, on this platform."""

    def get_tag(self) -> tuple[str, str, str]:
        *_, system = super().get_tag()
        return "py3", "none", system


def here() -> bool:
    """Whether kernels are built for this system."""
    try:
        BUILD.host()
    except BUILD.BuildError as error:
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
