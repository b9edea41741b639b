"""The tables of converters: their programs exist, and each is called with the arguments that it documents."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from perf_models import token_model

from perf.peers import checkpoint_converters, onnx_converters
from perf.peers.checkpoint_converters import CHECKPOINT_CONVERTERS
from perf.peers.onnx_converters import ONNX_CONVERTERS
from perf.sessions.runtimes import module_name
from perf.sessions.types import no_progress

PYTHON = Path("python")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str], str]]:
    """Records (program, arguments, start of the error message) of each call in place of running it."""
    recorded: list[tuple[str, list[str], str]] = []

    def record(python: Path, program: Path, arguments: Sequence[str | Path], failure: str) -> str:
        assert python == PYTHON
        recorded.append((program.name, [str(argument) for argument in arguments], failure))
        return ""

    for module in (checkpoint_converters, onnx_converters):
        monkeypatch.setattr(module, "run_program", record)
        monkeypatch.setattr(module, "python_of", lambda *_: PYTHON)
    return recorded


def test_programs_exist_and_keys_are_runtimes() -> None:
    assert all(row.program.is_file() for row in CHECKPOINT_CONVERTERS.values())
    assert all(row.program.is_file() for row in ONNX_CONVERTERS.values())
    names = [*CHECKPOINT_CONVERTERS, *ONNX_CONVERTERS]
    assert all(find_spec(module_name(name.removesuffix("-int8"))) for name in names)


@pytest.mark.parametrize(
    ("name", "program", "options", "suffix", "tool"),
    [
        ("executorch", "to_executorch.py", [], ".pte", "ExecuTorch"),
        ("litert", "to_litert.py", ["FLOAT"], ".tflite", "litert-torch"),
        ("litert-int8", "to_litert.py", ["dynamic_wi8_afp32"], ".tflite", "litert-torch"),
        ("ncnn", "to_ncnn.py", [], ".param", "pnnx"),
    ],
)
def test_a_checkpoint_is_converted_at_all_lengths_at_once(
    name: str,
    program: str,
    options: list[str],
    suffix: str,
    tool: str,
    calls: list[tuple[str, list[str], str]],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "checkpoint"
    files = CHECKPOINT_CONVERTERS[name].convert(
        folder, "Head", ("a", "b"), tmp_path, seq_lens=[4, 8], batch=2, progress=no_progress
    )
    assert files == {4: tmp_path / f"4{suffix}", 8: tmp_path / f"8{suffix}"}
    arguments = [str(folder), "Head", "a,b", "4,8", "2", *options, str(tmp_path)]
    assert calls == [(program, arguments, f"{tool} fails on checkpoint")]


def test_the_note_of_a_report_names_the_recipe_that_the_program_is_given() -> None:
    notes = {name: row.quantization for name, row in CHECKPOINT_CONVERTERS.items() if row.quantization}
    [recipe] = CHECKPOINT_CONVERTERS["litert-int8"].options
    assert notes == {"litert-int8": f"ai-edge-quantizer: {recipe}"}


@pytest.mark.parametrize(
    ("name", "suffix", "tool"), [("mnn", ".mnn", "MNN"), ("iree", ".vmfb", "IREE"), ("tvm", ".so", "TVM")]
)
def test_an_onnx_file_is_converted_length_by_length(
    name: str, suffix: str, tool: str, calls: list[tuple[str, list[str], str]], tmp_path: Path
) -> None:
    source, to = token_model(tmp_path / "a.onnx"), tmp_path / "to"
    to.mkdir()
    files = ONNX_CONVERTERS[name].convert(source, to, seq_lens=[4, 8], batch=2, progress=no_progress)
    assert files == {4: to / f"4{suffix}", 8: to / f"8{suffix}"}
    assert calls == [
        (f"to_{name}.py", [str(to / f"{n}.onnx"), str(files[n])], f"{tool} fails on a.onnx") for n in (4, 8)
    ]
    assert not list(to.iterdir())
