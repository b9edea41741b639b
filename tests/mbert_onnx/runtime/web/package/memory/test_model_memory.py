"""Memory of the JavaScript package in Node: disposed models are collected, and calls leave nothing behind."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from text_bundles import write_text_file

from mbert_onnx.runtime.web.package_files import LIBRARY, WASM

MEMORY = Path(__file__).parent / "memory.mjs"
SECONDS = 300
LOADS, ROUNDS = 20, 400
# Of 3,200 calls. The engine itself keeps some 200 KB more, however many calls there are.
MOST_GROWTH = 600_000

pytestmark = [
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed"),
    pytest.mark.skipif(not WASM.is_dir(), reason="the .wasm files are not built here; `make setup` builds them"),
]


@pytest.mark.full
def test_disposed_models_are_collected_and_calls_leave_nothing_behind(text_bundle: Callable[..., Path]) -> None:
    file = write_text_file(text_bundle("question-answering"))
    command = ["node", "--expose-gc", str(MEMORY), str(LIBRARY), str(file), str(LOADS), str(ROUNDS)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["disposed"] == LOADS + 1
    # Those of a broken file and of an aborted load, too.
    assert (found["made"], found["collected"], found["threads"]) == (LOADS + 3, LOADS + 3, 0)
    before, after = found["before"], found["after"]
    assert (after["model"], after["memory"]) == (before["model"], before["memory"])
    assert after["heap"] - before["heap"] <= MOST_GROWTH, found
    assert after["buffers"] - before["buffers"] <= MOST_GROWTH, found
