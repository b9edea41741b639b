"""The C program of the examples, with the native kernels and without."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from exported_checkpoints import Exports

import mbert_onnx
from graphs import kernels

ROOT = Path(__file__).parent.parent.parent
HEADERS = ROOT / "build" / "onnxruntime-headers"
# onnxruntime-node brings onnxruntime as a library that a C program can be linked with; PyPI's package does not.
RUNTIME = ROOT / "examples" / "web" / "node_modules" / "onnxruntime-node" / "bin" / "napi-v6" / "linux" / "x64"

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(kernels.library() is None, reason="no kernels are built here; `make setup` does it"),
    pytest.mark.skipif(
        not (HEADERS / "onnxruntime_c_api.h").is_file() or not RUNTIME.is_dir(),
        reason="`make onnxruntime-headers web` fetches what a C program is built with, on Linux",
    ),
]


def test_a_c_program_says_the_same(exported: Exports, tmp_path: Path) -> None:
    program = tmp_path / "logits"
    source = ROOT / "examples" / "native" / "logits.c"
    library = RUNTIME / "libonnxruntime.so.1"
    command = [sys.executable, "-m", "ziglang", "cc", "-I", HEADERS, source, library, "-o", program]
    built = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    ids = [5, 17, 30, 8, 11]
    expected = mbert_onnx.load(exported().bundle, kernels="portable").logits(np.array([ids]))
    environment = {**os.environ, "LD_LIBRARY_PATH": str(RUNTIME)}
    for path in (str(kernels.library()), "-"):
        arguments = [program, exported().model, path, *ids]
        done = subprocess.run([str(part) for part in arguments], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        for line in done.stdout.splitlines():
            name, *logits = line.split()
            np.testing.assert_allclose(np.array(logits, float), expected[name][0], atol=1e-5)
    wrong = subprocess.run(
        [str(program), str(exported().model), "none.so", "5"], capture_output=True, text=True, env=environment
    )
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("logits: ")
