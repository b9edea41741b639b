"""The examples run as they stand, on a bundle."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mbert_onnx

EXAMPLES = Path(__file__).parents[3] / "examples"
QUESTION, CONTEXT = "who wrote it ?", "ada wrote the first program in london ."


def test_plain_onnxruntime_answers_as_the_runtime_does(runtime_bundle: Callable[..., Any]) -> None:
    bundle = runtime_bundle("question-answering").folder
    command = [sys.executable, str(EXAMPLES / "plain_onnxruntime.py"), str(bundle), QUESTION, CONTEXT]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    expected = mbert_onnx.load(bundle).answer(QUESTION, CONTEXT, max_answer_len=len(CONTEXT))[0].answer
    assert printed.strip() == expected != ""
