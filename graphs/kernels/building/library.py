"""The library of native kernels for one target."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from graphs.kernels.building.compiler import BuildError, compile_sources
from graphs.kernels.building.linking import OWN_FLAGS, USUAL_FLAGS, link
from graphs.kernels.building.sources import COMMON, LINUX_ONLY, WINDOWS, sources_of
from graphs.kernels.building.targets import (
    TARGETS,
    UNIVERSAL,
    host,
    import_library,
    library_name,
    processor_of,
    system_of,
)
from graphs.kernels.building.universal import universal_file


def build(folder: Path, target: str | None = None) -> Path:
    """Builds the library into a folder, and returns its path. For Windows, its import library is beside it.

    Args:
        folder: Output folder, created if it does not exist.
        target: One of `TARGETS` or `UNIVERSAL`; default: this machine's.

    Raises BuildError.
    """
    target = target or host()
    if target not in TARGETS and target not in UNIVERSAL:
        raise BuildError(f"the target is {target!r}; expected one of {', '.join([*TARGETS, *UNIVERSAL])}")
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / library_name(target)
    with tempfile.TemporaryDirectory() as temporary:
        built = Path(temporary) / library.name
        if target in UNIVERSAL:
            parts = {part: build(Path(temporary) / part, part) for part in UNIVERSAL[target]}
            built.write_bytes(universal_file({processor_of(part): file.read_bytes() for part, file in parts.items()}))
        else:
            link(target, _compile(target, Path(temporary)), built)
        if system_of(target) == "windows":
            _replace(import_library(built), import_library(library))
        _replace(built, library)
    return library


def _replace(built: Path, destination: Path) -> None:
    # Copied next to it, then renamed: writing over a library that is loaded would crash the process that uses it.
    copied = destination.with_name(f"{destination.name}.new")
    shutil.copy(built, copied)
    copied.replace(destination)


def _compile(target: str, folder: Path) -> list[str]:
    system = system_of(target)
    # A static library must not bring a memcpy for the whole program.
    common = [name for name in COMMON if system != "ios" or name != "ort/libc"]
    common += WINDOWS if system == "windows" else ()
    sources = sources_of(processor_of(target), common)
    if system != "linux":
        sources = {name: own for name, own in sources.items() if name not in LINUX_ONLY}
    flags = OWN_FLAGS.get(target, USUAL_FLAGS)
    return compile_sources(TARGETS[target], sources, flags, folder)
