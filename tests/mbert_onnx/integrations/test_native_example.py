"""The example programs in C and for Node, with the native kernels and without."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from built_kernels import needs_kernels
from exported_checkpoints import Exports

import mbert_onnx
from graphs import kernels

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples" / "native"
HEADERS = ROOT / "build" / "onnxruntime-headers"
# onnxruntime-node contains onnxruntime as a library that a C program can link with; the package on PyPI does not.
RUNTIME = EXAMPLES / "node_modules" / "onnxruntime-node" / "bin" / "napi-v6" / "linux" / "x64"
NODE = shutil.which("node")

IDS = ["5", "17", "30", "8", "11"]

pytestmark = [
    pytest.mark.full,
    needs_kernels,
    pytest.mark.skipif(not RUNTIME.is_dir(), reason="`make web` fetches the onnxruntime that programs use, on Linux"),
]


@pytest.fixture(params=["c", "node"])
def program(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Returns the command that starts the program; builds it first if it is in C."""
    if request.param == "node":
        if NODE is None:
            pytest.skip("Node is not installed")
        return [NODE, str(EXAMPLES / "logits.mjs")]
    if not (HEADERS / "onnxruntime_c_api.h").is_file():
        pytest.skip("`make onnxruntime-headers` fetches the header for C")
    program, library = tmp_path / "logits", RUNTIME / "libonnxruntime.so.1"
    command = [sys.executable, "-m", "ziglang", "cc", "-I", HEADERS, EXAMPLES / "logits.c", library, "-o", program]
    built = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return [str(program)]


def run_program(*command: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LD_LIBRARY_PATH": str(RUNTIME)}
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment)


def test_it_prints_the_same_logits(program: list[str], exported: Exports) -> None:
    expected = mbert_onnx.load(exported().bundle, kernels="portable").logits(np.array([[int(token) for token in IDS]]))
    for library in (kernels.library(), "-"):
        done = run_program(*program, exported().model, library, *IDS)
        assert done.returncode == 0, done.stderr
        printed = {name: np.array(logits, float) for name, *logits in map(str.split, done.stdout.splitlines())}
        assert printed.keys() == expected.keys()
        for name, logits in printed.items():
            np.testing.assert_allclose(logits, expected[name][0], atol=1e-5)


def test_it_runs_the_kernels(program: list[str], exported: Exports) -> None:
    """Only the kernels read the variable: an unknown instruction set fails with them, and not without them."""
    os.environ[kernels.VARIABLE] = "none"
    try:
        assert run_program(*program, exported().model, "-", *IDS).returncode == 0
        refused = run_program(*program, exported().model, kernels.library(), *IDS)
    finally:
        del os.environ[kernels.VARIABLE]
    assert refused.returncode == 1
    assert "unknown instruction set none; expected one of" in refused.stderr


def test_an_error_is_one_line(program: list[str], exported: Exports) -> None:
    wrong = run_program(*program, exported().model, "none.so", "5")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("logits: ")
    assert run_program(*program, exported().model).returncode == 2
