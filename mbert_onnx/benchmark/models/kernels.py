"""Native kernels for a subject of a benchmark."""

from __future__ import annotations

from dataclasses import replace

from mbert_onnx.errors import UsageError
from mbert_onnx.runtime.native_kernels import NATIVE, kernels, library_for, log_portable_run, why_not_native
from perf.sessions.runtimes import ONNXRUNTIME
from perf.sessions.subject import Subject


def with_kernels(subject: Subject, choice: str) -> Subject:
    """Returns the subject with the library of native kernels and a note of it; unchanged where they compute no block.

    Args:
        subject: The model.
        choice: A value of `--kernels`: `auto`, `native` or `portable`.

    Raises UsageError where `native` is chosen, and the kernels compute none of its blocks or are not installed.
    """
    library = library_for(choice)
    if library is None or subject.runtime != ONNXRUNTIME:
        return subject
    for file in subject.files:
        reason = why_not_native(file)
        if reason is not None and choice == NATIVE:
            raise UsageError(f"the native kernels compute no block of {subject.name}: {reason}; pass --kernels auto")
        if reason is not None:
            log_portable_run(file, reason)
            return subject
    note = f"run with the native kernels, {kernels().instruction_set}"
    return replace(subject, library=library, notes=(*subject.notes, note))
