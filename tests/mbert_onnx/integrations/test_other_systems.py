"""The kernels of other systems, run here: Android's with a stand-in for its C library, Windows' in wine."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from built_kernels import ISAS, needs_kernels
from exported_checkpoints import Exports
from kernel_driver import HERE

import mbert_onnx
from graphs import kernels
from graphs.kernels import build
from mbert_onnx.benchmark import emulated
from mbert_onnx.benchmark.emulated import bench_emulated
from perf.devices.emulated.emulator import SYSROOT, VARIABLE, find_qemu, find_sysroot
from perf.devices.emulated.runtime import runtime_library
from perf.errors import PerfError

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples" / "native"
HEADERS = ROOT / "build" / "onnxruntime-headers"
WINDOWS_RUNTIME = (
    EXAMPLES / "node_modules" / "onnxruntime-node" / "bin" / "napi-v6" / "win32" / "x64" / "onnxruntime.dll"
)
WINE = next((path for path in ("/usr/lib/wine/wine64", shutil.which("wine")) if path and Path(path).exists()), None)

IDS = [5, 17, 30, 8, 11, 2, 9]

# Of float32 on another processor: sums in another order.
FLOAT32 = 1e-4

pytestmark = [
    pytest.mark.full,
    needs_kernels,
    pytest.mark.skipif(not build.host().startswith("x86_64-linux"), reason="systems are imitated on Linux on x86-64"),
]


def stand_in(folder: Path, triple: str) -> Path:
    """Builds a libc.so, which Android's libraries name. It is empty: the process has a C library with all names."""
    source, library = folder / "empty.c", folder / "libc.so"
    source.write_text("")
    command = ["cc", "-target", triple, "-shared", "-nostdlib", "-Wl,-soname,libc.so", "-o", str(library), str(source)]
    done = subprocess.run([sys.executable, "-m", "ziglang", *command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return library


def lenient(precision: str) -> dict[str, float]:
    """Returns the option that accepts a lower precision of random weights."""
    return {} if precision == "fp32" else {"min_agreement": 0.0}


def logits(model: Path, library: Path) -> dict[str, np.ndarray]:
    """Returns the outputs of a batch of two texts, one of them padded."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.register_custom_ops_library(str(library))
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    ids = np.array([IDS, [*IDS[:4], 0, 0, 0]])
    feed = {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int64), "token_type_ids": ids * 0}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_android_on_x86_64_in_onnxruntime(precision: str, exported: Exports, tmp_path: Path) -> None:
    model = exported(precision=precision, **lenient(precision)).model
    library = build.build(tmp_path, "x86_64-android")
    loaded_libc = ctypes.CDLL(str(stand_in(tmp_path, "x86_64-linux-gnu.2.17")), ctypes.RTLD_GLOBAL)
    android = ctypes.CDLL(str(library))
    assert loaded_libc is not None
    here = kernels.library()
    assert here is not None
    for isa in ISAS:
        if isa == "amx":
            continue
        assert android.mbert_kernels_force_isa(isa.encode()) == 0
        kernels.force_instruction_set(isa)
        try:
            found, expected = logits(model, library), logits(model, here)
        finally:
            kernels.force_instruction_set(None)
            android.mbert_kernels_force_isa(None)
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, err_msg=f"{isa} {name}")
    assert android.mbert_kernels_force_isa(b"amx") == 1


def test_android_on_aarch64_in_onnxruntime(exported: Exports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        find_qemu()
        find_sysroot()
        runtime_library()
    except PerfError as error:
        pytest.skip(str(error))
    # The emulated machine's libraries, and the stand-in beside them.
    root = tmp_path / "root"
    shutil.copytree(Path(os.environ.get(VARIABLE) or SYSROOT) / "lib", root / "lib")
    (root / "lib" / "libc.so").unlink(missing_ok=True)
    stand_in(root / "lib", "aarch64-linux-gnu.2.17")
    monkeypatch.setenv(VARIABLE, str(root))
    monkeypatch.setattr(emulated, "_build_kernels", lambda folder: build.build(folder, "aarch64-android"))
    bundle = exported(precision="int8", min_agreement=0.0).bundle
    report = bench_emulated([bundle], seq_lens=[8, 33], kernels="native")
    assert len(report.processors) == 3
    assert len(report.counts) == 6
    assert all(count.difference is not None and count.difference < FLOAT32 for count in report.counts)


@pytest.mark.skipif(WINE is None, reason="wine is not installed: apt install wine64")
@pytest.mark.skipif(not WINDOWS_RUNTIME.is_file(), reason="`make web` fetches onnxruntime for Windows")
@pytest.mark.skipif(
    not (HEADERS / "onnxruntime_c_api.h").is_file(), reason="`make onnxruntime-headers` fetches the header for C"
)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_windows_on_x86_64_in_wine(precision: str, exported: Exports, tmp_path: Path) -> None:
    program, imports = tmp_path / "logits.exe", tmp_path / "onnxruntime.lib"
    (tmp_path / "onnxruntime.def").write_text("LIBRARY onnxruntime.dll\nEXPORTS\nOrtGetApiBase\n")
    for arguments in [
        ["dlltool", "-d", tmp_path / "onnxruntime.def", "-l", imports, "-m", "i386:x86-64"],
        ["cc", "-O1", "-target", "x86_64-windows-gnu", "-I", HEADERS, EXAMPLES / "logits.c", imports, "-o", program],
    ]:
        command = [sys.executable, "-m", "ziglang", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    shutil.copy(WINDOWS_RUNTIME, tmp_path)
    library = build.build(tmp_path, "x86_64-windows")
    bundle = exported(precision=precision, **lenient(precision))
    shutil.copy(bundle.model, tmp_path / "model.onnx")
    environment = {**os.environ, "WINEPREFIX": str(tmp_path / "prefix"), "WINEDEBUG": "-all"}
    for kind, name in (("native", library.name), ("portable", "-")):
        words = [str(WINE), program.name, "model.onnx", name, *map(str, IDS)]
        run = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=600)
        assert run.returncode == 0, run.stderr
        printed = {name: np.array(numbers, np.float32) for name, *numbers in map(str.split, run.stdout.splitlines())}
        expected = mbert_onnx.load(bundle.bundle, kernels=kind).logits(np.array([IDS]))
        assert printed.keys() == expected.keys()
        for output, array in expected.items():
            np.testing.assert_allclose(printed[output], array[0], atol=1e-5, err_msg=f"{kind} {output}")
    unknown = {**environment, kernels.VARIABLE: "none"}
    words = [str(WINE), program.name, "model.onnx", library.name, *map(str, IDS)]
    refused = subprocess.run(words, capture_output=True, text=True, env=unknown, cwd=tmp_path, timeout=600)
    assert refused.returncode == 1
    assert "unknown instruction set none; expected one of" in refused.stderr


@pytest.mark.skipif(WINE is None, reason="wine is not installed: apt install wine64")
def test_program_with_the_import_library_of_windows_in_wine(tmp_path: Path) -> None:
    library, program = build.build(tmp_path, "x86_64-windows"), tmp_path / "program.exe"
    options = ["-target", "x86_64-windows-gnu", "-O1", "-I", str(build.HERE / "include"), str(HERE / "c_interface.c")]
    command = [sys.executable, "-m", "ziglang", "cc", *options, str(build.import_library(library)), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    environment = {**os.environ, "WINEPREFIX": str(tmp_path / "prefix"), "WINEDEBUG": "-all"}
    words = [str(WINE), program.name]
    run = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=600)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[0] == f"version {mbert_onnx.__version__}"
