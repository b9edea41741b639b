"""The device that runs a benchmark, and the native kernels of that machine."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from graphs.execution.centred_error import largest_centred_error
from mbert_onnx.benchmark.measures import count_macs
from mbert_onnx.benchmark.models import kernels as subject_kernels
from mbert_onnx.benchmark.options import kernels_on
from mbert_onnx.errors import UsageError
from mbert_onnx.runtime.native_kernels import PORTABLE, check_choice, library_for, why_not_native
from perf.devices import LOCAL, Device, device_named
from perf.devices.device import Program
from perf.devices.job import Job
from perf.devices.local import LocalDevice
from perf.results.report import Failure, Report
from perf.sessions.subject import Subject


def find_device(name: str, *, provider: str, kernels: str) -> Device[Report]:
    """Returns the device that `--device` names; `with` connects to it.

    Raises UsageError, perf.errors.PerfUsageError for an unknown name or a value of `--kernels` that cannot be used:
    before minutes are spent on models.
    """
    check_choice(kernels)
    if name == LOCAL:
        library_for(kernels_on(provider, kernels))
    return device_named(name, this_machine(), _program)


def this_machine(*, note_missing: bool = False) -> LocalDevice:
    """Returns this machine as a device, which sets the native kernels of a job's models.

    Args:
        note_missing: Whether models get a note where the native kernels would be used but are not installed.
    """
    return LocalDevice(largest_centred_error, count_macs, partial(set_kernels, note_missing=note_missing))


def set_kernels(job: Job, *, note_missing: bool = False) -> Job:
    """Returns the job with this machine's library of native kernels in its models, as the job's choices ask.

    A model that cannot have them becomes a failure. Raises the first one's UsageError where no model is left, and what
    `kernels_on` raises.
    """
    default = kernels_on(job.options.provider, job.kernels)
    subjects, failures = [], list(job.failures)
    first: UsageError | None = None
    for subject in job.subjects:
        try:
            subjects.append(with_kernels(subject, job.own_kernels.get(subject.name, default), note_missing))
        except UsageError as error:
            failures.append(Failure(subject.name, str(error)))
            first = first or error
    if first is not None and not subjects:
        raise first
    return replace(job, subjects=tuple(subjects), failures=tuple(failures))


def with_kernels(subject: Subject, choice: str, note_missing: bool = False) -> Subject:
    """Returns the subject with this machine's library of native kernels and a note of it.

    Args:
        subject: The model.
        choice: A value of `--kernels`: `auto`, `native` or `portable`.
        note_missing: Whether to note that the library is not installed, where `auto` would use it: on a machine other
            than the one that built the model, a user may expect it.

    Raises UsageError where `native` is chosen, and the kernels compute none of its blocks or are not installed.
    """
    changed = subject_kernels.with_kernels(subject, choice)
    if not note_missing or choice == PORTABLE or library_for(choice) is not None:
        return changed
    if any(map(why_not_native, subject.files)):
        return changed
    note = "run without the native kernels, which this installation has not"
    return replace(changed, notes=(*changed.notes, note))


def _program() -> Program:
    from mbert_onnx.benchmark.remote.wheel import program  # which hashes all code

    return program()
