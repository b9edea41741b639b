"""Modules of the JavaScript package: their own tests, in Node; and what its package.json says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import mbert_onnx
from mbert_onnx.runtime.web.package_files import PACKAGE

HERE = Path(__file__).parent
SECONDS = 300

pytestmark = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


def test_the_modules() -> None:
    done = subprocess.run(
        ["node", "--test", *sorted(HERE.glob("*.test.mjs"))], capture_output=True, encoding="utf-8", timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout


def test_the_version_is_that_of_the_project() -> None:
    package = json.loads((PACKAGE / "package.json").read_text())
    assert package["version"] == mbert_onnx.__version__
    assert "dependencies" not in package


def test_the_types_name_every_method() -> None:
    types = (PACKAGE / "index.d.ts").read_text()
    model = (PACKAGE / "lib" / "model.js").read_text()
    methods = re.findall(r"^    (?:async )?(\w+)\(.*\) \{$", model, re.MULTILINE)
    assert {"answer", "logits", "nextSentence"} <= set(methods)
    for name in methods:
        assert f"\n  {name}(" in types, name
