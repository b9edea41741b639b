"""An ONNX file to MNN's format: a program that runs in MNN's own environment, without the rest of this package.

to_mnn.py SOURCE TO
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

PLACE = re.compile(r"^\[[^\]]*\]\s*(:\d+:\s*)?")
"""Time and line of its source, which MNN puts before what it says."""

NO_REASON = ("Converted Failed!", "[ERROR] Convert error")
"""What it says of a failure after the reason."""


def main(arguments: list[str]) -> None:
    """Converts with the defaults. Ends with MNN's reason where it fails.

    `--transformerFuse` is left out: the attention that it makes gives other answers for a MobileBERT.
    """
    # The module behind MNN's command. The command itself (`MNN.tools.mnnconvert`) installs a logging client into
    # whatever Python the PATH has, and sends its makers the machine's id. A bench tells nobody of anything.
    import _tools

    source, to = arguments
    Path(to).unlink(missing_ok=True)
    with tempfile.TemporaryFile() as said:
        kept = os.dup(1)
        os.dup2(said.fileno(), 1)  # it does not print through Python
        _tools.mnnconvert(["", "-f", "ONNX", "--modelFile", source, "--MNNModel", to, "--bizCode", "MNN"])
        os.dup2(kept, 1)
        said.seek(0)
        lines = [line.strip() for line in said.read().decode(errors="replace").splitlines()]
    if not Path(to).is_file():  # what it returns says nothing
        reasons = [line for line in lines if line and not line.startswith(NO_REASON)]
        sys.exit(PLACE.sub("", (reasons or ["no message"])[-1]))


if __name__ == "__main__":
    main(sys.argv[1:])
