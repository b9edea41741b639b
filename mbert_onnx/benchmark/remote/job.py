"""`python -m mbert_onnx.benchmark.remote.job FOLDER`: what a machine does that `bench --device` has reached."""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mbert_onnx.errors import UsageError

if TYPE_CHECKING:
    from perf.sessions.subject import Subject

IDENTITY = "--identity"
INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Does the job of a folder, whose report is then in it; or prints in one line why not, and returns 1 or 2.

    With `--identity` it prints which code this is. A Ctrl-C before anything was measured gives 130.
    """
    # A shell without a terminal starts what runs beside it with interrupts ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if arguments == [IDENTITY]:
            from mbert_onnx.benchmark.remote.code_identity import identity

            print(identity())
        elif len(arguments) == 1:
            do(Path(arguments[0]))
        else:
            raise UsageError(f"found {len(arguments)} arguments; expected a folder with a job")
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        # The errors of our three packages carry their exit code. Any other is a mistake of ours, and shows where.
        code = getattr(error, "exit_code", None)
        if not isinstance(code, int):
            raise
        print(" ".join(str(error).split()))
        return code
    return 0


def do(folder: Path) -> None:
    """Does a folder's job, with the native kernels of this machine, and writes the report beside it.

    Raises what `bench` does.
    """
    from mbert_onnx._requirements import require_beside

    require_beside("graphs")
    require_beside("perf")
    from graphs.execution.centred_error import largest_centred_error
    from mbert_onnx.benchmark.measures import count_macs
    from mbert_onnx.benchmark.options import kernels_on
    from perf.devices.device import TOLD
    from perf.devices.job import REPORT, unpack
    from perf.devices.local import LocalDevice
    from perf.results.report import Failure

    job = unpack(folder)
    kernels = kernels_on(job.provider, job.kernels)
    subjects, failures = [], [*job.failures]
    for subject in job.subjects:
        try:
            subjects.append(with_kernels(subject, job.own_kernels.get(subject.name, kernels)))
        except UsageError as error:
            if len(job.subjects) == 1:
                raise
            failures.append(Failure(subject.name, str(error)))
    report = LocalDevice(largest_centred_error, count_macs).bench(
        replace(job, subjects=tuple(subjects), failures=tuple(failures)),
        lambda line: print(f"{TOLD}{line}", file=sys.stderr, flush=True),
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is measured, and not to be lost for a moment's patience
    report.write_json(folder / REPORT)


def with_kernels(subject: Subject, choice: str) -> Subject:
    """A model with this machine's library of native kernels, by `--kernels`, and a note of whether it has one.

    Raises UsageError where `native` cannot be had.
    """
    from mbert_onnx.benchmark.models import kernels as subject_kernels
    from mbert_onnx.runtime.native_kernels import PORTABLE, library_for, why_not_native

    made = subject_kernels.with_kernels(subject, choice)
    # Where it was made, one may have been expected.
    if choice == PORTABLE or library_for(choice) is not None or any(map(why_not_native, subject.files)):
        return made
    note = "run without the native kernels, which this installation has not"
    return replace(made, notes=(*made.notes, note))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
