"""Every command over a folder of broken inputs: one line that names the fault, no traceback, no wrong advice."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import onnx
import pytest
from typer.testing import CliRunner

from mbert_onnx.cli.application import app
from mbert_onnx.training.loop.run_replacement import remove

# Longest time for one command in seconds, so that one that waits for a pipe fails.
PATIENCE = 20

# Advice that is right only for a file with the wrong content.
REPLACE = ("xport it again", "xport the bundle again", "save it again", "ave the checkpoint again", "copy it again")

# Beginnings of the names of inputs whose content is not damaged.
NOT_DAMAGED = ("latin1-", "missing", "nnn", "folder", "dangling", "circular", "pipe", "no-weights")

Make = Callable[[Path], None]


class Impatient(BaseException):
    """Not an Exception, which a command could take for an error of the file."""


def data(content: bytes | str) -> Make:
    def make(path: Path) -> None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    return make


def graph(source: str) -> Make:
    return lambda path: onnx.save(onnx.parser.parse_model(source), path)


def cut_graph(path: Path) -> None:
    graph(GOOD)(path)
    os.truncate(path, path.stat().st_size - 10)


def negative_dimension(path: Path) -> None:
    info = onnx.helper.make_tensor_value_info
    sides = [info(name, onnx.TensorProto.FLOAT, [-3]) for name in ("x", "y")]
    made = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", sides[:1], sides[1:])
    onnx.save(onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9), path)


def folder(**files: str | bytes | Make) -> Make:
    """A folder with files, whose names have __ for / and _ for a dot."""

    def make(path: Path) -> None:
        path.mkdir()
        for name, content in files.items():
            file = path / name.replace("__", "/").replace("_", ".")
            file.parent.mkdir(exist_ok=True)
            if isinstance(content, str):
                file.write_text(content)
            elif isinstance(content, bytes):
                file.write_bytes(content)
            else:
                content(file)

    return make


GOOD = '<ir_version: 9, opset_import: ["": 18]> g (float[4] x) => (float[4] y) { y = Relu(x) }'
RECURSIVE = """
<ir_version: 9, opset_import: ["": 18, "them": 1]>
g (float[4] x) => (float[4] y) { y = them.again(x) }
<domain: "them", opset_import: ["": 18, "them": 1]>
again (x) => (y) { z = them.again(x) y = Relu(z) }
"""
NOISE = random.Random(0).randbytes(3000)
CONFIG = json.dumps(
    {"model_type": "mobilebert", "architectures": ["MobileBertForSequenceClassification"], "vocab_size": 100}
)
WRONG_TYPES = json.dumps(
    {"model_type": "mobilebert", "architectures": {"a": 1}, "vocab_size": "many", "id2label": [3], "pad_token_id": []}
)

# Names of broken inputs, and what makes them.
INPUTS: dict[str, Make] = {
    "missing": lambda _: None,
    "missing.onnx": lambda _: None,
    "n" * 300: lambda _: None,
    "empty.onnx": data(b""),
    "noise.onnx": data(NOISE),
    "text.onnx": data("some text\n"),
    "cut.onnx": cut_graph,
    "folder.onnx": lambda path: path.mkdir(),
    "dangling.onnx": lambda path: path.symlink_to("nowhere"),
    "circular.onnx": lambda path: path.symlink_to(path.name),
    "pipe.onnx": lambda path: os.mkfifo(path),
    "other.onnx": graph(GOOD),
    "negative.onnx": negative_dimension,
    "recursive.onnx": graph(RECURSIVE),
    "escape\x1b[31m.onnx": data(b""),
    "latin1-\udce9.onnx": graph(GOOD),
    "latin1-\udce9": folder(config_json=CONFIG, onnx__model_onnx=graph(GOOD)),
    "empty": folder(),
    "empty-config": folder(onnx__model_onnx=graph(GOOD), config_json=""),
    "noise-config": folder(onnx__model_onnx=graph(GOOD), config_json=NOISE),
    "list-config": folder(onnx__model_onnx=graph(GOOD), config_json="[1, 2]"),
    "deep-config": folder(onnx__model_onnx=graph(GOOD), config_json="[" * 100_000),
    "long-number-config": folder(onnx__model_onnx=graph(GOOD), config_json=f'{{"vocab_size": {"9" * 5000}}}'),
    "wrong-types-config": folder(config_json=WRONG_TYPES, onnx__model_onnx=graph(GOOD)),
    "no-weights": folder(config_json=CONFIG),
    "noise-weights": folder(config_json=CONFIG, model_safetensors=NOISE, tokenizer_json=NOISE),
    "folder-config": folder(config_json=lambda path: path.mkdir()),
    "pipe-config": folder(config_json=os.mkfifo),
    "noise-bundle": folder(config_json=CONFIG, onnx__model_onnx=NOISE),
    "other-bundle": folder(config_json=CONFIG, onnx__model_onnx=graph(GOOD)),
    "pipe-bundle": folder(config_json=CONFIG, onnx__model_onnx=os.mkfifo),
    "folder-tokenizer": folder(
        config_json=CONFIG, onnx__model_onnx=graph(GOOD), tokenizer_json=lambda path: path.mkdir()
    ),
    "empty.txt": data(b""),
    "noise.txt": data(NOISE),
    "latin1.csv": data("text\ncafé\n".encode("latin1")),
    "folder.tsv": lambda path: path.mkdir(),
    "pipe.jsonl": lambda path: os.mkfifo(path),
    "wrong.jsonl": data('{"a": 1}\n[2]\n'),
    "deep.json": data("[" * 100_000),
    "list.json": data("[]"),
    "wrong.json": data('{"subjects": 3, "arguments": [], "cells": {"x": null}}'),
    "half.json": data('{"subjects": ['),
    "wrong.toml": data("output = \n"),
    "noise.toml": data(NOISE),
    "empty.toml": data(""),
    "types.toml": data('output = 3\n[model]\npreset = ["x"]\n[data]\nfiles = 3\n[training]\nsteps = "x"\n'),
}

INT8 = ("--precision", "int8", "--calibrate")
# Suffixes of files of texts, results and recipes. Commands that read models get one file of each kind of these, and
# commands that read them get few models.
TEXTS = (".txt", ".csv", ".tsv", ".json", ".jsonl", ".toml")

COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "export": lambda path: ["export", path, "--output", "new"],
    "optimize": lambda path: ["optimize", path, "--output", "new.onnx"],
    "optimize --calibrate": lambda path: ["optimize", "other.onnx", "-o", "new.onnx", *INT8, path],
    "doctor": lambda path: ["doctor", path],
    "doctor --provider": lambda path: ["doctor", path, "--provider", "cpu"],
    "bench": lambda path: ["bench", path, "--budget", "0.05", "--seq-len", "4", "--threads", "1"],
    "bench --texts": lambda path: ["bench", "other.onnx", "--texts", path, "--first", "1"],
    "report": lambda path: ["report", path],
    "report --compare": lambda path: ["report", path, path, "--compare"],
    "run": lambda path: ["run", path, "text"],
    "pretrain": lambda path: ["pretrain", path],
    "distill": lambda path: ["distill", path],
    "distill --dry-run": lambda path: ["distill", path, "--dry-run"],
    "finetune": lambda path: ["finetune", path],
    "evaluate": lambda path: ["evaluate", path, "--task", "classification", "--data", "good.tsv"],
    "evaluate --data": lambda path: ["evaluate", "reference", "--task", "classification", "--data", path],
    "evaluate --data squad": lambda path: ["evaluate", "reference", "--task", "squad", "--data", path],
    "evaluate --data glue": lambda path: ["evaluate", "reference", "--task", "sst2", "--data", path],
    "inspect": lambda path: ["inspect", path],
    "verify": lambda path: ["verify", path, "--against", "random:tiny"],
    "verify --against": lambda path: ["verify", "other.onnx", "--against", path],
}

# Graphs that are no MobileBERT, which commands for any graph may take.
OTHERS = {"other.onnx", "negative.onnx", "recursive.onnx", "other-bundle", "folder-tokenizer"}

# Commands that read texts, results and recipes. Texts and results may be pipes: they wait for what is written to them.
READS_TEXTS = ("report", "--calibrate", "--texts", "--data", "pretrain", "distill", "finetune")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of broken inputs."""
    place = tmp_path_factory.mktemp("broken")
    for name, make in INPUTS.items():
        make(place / name)
    (place / "good.tsv").write_text("text\tlabel\nfine\tpositive\nbad\tnegative\n")
    return place


@pytest.fixture
def impatient() -> Iterator[None]:
    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise Impatient("the command waits for something")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def complaint(arguments: list[str]) -> str | None:
    """Runs a command in this process. Returns the line that it complains with; None where it succeeds."""
    result: Any = CliRunner().invoke(app, arguments)
    printed = result.stdout + result.stderr
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in printed
    assert "the traceback is in" not in printed, printed
    assert "\x1b" not in printed
    assert result.exit_code in (0, 1, 2)
    if not result.exit_code:
        return None
    if arguments[0] == "verify" and result.stdout.startswith("NOT the same model"):
        return "NOT the same model"
    lines = [line for line in result.stderr.splitlines() if not line.startswith("[")]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("mbert-onnx: ")
    assert len(lines[0]) < 1100
    return str(lines[0])


@pytest.mark.parametrize("command", COMMANDS)
def test_broken_inputs_are_one_line(
    command: str, inputs: Path, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(inputs)
    before = sorted(path.name for path in inputs.iterdir())
    failed = []
    reads_texts = any(part in command for part in READS_TEXTS)
    for name in INPUTS:
        if reads_texts and ("-" in name or name.startswith("pipe.")):
            continue
        if not reads_texts and name.endswith(TEXTS) and not name.startswith("noise"):
            continue
        signal.alarm(PATIENCE)
        try:
            line = complaint(COMMANDS[command](name))
            if line is None:
                assert name in OTHERS, "accepted"
            elif name not in OTHERS and name.startswith(NOT_DAMAGED):
                assert not any(advice in line for advice in REPLACE), line
            if line is not None:
                assert "truncated or corrupt" not in line or "noise" in name, line
        except (AssertionError, Impatient) as error:
            failed.append(f"{name}: {error}")
        for new in ("new", "new.onnx"):
            remove(inputs / new)
    assert not failed, "\n".join(failed)
    assert sorted(path.name for path in inputs.iterdir()) == before
