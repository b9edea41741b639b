"""Wheel of this installation for another machine, so that the same code is measured there."""

from __future__ import annotations

import importlib.util
import platform
from importlib import metadata
from pathlib import Path

from wheel.wheelfile import WheelFile

import mbert_onnx
from graphs.kernels import library
from graphs.kernels.build import TARGETS, BuildError, build
from mbert_onnx.benchmark.remote.code_identity import HOME, code, identity
from mbert_onnx.errors import MbertError
from perf.devices.device import Program

DISTRIBUTION = "mbert-onnx"

# Names of systems and machines in `uname` and Python, and in the targets of the kernels.
SYSTEMS = {"linux": "linux", "darwin": "macos", "windows": "windows"}
MACHINES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}

KERNELS = Path("graphs", "kernels")

PROGRAM_MODULE = "mbert_onnx.benchmark.remote.job"


def program() -> Program:
    """Returns the program that runs jobs of `bench --device` on other machines."""
    return Program(PROGRAM_MODULE, identity(), wheel_for)


def wheel_for(system: str, machine: str, folder: Path) -> Path:
    """Writes the wheel into a folder, with the native kernels for that machine if they exist here or can be built.

    Args:
        system, machine: The operating system and architecture, as `uname` names them.
        folder: An existing folder.

    Raises MbertError where this code is not installed, so that its dependencies are unknown.
    """
    path = folder / f"{DISTRIBUTION.replace('-', '_')}-{mbert_onnx.__version__}-py3-none-any.whl"
    kernels = _kernels(system, machine, folder)
    with WheelFile(path, "w") as wheel:
        for name in code():
            wheel.write(str(HOME / name), name.as_posix())
        if kernels is not None:
            wheel.write(str(kernels), (KERNELS / kernels.name).as_posix())
        wheel.writestr(f"{wheel.dist_info_path}/METADATA", _metadata())
        wheel.writestr(
            f"{wheel.dist_info_path}/WHEEL",
            f"Wheel-Version: 1.0\nGenerator: {DISTRIBUTION}\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
    return path


def _metadata() -> str:
    """Returns the fields of this installation's metadata that pip needs."""
    try:
        fields = metadata.metadata(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise MbertError(
            f"{DISTRIBUTION} runs without being installed, so its dependencies are not known: pip install it"
        ) from None
    names = ("Metadata-Version", "Name", "Version", "Requires-Python", "Requires-Dist")
    return "".join(f"{name}: {value}\n" for name in names for value in fields.get_all(name) or [])


def _kernels(system: str, machine: str, folder: Path) -> Path | None:
    """Returns the library for a machine; None where none exists for it and none can be built here."""
    target = _target(system, machine)
    if target not in TARGETS:
        return None
    if target == _target(platform.system(), platform.machine()) and (here := library()) is not None:
        return here
    has_sources = any((HOME / KERNELS).rglob("*.cc"))  # wheels have none
    if not has_sources or importlib.util.find_spec("ziglang") is None:
        return None
    try:
        return build(folder, target)
    except BuildError as error:
        raise MbertError(f"the native kernels cannot be built for {target}: {error}") from None


def _target(system: str, machine: str) -> str:
    return f"{MACHINES.get(machine.lower(), machine)}-{SYSTEMS.get(system.lower(), system)}"
