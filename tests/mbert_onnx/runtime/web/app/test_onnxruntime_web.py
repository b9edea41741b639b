"""onnxruntime-web is found in a folder, an archive or node_modules, or fetched by npm."""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path

import pytest

from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.runtime.web.app.onnxruntime_web import VERSION, find_runtime
from perf.peers.npm import ORT_WEB_VERSION

ROOT = Path(__file__).parents[5]
WINDOWS = sys.platform == "win32"


@pytest.fixture(autouse=True)
def _empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder and a PATH without onnxruntime-web and npm."""
    for name in ("here", "bin"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def packed(package: Path) -> Path:
    archive = package.with_name("package.tgz")
    with tarfile.open(archive, "w:gz") as file:
        file.add(package, "package")
    return archive


def write_npm(folder: Path, script: str) -> None:
    npm = folder / "bin" / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)


def test_the_version_is_the_one_of_the_examples_and_of_bench() -> None:
    package = json.loads((ROOT / "examples" / "web" / "package.json").read_text())
    assert package["dependencies"]["onnxruntime-web"] == VERSION == ORT_WEB_VERSION


def test_a_folder_or_an_archive_is_given(package: Path) -> None:
    for given in (package, packed(package)):
        with find_runtime(given) as runtime:
            assert (runtime.version, runtime.source) == (VERSION, str(given))
            assert runtime.wasm.read_bytes() == b"\0asm"
            assert runtime.script.is_file()
    assert not runtime.wasm.exists()  # what was unpacked


def test_node_modules_above_are_found(package: Path, tmp_path: Path) -> None:
    (tmp_path / "node_modules").mkdir()
    package.rename(tmp_path / "node_modules" / "onnxruntime-web")
    with find_runtime(None) as runtime:
        assert runtime.source == str(tmp_path / "node_modules" / "onnxruntime-web")


@pytest.mark.skipif(WINDOWS, reason="npm is a shell script here")
def test_npm_fetches_the_package(package: Path, tmp_path: Path) -> None:
    archive = packed(package)
    write_npm(tmp_path, f'echo "$@" > {tmp_path}/called; /bin/cp {archive} "$4/onnxruntime-web.tgz"')
    with find_runtime(None) as runtime:
        assert (runtime.version, runtime.source) == (VERSION, "npm")
        assert runtime.wasm.is_file()
    assert (tmp_path / "called").read_text().startswith(f"pack onnxruntime-web@{VERSION} --pack-destination ")
    assert not list((tmp_path / "here").iterdir())


@pytest.mark.skipif(WINDOWS, reason="npm is a shell script here")
@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("echo 'npm error network' >&2; exit 1", r"1\.30\.0 \(npm error network\); check the connection, or download "),
        ("exit 3", r"\(exit code 3\)"),
        ("exit 0", r"\(it wrote no archive\)"),
        (
            None,
            "npm, which would fetch it, is not installed; install Node.js, or download https://.*1.30.0.tgz and pass",
        ),
    ],
)
def test_npm_that_is_missing_or_fails_is_one_line(script: str | None, says: str, tmp_path: Path) -> None:
    if script is not None:
        write_npm(tmp_path, script)
    with pytest.raises(BundleError, match=says), find_runtime(None):
        pass


def test_another_package_is_refused_by_name(package: Path, tmp_path: Path) -> None:
    (tmp_path / "text.tgz").write_text("no archive")
    (tmp_path / "half.tgz").write_bytes(packed(package).read_bytes()[:-40])
    expected = "expected the folder of the npm package onnxruntime-web 1.30.0, or its .tgz, https://"
    cases: list[tuple[Path, str]] = [
        (tmp_path / "none", "which does not exist"),
        (tmp_path / "here", "which has no package.json with a name and version"),
        (tmp_path / "text.tgz", r"is not a readable .tgz \(not a gzip file\)"),
        (tmp_path / "half.tgz", r"is not a readable .tgz \(.*\)"),
    ]
    for given, says in cases:
        with pytest.raises(UsageError, match=f"{says}; {expected}"), find_runtime(given):
            pass
    (package / "dist" / "ort-wasm-simd-threaded.wasm").unlink()
    with pytest.raises(UsageError, match=r"has no dist/ort-wasm-simd-threaded\.wasm \(version"), find_runtime(package):
        pass
    (package / "package.json").write_text('{"name": "other", "version": "1"}')
    with pytest.raises(UsageError, match="which is the package 'other'; expected"), find_runtime(package):
        pass
