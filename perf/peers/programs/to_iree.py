"""Converts an ONNX file to IREE's format, in IREE's own environment, without the rest of this package.

to_iree.py SOURCE TO.vmfb

Writes TO.vmfb, and TO.json with the function's name, the inputs and outputs in order, and the number of dispatches.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FLAGS = (
    "--iree-hal-target-device=local",
    "--iree-hal-local-target-device-backends=llvm-cpu",
    "--iree-llvmcpu-target-cpu=host",  # else code for any x86-64
    "--iree-opt-level=O3",
    "--iree-opt-data-tiling",
)
"""As its documentation recommends for a CPU."""


def main(arguments: list[str]) -> None:
    """Converts. Exits with IREE's first error where it fails."""
    import numpy as np
    import onnx

    source, to = map(Path, arguments)
    graph = onnx.load(source, load_external_data=False).graph
    with tempfile.TemporaryDirectory() as folder:
        imported, statistics = Path(folder) / "model.mlir", Path(folder) / "statistics.json"
        _run(["-m", "iree.compiler.tools.import_onnx", source, "-o", imported])
        dump = ["--iree-scheduling-dump-statistics-format=json", f"--iree-scheduling-dump-statistics-file={statistics}"]
        _run(["-m", "iree.compiler.tools.scripts.iree_compile", imported, "-o", to, *FLAGS, *dump])
        dispatches = _dispatches(json.loads(statistics.read_text()))

    def described(value: Any) -> dict[str, Any]:
        tensor = value.type.tensor_type
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name
        return {"name": value.name, "type": dtype, "shape": [dim.dim_value for dim in tensor.shape.dim]}

    to.with_suffix(".json").write_text(
        json.dumps(
            {
                "function": graph.name,
                "inputs": [described(value) for value in graph.input],
                "outputs": [value.name for value in graph.output],
                "dispatches": dispatches,
            }
        )
    )


def _run(command: list[Any]) -> None:
    done = subprocess.run(
        [sys.executable, "-P", *map(str, command)], capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line.partition("error: ")[2] for line in lines if "error: " in line]
        sys.exit((errors or lines[-1:] or [f"exit {done.returncode}"])[0])


def _dispatches(statistics: Any) -> int:
    """Returns the number of dispatches in a run."""
    return int(statistics["stream-aggregate"]["execution"]["dispatch-count"])


if __name__ == "__main__":
    main(sys.argv[1:])
