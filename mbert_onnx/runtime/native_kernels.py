"""The native kernels of this installation, and the choice between them and the functions' bodies."""

from __future__ import annotations

import importlib
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mbert_onnx.bundles.proto_file import read_proto
from mbert_onnx.errors import MbertError, UsageError
from mbert_onnx.errors.requirements import require_beside

AUTO, NATIVE, PORTABLE = "auto", "native", "portable"
# Values of `--kernels`: the library where it is installed; the library, or an error; the file's own function bodies.
CHOICES = (AUTO, NATIVE, PORTABLE)

# Why an fp16 file of an earlier version, or of MobileBERT_TINY, runs without the kernels: their other operators have no
# float16.
HALF = (
    "its blocks are in half precision, outside of mbert.EncoderFloat16, as in files of earlier versions and of models "
    "without bottleneck attention"
)


@dataclass(frozen=True)
class Kernels:
    """The native library of this installation.

    Args:
        library: Its path; None where this installation has none.
        instruction_set: The instruction set of sessions that are created from now on.
        instruction_sets: The instruction sets that it is built for, fastest first, and whether this processor supports
            each.
    """

    library: Path | None
    instruction_set: str | None
    instruction_sets: dict[str, bool]

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields as plain data for JSON."""
        return {**asdict(self), "library": None if self.library is None else str(self.library)}


def kernels(instruction_set: str | None = None) -> Kernels:
    """Returns the native kernels of this installation, and optionally forces their instruction set.

    Args:
        instruction_set: Forces this instruction set, such as `avx2`, for sessions that this process creates from now
            on; `best` ends that. The environment variable `MBERT_KERNELS_ISA` does the same for a whole process.

    Raises UsageError for an instruction set that is not supported.
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
    """Checks a value of `--kernels`. Raises UsageError for an unknown one."""
    if choice not in CHOICES:
        raise UsageError(f"--kernels is {choice!r}; expected one of {', '.join(CHOICES)}")


def library_for(choice: str) -> Path | None:
    """Returns the library that a session registers for a value of `--kernels`; None for none.

    Raises UsageError for an unknown value, for `native` where this installation has no library, and where
    `MBERT_KERNELS_ISA` names an instruction set that is not supported, which otherwise would fail in onnxruntime.
    """
    check_choice(choice)
    if choice == PORTABLE:
        return None
    try:
        library = _native().library()
    except MbertError:
        # A model also runs without `graphs`, so another package of that name is not an error here.
        if choice == NATIVE:
            raise
        return None
    if library is None and choice == NATIVE:
        raise UsageError(
            "--kernels is native, and this installation has no library of kernels; expected Linux, macOS or Windows "
            "on x86-64 or aarch64. With --kernels auto the same file runs without it"
        )
    if library is not None:
        kernels()
    return library


def why_not_native(path: Path) -> str | None:
    """Returns the reason why the kernels compute no block of an `.onnx`; None where they compute some.

    Raises BundleError for a file that is not an ONNX model.
    """
    import onnx  # imported here, because running a model does not need it

    require_beside("graphs")
    from graphs.functions import DOMAIN, embeddings, encoder

    model = read_proto(path)
    if not any(function.domain == DOMAIN for function in model.functions):
        return (
            "it has no functions of the domain mbert; `mbert-onnx export` writes them, unless --no-functions is given"
        )
    halves = {t.name for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16}
    others = [node for node in model.graph.node if node.op_type not in (encoder.FLOAT16, embeddings.FLOAT16)]
    if any(node.domain == DOMAIN and halves.intersection(node.input) for node in others):
        return HALF
    return None


def log_portable_run(path: Path, reason: str) -> None:
    """Logs to `mbert_onnx` that a file runs by its function bodies, although the kernels are installed."""
    logging.getLogger("mbert_onnx").info("%s runs without the native kernels: %s", path, reason)


def _native() -> ModuleType:
    """Returns the module `graphs.kernels`. Raises MbertError where another package is called `graphs`."""
    require_beside("graphs")
    return importlib.import_module("graphs.kernels")
