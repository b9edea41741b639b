"""Writer of a platform's folder: libraries, built where they are not there, the C header, and code that loads them."""

from __future__ import annotations

import json
import shutil
import string
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mbert_onnx
from graphs import kernels
from graphs.kernels import build
from mbert_onnx.bundles.atomic import FILES, GENERATOR, OwnFolder
from mbert_onnx.bundles.types import Progress
from mbert_onnx.errors import MbertError, UsageError
from mbert_onnx.runtime.platforms.layouts import LAYOUTS, Layout
from mbert_onnx.runtime.platforms.xcframework import FOLDER, MODULE, info_plist

RECORD, COMMAND = "mbert_kernels.json", "mbert-onnx kernels --for"
HEADER = "mbert_kernels.h"
TEMPLATES = Path(__file__).parent / "templates"

FOLDERS = OwnFolder(RECORD, COMMAND, "a folder of kernels", "choose another --output")


@dataclass(frozen=True)
class KernelFolder:
    """Record of what was written: the folder, the platform, and its files with their sizes in bytes.

    `left_alone` are files in the folder that are not the command's.
    """

    output: Path
    platform: str
    files: dict[str, int]
    left_alone: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Returns its JSON form."""
        return {**vars(self), "output": str(self.output)}


def write_kernels(
    platform: str, output: str | Path, *, overwrite: bool = False, progress: Progress | None = None
) -> KernelFolder:
    """Writes the folder of a platform, which is complete or not there at any moment.

    The library of this machine is copied; the others are built by the package ziglang.

    Args:
        platform: A key of `LAYOUTS`, such as `android`.
        output: The folder. One that this command wrote is replaced with `overwrite`; other files in it stay.
        overwrite: Whether to replace a folder that is there.
        progress: Called with a line at the start of each stage.

    Raises:
        UsageError: there is no such platform.
        BundleError: the folder may not be written.
        MbertError: ziglang or the sources are missing, or a library cannot be built.
    """
    layout, output = LAYOUTS.get(platform), Path(output)
    if layout is None:
        raise UsageError(f"--for is {platform!r}; expected one of {', '.join(LAYOUTS)}")
    FOLDERS.check(output, overwrite)
    left_alone: list[str] = []
    with tempfile.TemporaryDirectory(prefix="mbert-onnx-") as temporary:
        built = _libraries(layout, Path(temporary), progress or (lambda _: None))
        with FOLDERS.writing(output, overwrite, left_alone) as folder:
            _fill(folder, platform, layout, built)
            files = {name: (folder / name).stat().st_size for name in _names(folder)}
    return KernelFolder(output, platform, files, left_alone)


def _libraries(layout: Layout, folder: Path, progress: Progress) -> dict[str, Path]:
    """Returns the library of each target."""
    found: dict[str, Path] = {}
    here = kernels.library()
    for target in dict.fromkeys(layout.libraries.values()):
        # This machine's library has no import library beside it.
        if here is not None and target == build.host() and not layout.has_import_libraries:
            found[target] = here
            continue
        _check_build(layout, target)
        progress(f"building the kernels for {target}")
        try:
            found[target] = build.build(folder / target, target)
        except build.BuildError as error:
            first = str(error).strip().splitlines()[-1]
            raise MbertError(f"the kernels cannot be built for {target} ({first}); expected ziglang 0.17.1") from None
        except OSError as error:
            raise MbertError(
                f"the kernels cannot be built for {target} ({error.strerror}); is the disk full?"
            ) from None
    return found


def _check_build(layout: Layout, target: str) -> None:
    if not build.has_compiler():
        raise MbertError(
            f"the kernels for {layout.title} have to be built ({target}), and the package ziglang is not installed: "
            "pip install ziglang==0.17.1"
        )
    if not (build.HERE / "library" / "registration.cc").is_file():
        raise MbertError(
            f"the kernels for {layout.title} have to be built ({target}), and this installation has no sources of "
            "them; run it in a copy of mbert-onnx's repository"
        )


def _fill(folder: Path, platform: str, layout: Layout, built: dict[str, Path]) -> None:
    root = folder / FOLDER if layout.has_xcframework else folder
    header = build.HERE / "include" / HEADER
    for place, target in layout.libraries.items():
        (root / place).mkdir(parents=True, exist_ok=True)
        for file in _files(layout, built[target]):
            shutil.copy(file, root / place / file.name)
        if layout.has_xcframework:
            module = root / place / MODULE
            module.mkdir(parents=True)
            shutil.copy(header, module / HEADER)
            shutil.copy(TEMPLATES / layout.templates / "module.modulemap", module)
    if layout.has_xcframework:
        names = {place: built[target].name for place, target in layout.libraries.items()}
        (root / "Info.plist").write_bytes(info_plist(names))
    else:
        (folder / "include").mkdir()
        shutil.copy(header, folder / "include" / HEADER)
    libraries = [
        f"- `{place}/{file.name}`"
        for place, target in layout.libraries.items()
        for file in _files(layout, built[target])
    ]
    values = {
        "version": mbert_onnx.__version__,
        "title": layout.title,
        "files": "\n".join(libraries),
        "note": layout.note,
        "linking": layout.linking,
    }
    for name in layout.files:
        # safe_substitute, because code has dollars, too.
        text = string.Template((TEMPLATES / layout.templates / name).read_text(encoding="utf-8"))
        (folder / name).write_text(text.safe_substitute(values), encoding="utf-8")
    record = {GENERATOR: COMMAND, "platform": platform, "version": mbert_onnx.__version__, FILES: _names(folder)}
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _files(layout: Layout, library: Path) -> list[Path]:
    return [library, *([build.import_library(library)] if layout.has_import_libraries else [])]


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
