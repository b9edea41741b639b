"""Converts an ONNX file to MNN's format, in MNN's own environment, without the rest of this package.

to_mnn.py SOURCE TO
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

PLACE = re.compile(r"^\[[^\]]*\]\s*(:\d+:\s*)?")
"""The time and source line at the start of MNN's messages."""

NO_REASON = ("Converted Failed!", "[ERROR] Convert error")
"""Starts of lines that MNN prints after the reason of a failure."""


def main(arguments: list[str]) -> None:
    """Converts with the defaults. Exits with MNN's reason where it fails.

    `--transformerFuse` is left out: its fused attention computes wrong outputs for a MobileBERT.
    """
    # The module behind MNN's command. The command itself (`MNN.tools.mnnconvert`) installs a logging client into
    # the Python on PATH, and sends the machine's id to its developers. A benchmark sends nothing.
    import _tools

    source, to = arguments
    Path(to).unlink(missing_ok=True)
    with tempfile.TemporaryFile() as printed:
        kept = os.dup(1)
        os.dup2(printed.fileno(), 1)  # it does not print through Python
        _tools.mnnconvert(["", "-f", "ONNX", "--modelFile", source, "--MNNModel", to, "--bizCode", "MNN"])
        os.dup2(kept, 1)
        printed.seek(0)
        lines = [line.strip() for line in printed.read().decode(errors="replace").splitlines()]
    if not Path(to).is_file():  # its return value does not report failures
        reasons = [line for line in lines if line and not line.startswith(NO_REASON)]
        sys.exit(PLACE.sub("", (reasons or ["no message"])[-1]))


if __name__ == "__main__":
    main(sys.argv[1:])
