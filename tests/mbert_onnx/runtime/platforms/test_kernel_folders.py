"""`kernels --for`: the folder of each platform, the code in it, and what is refused."""

from __future__ import annotations

import json
import os
import plistlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
from exported_checkpoints import Exports
from typer.testing import CliRunner

import mbert_onnx
from graphs import kernels
from graphs.kernels import build
from mbert_onnx.cli.application import app
from mbert_onnx.errors import BundleError, MbertError, UsageError
from mbert_onnx.runtime.platforms.layouts import LAYOUTS
from mbert_onnx.runtime.platforms.writer import TEMPLATES

NODE, GO = shutil.which("node"), shutil.which("go")
HEADERS = Path(__file__).parents[4] / "build" / "onnxruntime-headers"


# A program in another package than the code, whose types of C are other ones.
GO_PROGRAM = """package main

/*
#include <onnxruntime_c_api.h>

static void* new_env(void) {
  OrtEnv* env = NULL;
  OrtGetApiBase()->GetApi(17)->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "test", &env);
  return env;
}
*/
import "C"

import (
	"example/kernels"
	"fmt"
	"os"
)

func main() {
	_, err := kernels.OpenWithKernels(C.new_env(), os.Args[1], os.Args[2])
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println("opened")
}
"""


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replaces the build of libraries by files with the name of their target; returns the targets that were built."""
    targets: list[str] = []

    def write(folder: Path, target: str) -> Path:
        targets.append(target)
        folder.mkdir(parents=True)
        library = folder / build.library_name(target)
        library.write_text(target)
        if target.endswith("windows"):
            build.import_library(library).write_text(f"imports of {target}")
        return library

    monkeypatch.setattr(build, "build", write)
    monkeypatch.setattr(kernels, "library", lambda: None)
    return targets


@pytest.mark.parametrize("platform", LAYOUTS)
def test_each_platform(platform: str, built: list[str], tmp_path: Path) -> None:
    output = tmp_path / "out" / platform
    written = mbert_onnx.write_kernels(platform, output)
    layout = LAYOUTS[platform]
    root = output / "MbertKernels.xcframework" if platform == "ios" else output
    for place, target in layout.libraries.items():
        assert (root / place / build.library_name(target)).read_text() == target
    assert built == list(dict.fromkeys(layout.libraries.values()))
    found = sorted(path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file())
    assert list(written.files) == found
    record = json.loads((output / "mbert_kernels.json").read_text())
    assert sorted([*record["files"], "mbert_kernels.json"]) == found
    header = (build.HERE / "include" / "mbert_kernels.h").read_text()
    assert [path.read_text() for path in output.rglob("*.h")] == [header] * (2 if platform == "ios" else 1)
    for name in layout.files:
        text = (output / name).read_text()
        assert not {"$version", "$title", "$files", "$note", "$linking"} & set(text.replace(".", " ").split())
    assert f"kernels {mbert_onnx.__version__} for {layout.title}\n" in (output / "README.md").read_text()


def test_import_libraries_of_windows(built: list[str], tmp_path: Path) -> None:
    written = mbert_onnx.write_kernels("windows", tmp_path / "windows")
    for place in ("bin/x64", "bin/arm64"):
        library = tmp_path / "windows" / place / "mbert_kernels.dll"
        assert build.import_library(library).read_text() == f"imports of {library.read_text()}"
        assert f"- `{place}/mbert_kernels.lib`\n" in (tmp_path / "windows" / "README.md").read_text()
    others = mbert_onnx.write_kernels("node", tmp_path / "node")
    assert [name.endswith(".lib") for name in written.files].count(True) == 2
    assert not any(name.endswith(".lib") for name in others.files)


def test_xcframework(built: list[str], tmp_path: Path) -> None:
    mbert_onnx.write_kernels("ios", tmp_path / "ios")
    framework = tmp_path / "ios" / "MbertKernels.xcframework"
    plist = plistlib.loads((framework / "Info.plist").read_bytes())
    assert (plist["CFBundlePackageType"], plist["XCFrameworkFormatVersion"]) == ("XFWK", "1.0")
    for one in plist["AvailableLibraries"]:
        folder = framework / one["LibraryIdentifier"]
        assert (folder / one["LibraryPath"]).is_file()
        module = folder / one["HeadersPath"] / "MbertKernels"
        assert 'header "mbert_kernels.h"' in (module / "module.modulemap").read_text()
        assert (module / "mbert_kernels.h").is_file()
    assert [one.get("SupportedPlatformVariant") for one in plist["AvailableLibraries"]] == [None, "simulator"]


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
def test_node_finds_its_library(built: list[str], tmp_path: Path) -> None:
    mbert_onnx.write_kernels("node", tmp_path / "node_modules" / "mbert-kernels")
    package = json.loads((tmp_path / "node_modules" / "mbert-kernels" / "package.json").read_text())
    assert package["version"] == mbert_onnx.__version__
    program = (
        "import { library } from 'mbert-kernels'; import { existsSync } from 'fs'; console.log(existsSync(library))"
    )
    (tmp_path / "program.mjs").write_text(program)
    done = subprocess.run([str(NODE), tmp_path / "program.mjs"], capture_output=True, text=True)
    assert done.stdout == "true\n", done.stderr
    for name, value in [("platform", "freebsd"), ("arch", "ia32"), ("platform", "constructor")]:
        program = (
            f"Object.defineProperty(process, '{name}', {{ value: '{value}' }});"
            "import('mbert-kernels').catch((error) => console.log(error.message))"
        )
        (tmp_path / "program.mjs").write_text(program)
        done = subprocess.run([str(NODE), tmp_path / "program.mjs"], capture_output=True, text=True)
        assert re.fullmatch(r"mbert-kernels has no library for \S+; expected Linux, .* kernels\n", done.stdout), (
            done.stderr
        )
        assert value in done.stdout


@pytest.mark.full
@pytest.mark.skipif(GO is None, reason="Go is not installed: apt install golang-go")
@pytest.mark.skipif(not (HEADERS / "onnxruntime_c_api.h").is_file(), reason="`make onnxruntime-headers` fetches it")
def test_the_code_in_go(exported: Exports, tmp_path: Path) -> None:
    runtime, library = Path(onnxruntime.__file__).parent / "capi", kernels.library()
    if library is None or not sys.platform.startswith("linux"):
        pytest.skip("the kernels for Linux are not built here")
    [file] = runtime.glob("libonnxruntime.so.*")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (tmp_path / name).symlink_to(file)
    (tmp_path / "kernels").mkdir()
    shutil.copy(TEMPLATES / "desktop" / "open_with_kernels.go", tmp_path / "kernels")
    (tmp_path / "go.mod").write_text("module example\n\ngo 1.19\n")
    (tmp_path / "main.go").write_text(GO_PROGRAM)
    environment = {
        **os.environ,
        "CGO_CFLAGS": f"-I{HEADERS} -Wno-unused-result",
        "CGO_LDFLAGS": f"-L{tmp_path}",
        "LD_LIBRARY_PATH": str(tmp_path),
    }
    for words in (["vet", "./..."], ["build", "-o", "program", "."]):
        done = subprocess.run([str(GO), *words], capture_output=True, text=True, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
    model = exported(precision="int8", min_agreement=0.0).model
    for path, isa, expected in [
        (str(library), kernels.instruction_set(), "opened\n"),
        (str(library), "none", "error: .*unknown instruction set none"),
        ("/none.so", "", "error: Failed to load library /none.so"),
    ]:
        done = subprocess.run(
            [str(tmp_path / "program"), str(model), path],
            capture_output=True,
            text=True,
            env={**environment, kernels.VARIABLE: isa},
        )
        assert re.match(expected, done.stdout), (done.stdout, done.stderr)


@pytest.mark.full
@pytest.mark.skipif(not (HEADERS / "onnxruntime_cxx_api.h").is_file(), reason="`make onnxruntime-headers` fetches it")
def test_the_code_in_cpp_compiles(built: list[str], tmp_path: Path) -> None:
    mbert_onnx.write_kernels("linux", tmp_path / "linux")
    source = tmp_path / "linux" / "open_with_kernels.cpp"
    options = ["-std=c++17", "-isystem", str(HEADERS), "-c", str(source), "-o", str(tmp_path / "object.o")]
    command = [sys.executable, "-m", "ziglang", "c++", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_this_machine_has_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = kernels.library()
    if library is None or not build.host().endswith("linux"):
        pytest.skip("the kernels for Linux are not built here")

    def refuse(folder: Path, target: str) -> Path:
        assert target != build.host()
        return library

    monkeypatch.setattr(build, "build", refuse)
    mbert_onnx.write_kernels("linux", tmp_path / "linux")
    processor = build.host().split("-")[0]
    assert (tmp_path / "linux" / "lib" / processor / library.name).read_bytes() == library.read_bytes()


def test_overwrite_keeps_other_files(built: list[str], tmp_path: Path) -> None:
    output = tmp_path / "android"
    mbert_onnx.write_kernels("android", output)
    (output / "own.txt").write_text("mine")
    with pytest.raises(BundleError, match="exists; pass --overwrite to replace the folder of kernels in it, or choose"):
        mbert_onnx.write_kernels("android", output)
    written = mbert_onnx.write_kernels("dotnet", output, overwrite=True)
    assert written.left_alone == ["own.txt"]
    assert (output / "own.txt").read_text() == "mine"
    assert not (output / "jniLibs").exists()


def test_other_folders_are_refused(built: list[str], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("")
    with pytest.raises(BundleError, match="is not empty and not a folder of kernels that this command wrote; choose"):
        mbert_onnx.write_kernels("android", tmp_path / "other", overwrite=True)
    (tmp_path / "plain").write_text("")
    with pytest.raises(BundleError, match="exists and is not a folder; choose another --output"):
        mbert_onnx.write_kernels("android", tmp_path / "plain")
    with pytest.raises(
        UsageError, match="--for is 'beos'; expected one of android, ios, linux, macos, windows, dotnet"
    ):
        mbert_onnx.write_kernels("beos", tmp_path / "new")
    assert built == []
    assert not (tmp_path / "new").exists()


def test_nothing_is_left_where_a_build_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path, target: str) -> Path:
        raise build.BuildError("clang failed for it: -c\nerror: no such thing")

    monkeypatch.setattr(build, "build", fail)
    with pytest.raises(
        MbertError, match=r"cannot be built for aarch64-android \(error: no such thing\); expected ziglang"
    ):
        mbert_onnx.write_kernels("android", tmp_path / "android")
    monkeypatch.setattr(build, "has_compiler", lambda: False)
    with pytest.raises(MbertError, match=r"the package ziglang is not installed: pip install ziglang==0\.17\.1"):
        mbert_onnx.write_kernels("android", tmp_path / "android")
    monkeypatch.setattr(build, "has_compiler", lambda: True)
    monkeypatch.setattr(build, "HERE", tmp_path)
    with pytest.raises(MbertError, match="this installation has no sources of them; run it in a copy of mbert-onnx's"):
        mbert_onnx.write_kernels("android", tmp_path / "android")
    assert list(tmp_path.iterdir()) == []


def test_command(built: list[str], tmp_path: Path) -> None:
    run = CliRunner().invoke
    done = run(app, ["kernels", "--for", "android", "--output", str(tmp_path / "android")])
    assert done.exit_code == 0
    assert "jniLibs/arm64-v8a/libmbert_kernels.so" in done.stdout
    done = run(app, ["kernels", "--for", "node", "--output", str(tmp_path / "node"), "--json"])
    assert json.loads(done.stdout)["platform"] == "node"
    for arguments, message in [
        (["--for", "node"], "--for is given without --output"),
        (["--output", "x"], "--output is given without --for"),
        (["--overwrite"], "--overwrite is given without --for"),
    ]:
        done = run(app, ["kernels", *arguments])
        assert done.exit_code == 2
        assert message in done.stderr
