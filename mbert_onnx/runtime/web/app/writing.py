"""Writer of a web app: the page, its settings, the model, its runtime, and the list of files for offline use."""

from __future__ import annotations

import hashlib
import html
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mbert_onnx.errors import UsageError
from mbert_onnx.runtime.text_files.vocabulary import read_vocabulary, vocabulary_lines
from mbert_onnx.runtime.web.app.destination import FILES, GENERATOR, OURS, RECORD, check_destination, writing
from mbert_onnx.runtime.web.app.page_runtime import PageRuntime, chosen_runtime
from mbert_onnx.runtime.web.app.settings import TextFile, read_text_file

PAGE = Path(__file__).parent / "page"
INDEX, WORKER, MANIFEST = "index.html", "service-worker.js", "manifest.json"
STATIC = ("style.css", "results.css", "icon.svg")
VOCABULARY = "model/vocab.txt"
# Digits of a SHA-256 that tell versions of a file, and of the app, apart.
DIGITS = 16
# Characters that a title may have; it is a heading and the name of an installed app.
LONGEST_TITLE = 200


@dataclass(frozen=True)
class AppReport:
    """Record of what was written: the folder, the text file, the task, the runtime, and the sizes in bytes.

    `note` says why mbert-onnx-web was not taken, if that was not the caller's choice, or
    was not tried on the file. `left_alone` are files in the
    folder that are not the app's.
    """

    output: Path
    model: Path
    task: str
    runtime: str
    runtime_version: str
    runtime_source: str
    model_bytes: int
    total_bytes: int
    files: int
    note: str = ""
    left_alone: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Returns its JSON form."""
        return {**vars(self), "output": str(self.output), "model": str(self.model)}


def write_app(
    model: str | Path,
    output: str | Path,
    *,
    title: str | None = None,
    runtime: str | None = None,
    onnxruntime_web: str | Path | None = None,
    overwrite: bool = False,
) -> AppReport:
    """Writes the web app of a text file into a folder, which is complete or not there at any moment.

    Args:
        model: A bundle with a text file (int8 first, then fp32), or the path of a text file.
        output: The folder. An app of ours in it is replaced with `overwrite`; files that are not the app's stay.
        title: The heading of the page. Default: the task in words.
        runtime: `mbert-onnx` or `onnxruntime`. Default: the former, or the latter for a file that the former refuses.
        onnxruntime_web: The npm package onnxruntime-web, unpacked or as .tgz; if given, it is the runtime. Default:
            that in node_modules, or else by `npm pack`.
        overwrite: Whether to replace an app that is there.

    Raises:
        UsageError: the title is blank or too long, or there is no such runtime or package.
        BundleError: there is no text file, the folder may not be written, the runtime is not built or refuses the file,
            or npm is missing or fails.
    """
    output = Path(output)
    text_file = read_text_file(model)
    title = text_file.title if title is None else " ".join(title.split())
    if not title.isprintable() or not 0 < len(title) <= LONGEST_TITLE:
        raise UsageError(f"--title is {title[:60]!r}; expected 1 to {LONGEST_TITLE} printable characters")
    check_destination(output, overwrite)
    left_alone: list[str] = []
    with (
        chosen_runtime(text_file, runtime, None if onnxruntime_web is None else Path(onnxruntime_web)) as chosen,
        writing(output, overwrite, left_alone) as folder,
    ):
        files = _fill(folder, text_file, title, chosen)
        sizes = {name: (folder / name).stat().st_size for name in files}
        return AppReport(
            output=output,
            model=text_file.path,
            task=text_file.record.task.name,
            runtime=chosen.name,
            runtime_version=chosen.version,
            runtime_source=chosen.source,
            model_bytes=sizes[f"model/{text_file.copy_name}"],
            total_bytes=sum(sizes.values()),
            files=len(files),
            note=chosen.note,
            left_alone=left_alone,
        )


def _fill(folder: Path, text_file: TextFile, title: str, runtime: PageRuntime) -> list[str]:
    """Writes all files of the app; returns their names."""
    chosen = (f"tasks/{text_file.page}.js", f"runtimes/{runtime.name}.js")
    scripts = [*PAGE.glob("scripts/*.js"), *(PAGE / "scripts" / name for name in chosen)]
    for path in (*scripts, *(PAGE / name for name in STATIC)):
        _copy(path, folder / path.relative_to(PAGE))
    for name, path in runtime.files.items():
        _copy(path, folder / name)
    model = f"model/{text_file.copy_name}"
    _copy(text_file.path, folder / model)
    if text_file.fills_masks:
        tokens = read_vocabulary(text_file.path, text_file.record.vocabulary)
        (folder / VOCABULARY).write_text(vocabulary_lines(tokens), encoding="utf-8")
    _write(folder / INDEX, (PAGE / INDEX).read_text(encoding="utf-8").replace("$title", html.escape(title)))
    _write(folder / MANIFEST, _json(_manifest(title)))
    # The record lists itself and the service worker, which are written last, since they have the hashes of the others.
    hashes = {name: _digest(folder / name) for name in _names(folder)}
    files = sorted([*hashes, RECORD, WORKER])
    build = hashlib.sha256(_json([text_file.settings(), title, hashes]).encode()).hexdigest()[:DIGITS]

    def large(name: str) -> dict[str, Any]:
        return {"url": f"{name}?v={hashes[name]}", "bytes": (folder / name).stat().st_size}

    downloads = {name: large(name) for name in (model, runtime.large, VOCABULARY) if name in hashes}
    settings = {
        GENERATOR: OURS,
        "title": title,
        "build": build,
        **text_file.settings(),
        "model": downloads[model],
        "runtime": {
            "name": runtime.name,
            "version": runtime.version,
            "script": runtime.script,
            "wasm": downloads.get(runtime.large),
        },
        "vocabulary": downloads.get(VOCABULARY),
        FILES: files,
    }
    _write(folder / RECORD, _json(settings))
    cached = ["./", *(downloads.get(name, {"url": name})["url"] for name in files if name not in (INDEX, WORKER))]
    worker = (PAGE / WORKER).read_text(encoding="utf-8")
    _write(folder / WORKER, worker.replace("$build", build).replace("$files", json.dumps(cached, indent=2)))
    return files


def _manifest(title: str) -> dict[str, Any]:
    """Returns the web app manifest, with which browsers offer to install the page."""
    return {
        "name": title,
        "start_url": "./",
        "scope": "./",
        "display": "standalone",
        "icons": [{"src": "icon.svg", "sizes": "any", "type": "image/svg+xml"}],
    }


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _json(content: Any) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
