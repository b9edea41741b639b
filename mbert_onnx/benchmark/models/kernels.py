"""Whether a model that is timed gets the native kernels of this machine."""

from __future__ import annotations

from dataclasses import replace

from mbert_onnx.errors import UsageError
from mbert_onnx.runtime.native_kernels import NATIVE, kernels, left_to_bodies, library_for, why_not_native
from perf.sessions.runtimes import ONNXRUNTIME
from perf.sessions.subject import Subject


def with_kernels(subject: Subject, choice: str) -> Subject:
    """The model with the library where that computes its blocks, by `--kernels`, and a note of it; else as it is.

    Raises UsageError where `native` cannot be had.
    """
    library = library_for(choice)
    if library is None or subject.runtime != ONNXRUNTIME:
        return subject
    for file in subject.files:
        reason = why_not_native(file)
        if reason is not None and choice == NATIVE:
            raise UsageError(f"the native kernels compute no block of {subject.name}: {reason}; pass --kernels auto")
        if reason is not None:
            left_to_bodies(file, reason)
            return subject
    note = f"run with the native kernels, {kernels().instruction_set}"
    return replace(subject, library=library, notes=(*subject.notes, note))
