"""The C header, in programs in C and C++ that are linked with the library."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from built_kernels import LIBRARY, needs_kernels
from kernel_driver import HERE

import mbert_onnx
from graphs import kernels
from graphs.kernels import build

INCLUDE = build.HERE / "include"
HEADERS = build.HERE.parents[1] / "build" / "onnxruntime-headers"
MUSL = Path("/lib/ld-musl-x86_64.so.1")
# zig adds its own runtime of the undefined-behaviour sanitizer to programs that are not optimized.
STRICT = ["-O1", "-Wall", "-Wextra", "-Werror", "-pedantic"]

pytestmark = needs_kernels


def compiled(folder: Path, language: str, triple: str, *more: str) -> Path:
    """Compiles the program in a language, such as c99, and links it with this machine's library; returns its path."""
    kind, tool = ("c", "cc") if language.startswith("c9") or language == "c17" else ("c++", "c++")
    library = Path(shutil.copy(str(LIBRARY), folder))
    program = folder / "program"
    options = [f"-std={language}", *STRICT, "-I", str(INCLUDE), *more, "-x", kind, str(HERE / "c_interface.c")]
    linked = ["-x", "none", str(library), f"-Wl,-rpath,{folder}", "-nostdlib++", "-o", str(program)]
    command = [sys.executable, "-m", "ziglang", tool, "-target", triple, *options, *linked]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return program


def check(program: Path) -> None:
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr)
    version, header, isa, *known = done.stdout.splitlines()
    assert version == f"version {mbert_onnx.__version__}"
    assert header == f"header {mbert_onnx.__version__}"
    assert isa == f"isa {kernels.instruction_set()}"
    assert known == [f"{name} {int(here)}" for name, here in kernels.instruction_sets().items()]


@pytest.mark.parametrize("language", ["c99", "c++17"])
def test_programs_that_are_linked_with_the_library(language: str, tmp_path: Path) -> None:
    check(compiled(tmp_path, language, build.TARGETS[build.host()]))


@pytest.mark.full
@pytest.mark.parametrize("language", ["c17", "c++98", "c++20"])
def test_other_versions_of_the_languages(language: str, tmp_path: Path) -> None:
    check(compiled(tmp_path, language, build.TARGETS[build.host()]))


@pytest.mark.full
@pytest.mark.skipif(
    not (HEADERS / "onnxruntime_c_api.h").is_file(), reason="`make onnxruntime-headers` fetches the official header"
)
@pytest.mark.parametrize("language", ["c99", "c++17"])
def test_beside_the_header_of_onnxruntime(language: str, tmp_path: Path) -> None:
    check(compiled(tmp_path, language, build.TARGETS[build.host()], "-DOFFICIAL", "-isystem", str(HEADERS)))


@pytest.mark.full
@pytest.mark.skipif(not MUSL.exists(), reason="musl is not installed: apt install musl")
@pytest.mark.skipif(not build.host().startswith("x86_64-linux"), reason="musl's loader is that of x86-64")
def test_the_same_library_in_a_program_of_musl(tmp_path: Path) -> None:
    program = compiled(tmp_path, "c99", "x86_64-linux-musl", "-dynamic")
    assert MUSL.name.encode() in program.read_bytes()
    check(program)
