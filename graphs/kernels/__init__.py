"""The fused operators as native kernels: a library for `SessionOptions.register_custom_ops_library`, written in C++.

A file with functions of the domain `mbert` runs without it. With it, a node that calls such a function is one kernel.
"""

from __future__ import annotations

import ctypes
import functools
import platform
from pathlib import Path

from graphs.errors import GraphError

# The name of the environment variable that chooses an instruction set for a whole process.
VARIABLE = "MBERT_KERNELS_ISA"

_NAMES = {"Linux": "libmbert_kernels.so", "Darwin": "libmbert_kernels.dylib", "Windows": "mbert_kernels.dll"}


def library() -> Path | None:
    """The library; None where this installation has none, as on a system that none is built for."""
    path = Path(__file__).parent / _NAMES.get(platform.system(), "none")
    return path if path.is_file() else None


def instruction_sets() -> dict[str, bool]:
    """Those that the library has been built for, the best first, and whether this processor has each.

    Raises GraphError where there is no library.
    """
    loaded = _loaded()
    found: dict[str, bool] = {}
    while (name := loaded.mbert_kernels_known(len(found))) is not None:
        found[name.decode()] = bool(loaded.mbert_kernels_has(len(found)))
    return found


def instruction_set() -> str:
    """The one that sessions made from now on use.

    Raises GraphError if `MBERT_KERNELS_ISA` names one that is not there.
    """
    name = _loaded().mbert_kernels_isa()
    if name is None:
        raise GraphError(f"{VARIABLE} names an instruction set that is not here; expected one of {_here()}")
    return str(name.decode())


def force_instruction_set(name: str | None) -> None:
    """Makes sessions made from now on use one, whatever the environment says; None: the best again.

    Raises GraphError where this processor or library does not have it.
    """
    if _loaded().mbert_kernels_force_isa(None if name is None else name.encode()):
        raise GraphError(f"no instruction set {name!r} here; expected one of {_here()}")


def _here() -> str:
    return ", ".join(name for name, is_here in instruction_sets().items() if is_here)


@functools.cache
def _loaded() -> ctypes.CDLL:
    path = library()
    if path is None:
        raise GraphError(f"this installation has no native kernels for {platform.system()} on {platform.machine()}")
    loaded = ctypes.CDLL(str(path))
    loaded.mbert_kernels_isa.restype = loaded.mbert_kernels_known.restype = ctypes.c_char_p
    loaded.mbert_kernels_force_isa.argtypes = [ctypes.c_char_p]
    return loaded
