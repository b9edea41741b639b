"""Whether a session gets the native kernels."""

from __future__ import annotations

import importlib
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mbert_onnx._requirements import require_beside
from mbert_onnx.errors import MbertError, UsageError

AUTO, NATIVE, PORTABLE = "auto", "native", "portable"
# What `--kernels` takes: the library where it is there, the library or an error, and the file's own function bodies.
CHOICES = (AUTO, NATIVE, PORTABLE)

# Why a file of fp16 is run without them.
HALF = "it is in half precision; the kernels are for fp32 and int8"


@dataclass(frozen=True)
class Kernels:
    """The native library of this installation.

    Args:
        library: Where it is; None where there is none.
        instruction_set: What sessions made from now on use.
        instruction_sets: Those that it is built for, the best first, and whether this processor has each.
    """

    library: Path | None
    instruction_set: str | None
    instruction_sets: dict[str, bool]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "library": None if self.library is None else str(self.library)}


def kernels(instruction_set: str | None = None) -> Kernels:
    """What native kernels there are here.

    Args:
        instruction_set: Makes sessions that this process makes from now on use it, such as `avx2`; `best` undoes that.
            The environment variable `MBERT_KERNELS_ISA` does it from outside.

    Raises UsageError for an instruction set that is not there.
    """
    native = _native()
    from graphs.errors import GraphError

    try:
        if instruction_set is not None:
            native.force_instruction_set(None if instruction_set == "best" else instruction_set)
        library = native.library()
        if library is None:
            return Kernels(None, None, {})
        return Kernels(library, native.instruction_set(), native.instruction_sets())
    except GraphError as error:
        raise UsageError(str(error)) from error


def check_choice(choice: str) -> None:
    """Raises UsageError for what `--kernels` does not take."""
    if choice not in CHOICES:
        raise UsageError(f"--kernels is {choice!r}; expected one of {', '.join(CHOICES)}")


def library_for(choice: str) -> Path | None:
    """The library that a session should register, by `--kernels`; None for none.

    Raises UsageError for another choice, and for `native` where there is no library.
    """
    check_choice(choice)
    if choice == PORTABLE:
        return None
    try:
        library = _native().library()
    except MbertError:
        # Answering needs nothing of `graphs`, so another module of that name is in nobody's way.
        if choice == NATIVE:
            raise
        return None
    if library is None and choice == NATIVE:
        raise UsageError(
            "--kernels is native, and this installation has no library of them; expected Linux, macOS or Windows on a "
            "processor that it is built for: pass auto, and the same file runs without"
        )
    return library


def why_not_native(path: Path) -> str | None:
    """Why the kernels compute no block of an `.onnx`; None where they do."""
    import onnx  # a program that only answers questions does without

    require_beside("graphs")
    from graphs.functions import DOMAIN

    model = onnx.load(path, load_external_data=False)
    if not any(function.domain == DOMAIN for function in model.functions):
        return "it has no functions of ours; an .onnx that `mbert-onnx export` writes has them, unless --no-functions"
    if onnx.TensorProto.FLOAT16 in {tensor.data_type for tensor in model.graph.initializer}:
        return HALF
    return None


def left_to_bodies(path: Path, reason: str) -> None:
    """Tells the log `mbert_onnx` that a file is run by its own function bodies, though the kernels are there."""
    logging.getLogger("mbert_onnx").info("%s runs without the native kernels: %s", path, reason)


def _native() -> ModuleType:
    """`graphs.kernels`, if it is ours; MbertError if not."""
    require_beside("graphs")
    return importlib.import_module("graphs.kernels")
