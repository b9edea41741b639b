"""`python -m mbert_onnx.benchmark.remote.job FOLDER`: the program that runs a job of `bench --device`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from mbert_onnx.errors import UsageError

IDENTITY = "--identity"
INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Runs the job of a folder and writes its report there; at an error prints one line and returns 1 or 2.

    With `--identity` it prints the identity of this code. Returns 130 for a Ctrl-C before anything was measured.
    """
    # A shell without a terminal starts background processes with interrupts ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if arguments == [IDENTITY]:
            from mbert_onnx.benchmark.remote.code_identity import identity

            print(identity())
        elif len(arguments) == 1:
            run_job(Path(arguments[0]))
        else:
            raise UsageError(f"found {len(arguments)} arguments; expected a folder with a job")
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        # The errors of our three packages have an exit code. Any other is a bug, and its traceback says where.
        code = getattr(error, "exit_code", None)
        if not isinstance(code, int):
            raise
        print(" ".join(str(error).split()))
        return code
    return 0


def run_job(folder: Path) -> None:
    """Runs a folder's job with the native kernels of this machine, and writes the report beside it.

    Raises what `bench` raises.
    """
    from mbert_onnx.errors.requirements import require_beside

    require_beside("graphs")
    require_beside("perf")
    from mbert_onnx.benchmark.device import this_machine
    from perf.devices.device import PROGRESS_MARK
    from perf.devices.job import REPORT, unpack

    report = this_machine(note_missing=True).bench(
        unpack(folder), lambda line: print(f"{PROGRESS_MARK}{line}", file=sys.stderr, flush=True)
    )
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the measurements are complete; a late Ctrl-C must not lose them
    report.write_json(folder / REPORT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
