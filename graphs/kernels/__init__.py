"""Native kernels: a C++ library for `SessionOptions.register_custom_ops_library` that computes `mbert`'s functions.

A model file with these functions also runs without the library. With it, onnxruntime computes each call of a function
by one kernel instead of the function's body.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
from pathlib import Path

from graphs.errors import GraphError

# Environment variable: forces an instruction set for a whole process.
VARIABLE = "MBERT_KERNELS_ISA"

_NAMES = {"Linux": "libmbert_kernels.so", "Darwin": "libmbert_kernels.dylib", "Windows": "mbert_kernels.dll"}


def library() -> Path | None:
    """Returns the library's path; None where this installation has none, because it is not built for this system."""
    path = Path(__file__).parent / _NAMES.get(platform.system(), "none")
    return path if path.is_file() else None


def instruction_sets() -> dict[str, bool]:
    """Returns the library's instruction sets, fastest first, and whether this processor supports each.

    Raises GraphError where there is no library.
    """
    loaded = _loaded()
    known: dict[str, bool] = {}
    while (name := loaded.mbert_kernels_known(len(known))) is not None:
        known[name.decode()] = bool(loaded.mbert_kernels_has(len(known)))
    return known


def instruction_set() -> str:
    """Returns the instruction set of sessions that are created from now on.

    Raises GraphError if `MBERT_KERNELS_ISA` names one that is not supported.
    """
    name = _loaded().mbert_kernels_isa()
    if name is None:
        raise GraphError(
            f"{VARIABLE} is {os.environ.get(VARIABLE)!r}, which this processor lacks; expected one of {_supported()}: "
            "set one, or unset it"
        )
    return str(name.decode())


def force_instruction_set(name: str | None) -> None:
    """Forces the instruction set of sessions that are created from now on. It overrides `MBERT_KERNELS_ISA`.

    Args:
        name: The instruction set; None ends the override.

    Raises GraphError where this processor or library does not support it.
    """
    if _loaded().mbert_kernels_force_isa(None if name is None else name.encode()):
        raise GraphError(f"this processor has no instruction set {name!r}; expected one of {_supported()}")


def _supported() -> str:
    return ", ".join(name for name, is_supported in instruction_sets().items() if is_supported)


@functools.cache
def _loaded() -> ctypes.CDLL:
    path = library()
    if path is None:
        raise GraphError(f"this installation has no native kernels for {platform.system()} on {platform.machine()}")
    loaded = ctypes.CDLL(str(path))
    loaded.mbert_kernels_isa.restype = loaded.mbert_kernels_known.restype = ctypes.c_char_p
    loaded.mbert_kernels_force_isa.argtypes = [ctypes.c_char_p]
    return loaded
