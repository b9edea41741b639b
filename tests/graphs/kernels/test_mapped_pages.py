"""Pages of packed weights are given back to the system where they are a file's, and no others."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import onnx_ir as ir
import pytest
from built_kernels import LIBRARY, needs_kernels
from kernel_driver import HERE
from kernel_models import Widths, ffn_feed, model_of, run, session

from graphs.kernels import build

QEMU = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pages are given back on Linux only")

KEPT = "written 1024 1024 kept\nanonymous 1024 1024 kept\nshared 1024 0 kept\nunread 512 512 kept\n"


def build_program(folder: Path, target: str, options: list[str]) -> Path:
    own = ["-std=c++17", "-O1", f"-I{build.HERE}", "-fno-exceptions", "-fno-rtti", "-nostdlib++", *options]
    sources = [str(HERE / "mapped_memory.cc"), str(build.HERE / "ort" / "mapped_pages.cc")]
    build.run_clang(target, [*own, *sources, "-o", str(folder / "program")])
    return folder / "program"


def test_only_unchanged_pages_of_files_are_given_back(tmp_path: Path) -> None:
    if not os.access("/proc/self/pagemap", os.R_OK):
        pytest.skip("this system hides /proc/self/pagemap")
    program = build_program(tmp_path, build.TARGETS[build.host()], [])
    done = subprocess.run([program, tmp_path / "file"], capture_output=True, text=True, check=True)
    assert done.stdout == f"file 1024 0 kept\n{KEPT}"


@pytest.mark.full
@pytest.mark.skipif(QEMU is None, reason="qemu-user is not installed")
@pytest.mark.parametrize("base", ["0", "0x10000", "0x100000000"])
def test_an_emulator_with_other_addresses_loses_nothing(base: str, tmp_path: Path) -> None:
    program = build_program(tmp_path, "aarch64-linux-musl", ["-static"])
    command = [str(QEMU), "-B", base, str(program), str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["kept"] * 5


@needs_kernels
def test_a_session_keeps_no_page_of_a_packed_weight(tmp_path: Path) -> None:
    if not os.access("/proc/self/pagemap", os.R_OK):
        pytest.skip("this system hides /proc/self/pagemap")
    widths = Widths(512, 128, 512, 4, 2)
    feed = ffn_feed(widths, 3)
    serialized = model_of(feed, widths)
    path = tmp_path / "a.onnx"
    ir.save(ir.from_proto(onnx.load_from_string(serialized)), path, external_data="weights")
    mapped = session(path, LIBRARY)
    assert resident_bytes(tmp_path / "weights") < 16 * 1024  # biases, and no weight of 256 KB
    assert (run(mapped, feed) == run(session(serialized, LIBRARY), feed)).all()


def resident_bytes(file: Path) -> int:
    """Returns the resident size of a file's mappings in this process."""
    total, is_of_file = 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        parts = line.split()
        if "-" in parts[0]:
            is_of_file = parts[-1] == str(file)
        elif parts[0] == "Rss:" and is_of_file:
            total += int(parts[1]) * 1024
    return total
