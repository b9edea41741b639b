"""Products of 8 bits on an x86-64 processor without VNNI, emulated by qemu: the product's sessions do not overflow."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from exported_checkpoints import Exports

import mbert_onnx

IDS = [list(range(5, 38))]
PROGRAM = """
import json, sys
import onnxruntime
from mbert_onnx.runtime.loading import load
plain = onnxruntime.SessionOptions()
plain.log_severity_level = 3
for options in (None, plain):
    model = load(sys.argv[1], kernels="portable", session_options=options)
    print(json.dumps(model.logits(json.loads(sys.argv[2]))["logits"].tolist()))
"""


@pytest.mark.full
@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="qemu-user is not installed")
def test_int8_has_the_same_logits_as_with_vnni(exported: Exports, texts: Path) -> None:
    bundle = exported("fill-mask", precision="int8", calibrate=texts, min_agreement=0).bundle
    expected = mbert_onnx.load(bundle, kernels="portable").logits(IDS)["logits"]
    command = ["qemu-x86_64", "-cpu", "Haswell", sys.executable, "-c", PROGRAM, str(bundle), json.dumps(IDS)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stderr
    found, overflowed = (np.array(json.loads(line)) for line in ended.stdout.splitlines())
    largest = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, 0, 1e-4 * largest)
    # The emulated processor is one on which it matters.
    assert np.abs(overflowed - expected).max() > 1e-3 * largest
