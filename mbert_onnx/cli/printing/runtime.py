"""Printed answers of `run`, and the report of `app`."""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, Any

from mbert_onnx.cli.errors import CONTROL, without_control_characters
from mbert_onnx.runtime.answers import Choices, Classification, FilledMask, NextSentence, as_json
from mbert_onnx.runtime.entities import Entity, TokenEntity
from mbert_onnx.runtime.spans import Answer
from mbert_onnx.text.name_lists import name_list

if TYPE_CHECKING:
    from mbert_onnx.runtime.web.app.writing import AppReport

# Numbers of an embedding that are printed; --json prints all.
SHOWN = 8


def print_answer(answer: Any, as_json_text: bool) -> None:
    """Prints one line for each answer, best first; or the whole result as JSON, with control characters escaped."""
    if as_json_text:
        is_utf8 = (sys.stdout.encoding or "").lower() == "utf-8"
        text = json.dumps(as_json(answer), ensure_ascii=not is_utf8)
        print(CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text))
        return
    for line in _answer_lines(answer):
        print(without_control_characters(line))


def print_app(report: AppReport) -> None:
    """Prints the folder, what is in it, and how to look at it."""
    from mbert_onnx.cli.printing.console import megabytes, new_console

    console = new_console()
    total, model = megabytes(report.total_bytes), megabytes(report.model_bytes)
    console.print(f"{report.output}  {total} in {report.files} files, {report.task}")
    console.print(f"  model      {report.model}, {model}")
    console.print(f"  runs in    {report.runtime} {report.runtime_version}, from {report.runtime_source}")
    if report.note:
        console.print(f"             {report.note}")
    folder = shlex.quote(str(report.output))
    console.print(f"  look at it python -m http.server 8000 --directory {folder}, then http://localhost:8000/")
    if report.left_alone:
        console.print(f"  left alone {name_list(report.left_alone)}, which are not the app's")


def _answer_lines(answer: Any) -> list[str]:
    if isinstance(answer, list):
        return [line for item in answer for line in _answer_lines(item)] or ["nothing found"]
    if isinstance(answer, Answer):
        found = answer.answer or "(no answer in the context)"
        return [f"{answer.score:.4f}  {found}  [{answer.start}:{answer.end}]"]
    if isinstance(answer, Classification):
        return [f"{label.score:.4f}  {label.label}" for label in answer.labels] + _truncation(answer.truncated)
    if isinstance(answer, TokenEntity):
        return [f"{answer.score:.4f}  {answer.entity}  {answer.word}  [{answer.start}:{answer.end}]"]
    if isinstance(answer, Entity):
        return [f"{answer.score:.4f}  {answer.entity_group}  {answer.word}  [{answer.start}:{answer.end}]"]
    if isinstance(answer, FilledMask):
        return [f"{token.score:.4f}  {token.token_str}  {token.sequence}" for token in answer.tokens]
    if isinstance(answer, NextSentence):
        lines = [f"{answer.is_next:.4f}  follows", f"{answer.not_next:.4f}  does not follow"]
        return lines + _truncation(answer.truncated)
    if isinstance(answer, Choices):
        lines = [f"{choice.score:.4f}  {choice.choice}" for choice in answer.choices]
        return lines + _truncation(answer.truncated)
    numbers = answer.reshape(-1)
    shown = " ".join(f"{number:.4f}" for number in numbers[:SHOWN])
    return [f"{numbers.size} numbers: {shown}{' …' if numbers.size > SHOWN else ''}  (--json prints all)"]


def _truncation(truncated: bool) -> list[str]:
    return ["(the text was truncated: it is longer than the model reads)"] if truncated else []
