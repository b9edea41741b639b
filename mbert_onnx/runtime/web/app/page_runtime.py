"""Runtime of a page, mbert-onnx-web or onnxruntime-web: which of them an app takes, and its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from mbert_onnx.errors import BundleError, UsageError
from mbert_onnx.runtime.web.app import onnxruntime_web
from mbert_onnx.runtime.web.app.mbert_onnx_web import own_files, own_version, why_refused, why_unchecked
from mbert_onnx.runtime.web.app.settings import TextFile

MBERT_ONNX, ONNXRUNTIME = RUNTIMES = ("mbert-onnx", "onnxruntime")
OWN = "mbert-onnx-web"
# Many static hosts do not know .mjs as JavaScript, and browsers then refuse it.
ORT_SCRIPT = f"{onnxruntime_web.NAME}/ort.wasm.bundle.min.js"


@dataclass(frozen=True)
class PageRuntime:
    """A runtime in an app.

    Args:
        name: The npm package, after which its folder in the app and its module in page/scripts/runtimes/ are named.
        version, source: Its version, and where it is from, for the report.
        files: Its files by their path in the app.
        script: The module that the page imports, as a path in the app.
        large: The file that the page downloads itself, because it is large; empty where the module does that.
        note: Why it was taken and not the other one, or why it was not tried on the file; else empty.
    """

    name: str
    version: str
    source: str
    files: Mapping[str, Path]
    script: str
    large: str = ""
    note: str = ""


@contextmanager
def chosen_runtime(text_file: TextFile, name: str | None, package: Path | None) -> Iterator[PageRuntime]:
    """Yields the runtime for a text file; what was fetched for it is deleted at the end.

    Args:
        text_file: The text file of the app.
        name: One of RUNTIMES; None: mbert-onnx-web, or onnxruntime-web where the former does not run the file.
        package: onnxruntime-web, as `find_runtime` takes it, which also chooses it.

    Raises:
        UsageError: the name is unknown, or that of the other package.
        BundleError: mbert-onnx-web is not built, or refuses the file and was asked for.
    """
    if name not in (None, *RUNTIMES):
        raise UsageError(f"--runtime is {name!r}; expected {' or '.join(RUNTIMES)}")
    if name == MBERT_ONNX and package is not None:
        raise UsageError(
            f"--onnxruntime-web is for --runtime {ONNXRUNTIME}, not for {MBERT_ONNX}; leave one of them out"
        )
    reason = None
    if name != ONNXRUNTIME and package is None:
        own = PageRuntime(OWN, own_version(), "mbert-onnx", own_files(OWN), f"{OWN}/lib/index.js")
        reason = why_refused(text_file.path)
        if reason is None:
            unchecked = why_unchecked()
            note = f"whether {OWN} runs this file was not checked: {unchecked}" if unchecked else ""
            yield replace(own, note=note)
            return
        if name == MBERT_ONNX:
            raise BundleError(f"{OWN} does not run {text_file.path}: {reason}; pass --runtime {ONNXRUNTIME}")
    with onnxruntime_web.find_runtime(package) as found:
        wasm = f"{onnxruntime_web.NAME}/{onnxruntime_web.WASM}"
        runtime = PageRuntime(
            onnxruntime_web.NAME,
            found.version,
            found.source,
            {ORT_SCRIPT: found.script, wasm: found.wasm},
            ORT_SCRIPT,
            large=wasm,
        )
        yield runtime if reason is None else replace(runtime, note=f"{OWN} does not run this file: {reason}")
