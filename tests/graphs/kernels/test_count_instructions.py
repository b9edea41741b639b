"""The instruction counters: their arguments, and calls of an emulator that a script stands in for."""

from __future__ import annotations

import re
import shlex
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import web_instructions

from graphs.kernels.build import BuildError
from graphs.kernels.tools import count_instructions
from graphs.kernels.tools.count_instructions import main, processors_of
from perf.devices.emulated.__main__ import options
from perf.devices.emulated.emulator import INTERFACES
from perf.devices.emulated.processors import PROCESSORS


def test_the_options_of_perf_are_arguments() -> None:
    words = shlex.split(" ".join(options()))
    pairs = [value for name, value in pairwise(words) if name == "--processor"]
    assert processors_of(pairs) == {one.instruction_set: list(one.models) for one in PROCESSORS}
    interfaces = [int(value) for name, value in pairwise(words) if name == "--interface"]
    assert interfaces == list(INTERFACES)


@pytest.mark.parametrize("pair", ["neon", "=cortex-a72", "neon="])
def test_a_malformed_processor_is_refused(pair: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BuildError, match=rf"--processor is '{pair}'; expected ISA=CPU"):
        processors_of([pair])
    assert main(["--processor", pair]) == 1
    assert capsys.readouterr().err.startswith("count_instructions.py: --processor is ")


def test_without_a_processor_it_ends_with_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["8"])
    assert "--processor" in capsys.readouterr().err


def test_without_qemu_one_line_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--processor", "neon=cortex-a72"]) == 1
    assert "qemu-aarch64 is not on PATH; expected qemu-user" in capsys.readouterr().err


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script instead of qemu: it loads the plugin of interface 2, emulates cortex-a72 only, and counts by TIMES."""
    script = tmp_path / "qemu"
    script.write_text(
        "#!/bin/sh\n"
        '[ "$2" = plugin2 ] || { echo "wrong interface" >&2; exit 1; }\n'
        '[ "$3" = -cpu ] || exit 0\n'
        '[ "$4" = cortex-a72 ] || { echo "unknown model $4" >&2; exit 1; }\n'
        'echo $((7 + 3000000 * $7)) > "$COUNT"\n'
    )
    script.chmod(0o755)
    monkeypatch.setattr(count_instructions, "build_profile", lambda folder, target: folder / "profile")
    monkeypatch.setattr(count_instructions, "build_counter", lambda folder, interface: Path(f"plugin{interface}"))
    return script


def test_it_tries_interfaces_and_processors_in_order(qemu: Path, capsys: pytest.CaptureFixture[str]) -> None:
    processors = ["--processor", "neon=newer", "--processor", "neon=cortex-a72"]
    interfaces = ["--interface", "1", "--interface", "2"]
    assert main(["8", "32", *processors, *interfaces, "--qemu", str(qemu)]) == 0
    assert capsys.readouterr().out == "8 tokens, neon: 0.072 G instructions\n32 tokens, neon: 0.072 G instructions\n"


def test_an_interface_or_a_processor_that_qemu_lacks_is_one_line(
    qemu: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["8", "--processor", "neon=cortex-a72", "--qemu", str(qemu)]) == 1
    assert "does not load the plugin (wrong interface); expected" in capsys.readouterr().err
    assert main(["8", "--processor", "neon=newer", "--interface", "2", "--qemu", str(qemu)]) == 1
    assert "fails under" in (error := capsys.readouterr().err)
    assert "on newer with neon: unknown model newer" in error


def test_counts_in_webassembly_are_differences_of_processes_and_quotients(tmp_path: Path) -> None:
    # A process costs 500, and a token 10 in onnxruntime-web, 2 in a .wasm file.
    def run(on: object, arguments: list[str]) -> str:
        per_token = 2 if any(word.endswith(".wasm") for word in arguments) else 10
        work = [tuple(map(int, word.split(":"))) for word in arguments if re.fullmatch(r"\d+:\d+", word)]
        (tmp_path / "count").write_text(str(500 + sum(per_token * 10**7 * tokens * runs for tokens, runs in work)))
        return "wasm-relaxed\n" if per_token == 2 else "\n"

    emulator: Any = SimpleNamespace(run=run, count_file=tmp_path / "count")
    subjects = {"onnxruntime-web": "web", "relaxed SIMD": "mbert-relaxed.wasm"}
    counts = {name: web_instructions.count(emulator, emulator, [one], [8, 128]) for name, one in subjects.items()}
    assert [line.split() for line in web_instructions.lines(counts)[1:]] == [
        ["8", "onnxruntime-web", "0.800"],
        ["8", "relaxed", "SIMD", "wasm-relaxed", "0.160", "5.00"],
        ["128", "onnxruntime-web", "12.800"],
        ["128", "relaxed", "SIMD", "wasm-relaxed", "2.560", "5.00", "3.0"],
    ]


def test_what_counting_in_webassembly_lacks_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def error() -> str:
        assert web_instructions.main([str(tmp_path / "node"), "wasm", "model", str(tmp_path)]) == 1
        return capsys.readouterr().err

    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("QEMU_LD_PREFIX", str(tmp_path))
    assert "qemu-aarch64 is not on PATH; expected qemu-user: apt install" in error()
    (tmp_path / "qemu-aarch64").write_text("")
    (tmp_path / "qemu-aarch64").chmod(0o755)
    assert "no lib/ld-linux-aarch64.so.1" in error()
    (tmp_path / "lib").mkdir()
    for name in ("ld-linux-aarch64.so.1", "libstdc++.so.6"):
        (tmp_path / "lib" / name).write_text("")
    assert "no lib/libatomic.so.1" in (line := error())
    assert "libatomic1-arm64-cross" in line
    (tmp_path / "lib" / "libatomic.so.1").write_text("")
    assert f"no {tmp_path / 'node'}; expected what npm downloads" in (line := error())
    assert line.count("\n") == 1
