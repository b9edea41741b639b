"""The folder of a web app: its files and settings, what is refused, and that it is complete or not there."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mbert_onnx.cli.application import app
from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.runtime.web.app import writing
from mbert_onnx.runtime.web.app.settings import PAGES
from mbert_onnx.runtime.web.app.writing import PAGE, write_app
from mbert_onnx.text.tasks import TASKS

MakeBundle = Callable[..., Path]


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def settings_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "app.json").read_text(encoding="utf-8"))
    return content


def cached(folder: Path) -> list[str]:
    """The files that the service worker keeps."""
    [files] = re.findall(r"const FILES = (\[.*?\]);", (folder / "service-worker.js").read_text(), re.DOTALL)
    names: list[str] = json.loads(files)
    return names


def test_every_task_has_a_page() -> None:
    assert set(PAGES) == {task.name for task in TASKS}
    assert {f"{page}.js" for page, _ in PAGES.values()} == {path.name for path in (PAGE / "scripts/tasks").iterdir()}


def test_the_folder_has_all_files_and_lists_them(make_bundle: MakeBundle, package: Path, tmp_path: Path) -> None:
    bundle, output = make_bundle("question-answering", record={"max_length": 100}), tmp_path / "app"
    report = write_app(bundle, output, onnxruntime_web=package)
    settings, files = settings_of(output), names_in(output)
    assert settings["files"] == files
    assert {"index.html", "service-worker.js", "scripts/tasks/question_answering.js"} <= set(files)
    assert sum("tasks/" in name for name in files) == 1
    assert not [name for name in files if name.endswith(".mjs")]
    assert (settings["page"], settings["max_length"]) == ("question_answering", 100)
    assert settings["title"] == "Question answering"
    for name, large in (("model/model_text.onnx", settings["model"]), (None, settings["runtime"]["wasm"])):
        path, version = large["url"].split("?v=")
        assert name in (path, None)
        assert version == hashlib.sha256((output / path).read_bytes()).hexdigest()[: len(version)]
        assert large["bytes"] == (output / path).stat().st_size
    # A host serves the page as "./"; browsers look for the worker themselves.
    assert {name.split("?")[0] for name in cached(output)} == {*files, "./"} - {"index.html", "service-worker.js"}
    assert {settings["model"]["url"], settings["runtime"]["wasm"]["url"]} <= set(cached(output))
    assert report.total_bytes == sum((output / name).stat().st_size for name in files)
    assert not list(tmp_path.glob(".*"))


def test_nothing_is_loaded_from_elsewhere(make_bundle: MakeBundle, package: Path, tmp_path: Path) -> None:
    write_app(make_bundle(), tmp_path / "app", onnxruntime_web=package)
    for path in (tmp_path / "app").rglob("*"):
        if path.suffix in (".html", ".css", ".js", ".json", ".svg"):
            text = path.read_text(encoding="utf-8")
            assert set(re.findall(r"https?://[\w./]+", text)) <= {"http://www.w3.org/2000/svg"}, path
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|\son\w+=", text), (
                path
            )
    page = (tmp_path / "app" / "index.html").read_text(encoding="utf-8")
    assert "default-src 'none'; script-src 'self' 'wasm-unsafe-eval';" in page
    assert "unsafe-inline" not in page
    assert "<style" not in page


def test_names_and_the_title_are_text(make_bundle: MakeBundle, package: Path, tmp_path: Path) -> None:
    hostile = "\"><script>alert('1')</script> & $title"
    write_app(make_bundle(labels=[hostile, "é"]), tmp_path / "app", title=hostile, onnxruntime_web=package)
    page = (tmp_path / "app" / "index.html").read_text(encoding="utf-8")
    assert "<script>" not in page
    assert page.count("&quot;&gt;&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt; &amp; $title") == 2
    assert settings_of(tmp_path / "app")["labels"] == [hostile, "é"]
    assert json.loads((tmp_path / "app" / "manifest.json").read_text(encoding="utf-8"))["name"] == hostile


def test_another_model_or_title_is_another_build(make_bundle: MakeBundle, package: Path, tmp_path: Path) -> None:
    builds: list[str] = []
    for limit, title in ((128, None), (128, None), (64, None), (128, "Other")):
        output = tmp_path / str(len(builds))
        write_app(make_bundle(limit=limit), output, title=title, onnxruntime_web=package)
        builds.append(settings_of(output)["build"])
        assert f'const BUILD = "{builds[-1]}";' in (output / "service-worker.js").read_text()
    assert builds[0] == builds[1]
    assert len(set(builds)) == 3


def test_the_smallest_text_file_is_taken(make_bundle: MakeBundle, package: Path, tmp_path: Path) -> None:
    names = ("onnx/model_text.onnx", "onnx/model_text_fp16.onnx", "onnx/model_text_int8.onnx", "onnx/_#1 50%?.onnx")
    bundle = make_bundle(names=names)
    cases = [
        (bundle, names[2], names[2]),
        (bundle / names[1], names[1], names[1]),
        (bundle / names[3], names[3], names[0]),
    ]
    for number, (given, taken, written) in enumerate(cases):
        report = write_app(given, tmp_path / str(number), onnxruntime_web=package)
        assert report.model == bundle / taken
        assert settings_of(report.output)["model"]["url"].startswith(f"model/{Path(written).name}?v=")


def test_masks_have_a_vocabulary(make_bundle: MakeBundle, package: Path, tmp_path: Path) -> None:
    bundle = make_bundle("fill-mask", record={"mask_token": "<mask>"}, labels=[])
    with pytest.raises(BundleError, match=r"has no vocab\.txt beside it"):
        write_app(bundle, tmp_path / "app", onnxruntime_web=package)
    assert not (tmp_path / "app").exists()
    (bundle / "vocab.txt").write_text("[PAD]\nthe\n##s\n", encoding="utf-8")
    write_app(bundle, tmp_path / "app", onnxruntime_web=package)
    assert (tmp_path / "app/model/vocab.txt").read_text(encoding="utf-8") == "[PAD]\nthe\n##s\n"
    settings = settings_of(tmp_path / "app")
    assert (settings["mask"], settings["continuation"]) == ("<mask>", "##")
    assert settings["vocabulary"]["url"] in cached(tmp_path / "app")


def test_only_an_app_is_replaced_and_other_files_stay(make_bundle: MakeBundle, package: Path, tmp_path: Path) -> None:
    output = tmp_path / "app"
    output.mkdir()
    (output / "notes.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(BundleError, match="not an app that this command wrote; choose another --output"):
            write_app(make_bundle(), output, onnxruntime_web=package, overwrite=overwrite)
    (output / "notes.txt").unlink()
    write_app(make_bundle(), output, onnxruntime_web=package)
    with pytest.raises(BundleError, match="app exists; pass --overwrite to replace the app in it, or choose another"):
        write_app(make_bundle(), output, onnxruntime_web=package)
    (output / "CNAME").write_text("mine")
    (output / "more").mkdir()
    (output / "more" / "page.html").write_text("mine")
    report = write_app(make_bundle("question-answering"), output, onnxruntime_web=package, overwrite=True)
    assert report.left_alone == ["CNAME", "more/page.html"]
    assert names_in(output) == sorted([*settings_of(output)["files"], *report.left_alone])
    assert (output / "more" / "page.html").read_text() == "mine"


def test_a_full_disk_leaves_what_was_there(
    make_bundle: MakeBundle, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "app"
    write_app(make_bundle(), output, onnxruntime_web=package)
    before = settings_of(output)

    copy = writing._copy

    def full(source: Path, target: Path) -> None:
        if source.suffix == ".wasm":
            raise OSError(28, "No space left on device")
        copy(source, target)

    monkeypatch.setattr(writing, "_copy", full)
    for folder in (output, tmp_path / "other"):
        with pytest.raises(
            BundleError, match=r"cannot be written \(No space left on device\); choose another --output"
        ):
            write_app(make_bundle(limit=64), folder, onnxruntime_web=package, overwrite=True)
    assert settings_of(output) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["app", "bundle", "package"]


def test_a_bundle_without_a_text_file_is_one_line(make_bundle: MakeBundle, package: Path, tmp_path: Path) -> None:
    bundle = make_bundle(names=("onnx/other.onnx",))
    ordinary = bundle / "onnx" / "model.onnx"
    ordinary.write_bytes(b"")
    advice = "export one with `mbert-onnx export CHECKPOINT --text --output FOLDER`"
    for model, says in (
        (bundle, f"has no text file, such as onnx/model_text.onnx; {advice}"),
        (ordinary, f"model.onnx is no text file: it takes token ids; {advice}"),
        (tmp_path / "none", "none does not exist; give the folder of a bundle, or its onnx/model_text.onnx"),
        ("reference", "export one with `mbert-onnx export reference --text --output FOLDER`"),
    ):
        with pytest.raises(BundleError, match=re.escape(says)):
            write_app(model, tmp_path / "app", onnxruntime_web=package)


@pytest.mark.parametrize("title", ["", "  ", "a\0b", "x" * 201])
def test_a_title_is_a_short_line(title: str, make_bundle: MakeBundle, package: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected 1 to 200 printable characters"):
        write_app(make_bundle(), tmp_path / "app", title=title, onnxruntime_web=package)


def test_the_command_prints_what_it_wrote(make_bundle: MakeBundle, package: Path, tmp_path: Path) -> None:
    output = tmp_path / '[b]my "app" $(x)'
    arguments = ["app", "web", str(make_bundle()), "--output", str(output), "--onnxruntime-web", str(package)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    first, model, runtime, look = result.stdout.splitlines()
    assert first.endswith("files, text-classification")
    assert "onnx/model_text.onnx, 0.0 MB" in model
    assert "onnxruntime-web 1.30.0, from" in runtime
    assert f"python -m http.server 8000 --directory '{output}', then" in look
    result = CliRunner().invoke(app, [*arguments, "--overwrite", "--json"])
    assert json.loads(result.stdout)["task"] == "text-classification"
    result = CliRunner().invoke(app, ["app", "ios", *arguments[2:]])
    assert (result.exit_code, result.stderr) == (2, "mbert-onnx: the kind of app is 'ios'; expected web\n")
