"""mbert-onnx-web in an app: its files, and whether it runs a model, which Node.js tries where it is installed."""

from __future__ import annotations

import json
import re
from pathlib import Path

from mbert_onnx.runtime.web.package_files import ONE_THREAD, PACKAGE, WASM, ensure_built

# The end of a refusal, which its callers know how to follow.
ADVISED = re.compile(r"[;.] run this file with onnxruntime-web$", re.IGNORECASE)


def own_version() -> str:
    """Returns the version of the package."""
    return str(json.loads((PACKAGE / "package.json").read_text(encoding="utf-8"))["version"])


def own_files(folder: str) -> dict[str, Path]:
    """Returns the files that a page needs, by their path below a folder of the app.

    Those for several threads are not among them: pages of an app need no special headers, and have one thread without.

    Raises BundleError where the .wasm cannot be built.
    """
    ensure_built(", or pass --runtime onnxruntime")
    files = [*sorted((PACKAGE / "lib").glob("*.js")), *(WASM / name for name in ONE_THREAD)]
    return {f"{folder}/{path.relative_to(PACKAGE).as_posix()}": path for path in files}


def why_unchecked() -> str:
    """Returns why `why_refused` cannot try a model; empty where it can."""
    from perf.errors import PerfError
    from perf.sessions.runtimes.node_session.process import find_node

    try:
        find_node()
    except PerfError as error:
        return str(error)
    return ""


def why_refused(model: Path) -> str | None:
    """Returns why the runtime does not load a model; None where it does, or where there is no Node.js to try it."""
    from perf.errors import PerfError
    from perf.sessions.runtimes import MBERT_WEB
    from perf.sessions.runtimes.node_session.process import NodeProcess

    if why_unchecked():
        return None
    process = NodeProcess(MBERT_WEB, PACKAGE)
    try:
        process.ask("open", file=str(model.resolve()), threads=1)
    except PerfError as error:
        return ADVISED.sub("", str(error))
    finally:
        process.close()
    return None
