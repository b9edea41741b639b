"""The runtime of an app: mbert-onnx-web by default, onnxruntime-web on request or for files that the former refuses."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from graphs.kernels.building.compiler import BuildError
from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.runtime.web import package_files
from mbert_onnx.runtime.web.app import mbert_onnx_web, page_runtime
from mbert_onnx.runtime.web.app.mbert_onnx_web import why_refused, why_unchecked
from mbert_onnx.runtime.web.app.writing import write_app
from perf.sessions.runtimes.node_session.process import find_node

MakeBundle = Callable[..., Path]
BUILT = all((package_files.WASM / name).is_file() for name in package_files.ONE_THREAD)


@pytest.fixture
def wasm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of that with the .wasm, whose files are small; models are taken as they are."""
    package, folder = tmp_path / "own", tmp_path / "own" / "wasm"
    shutil.copytree(package_files.PACKAGE, package, ignore=shutil.ignore_patterns("node_modules", "*.wasm"))
    folder.mkdir(exist_ok=True)
    for name in package_files.ONE_THREAD:
        (folder / name).write_bytes(b"\0asm")
    for module in (package_files, mbert_onnx_web):
        monkeypatch.setattr(module, "PACKAGE", package)
        monkeypatch.setattr(module, "WASM", folder)
    monkeypatch.setattr(page_runtime, "why_refused", lambda _: None)
    monkeypatch.setattr(page_runtime, "why_unchecked", lambda: "")
    return folder


def test_mbert_onnx_web_is_the_default(make_bundle: MakeBundle, wasm: Path, tmp_path: Path) -> None:
    output = tmp_path / "app"
    report = write_app(make_bundle(), output)
    assert (report.runtime, report.runtime_source, report.note) == ("mbert-onnx-web", "mbert-onnx", "")
    settings = json.loads((output / "app.json").read_text())
    assert settings["runtime"]["name"] == "mbert-onnx-web"
    assert settings["runtime"]["wasm"] is None  # its module fetches it
    assert (output / settings["runtime"]["script"]).is_file()
    assert {"scripts/runtimes/mbert-onnx-web.js", "mbert-onnx-web/wasm/mbert-relaxed.wasm"} <= set(settings["files"])
    assert not [name for name in settings["files"] if "onnxruntime" in name or "threads" in name]
    # All modules that one of its modules imports are there.
    for path in (output / "mbert-onnx-web/lib").glob("*.js"):
        for name in re.findall(r'from "(\./[^"]+)"', path.read_text(encoding="utf-8")):
            assert (path.parent / name).is_file(), name
    assert "mbert-onnx-web/wasm/mbert.wasm" in (output / "service-worker.js").read_text()


def test_a_refused_file_runs_in_onnxruntime_web(
    make_bundle: MakeBundle, package: Path, wasm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "node_modules").mkdir(parents=True)
    package.rename(tmp_path / "here" / "node_modules" / "onnxruntime-web")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(page_runtime, "why_refused", lambda _: "node a (Split) is unknown")
    report = write_app(make_bundle(), tmp_path / "app")
    assert report.runtime == "onnxruntime-web"
    assert report.note == "mbert-onnx-web does not run this file: node a (Split) is unknown"
    says = r"mbert-onnx-web does not run .*model_text\.onnx: node a \(Split\) is unknown; pass --runtime onnxruntime$"
    with pytest.raises(BundleError, match=says):
        write_app(make_bundle(), tmp_path / "other", runtime="mbert-onnx")
    assert write_app(make_bundle(), tmp_path / "third", runtime="onnxruntime").note == ""


def test_what_cannot_be_is_one_line(
    make_bundle: MakeBundle, package: Path, wasm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"^--runtime is 'ort'; expected mbert-onnx or onnxruntime$"):
        write_app(make_bundle(), tmp_path / "app", runtime="ort")
    with pytest.raises(UsageError, match=r"^--onnxruntime-web is for --runtime onnxruntime, not for mbert-onnx; leave"):
        write_app(make_bundle(), tmp_path / "app", runtime="mbert-onnx", onnxruntime_web=package)
    (wasm / "mbert-relaxed.wasm").unlink()
    monkeypatch.setattr(package_files, "has_compiler", lambda: False)
    says = r"relaxed\.wasm, which .* is not built; pip install ziglang, .*, or pass --runtime onnxruntime$"
    with pytest.raises(BundleError, match=says):
        write_app(make_bundle(), tmp_path / "app")

    def fail(_: Path) -> None:
        raise BuildError("the compiler failed:\nmore")

    monkeypatch.setattr(package_files, "has_compiler", lambda: True)
    monkeypatch.setattr(package_files, "build_wasm", fail)
    with pytest.raises(BundleError, match=r"cannot be \(the compiler failed:\); install mbert-onnx again, or pass"):
        write_app(make_bundle(), tmp_path / "app")
    assert not (tmp_path / "app").exists()


def test_without_node_every_file_is_taken_with_a_note(
    make_bundle: MakeBundle, wasm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_node.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert why_refused(tmp_path / "none.onnx") is None
    monkeypatch.setattr(page_runtime, "why_unchecked", why_unchecked)
    note = write_app(make_bundle(), tmp_path / "app").note
    assert note.startswith("whether mbert-onnx-web runs this file was not checked: Node.js is not installed")


def test_a_file_that_is_no_model_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "page.onnx").write_text("<html>")
    with pytest.raises(BundleError, match=r"page\.onnx is not an ONNX model"):
        write_app(tmp_path / "page.onnx", tmp_path / "app")


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.skipif(not BUILT, reason="the .wasm files are not built here")
def test_node_says_why_a_file_is_refused(make_bundle: MakeBundle) -> None:
    find_node.cache_clear()
    refused = why_refused(make_bundle() / "onnx" / "model_text.onnx")
    assert refused is not None
    assert "onnxruntime-web" not in refused
