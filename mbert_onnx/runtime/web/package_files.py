"""Files of the npm package mbert-onnx-web: its modules, and the .wasm files, which the build of this package writes."""

from __future__ import annotations

from pathlib import Path

from mbert_onnx.errors import BundleError

PACKAGE = Path(__file__).parent / "package"
LIBRARY = PACKAGE / "lib" / "index.js"
WASM = PACKAGE / "wasm"
# The files for one thread, with and without relaxed SIMD.
ONE_THREAD = ("mbert.wasm", "mbert-relaxed.wasm")
ADVICE = "pip install ziglang and run `make web-package`"


def check_built(advice: str = ADVICE) -> None:
    """Raises BundleError with this advice if a .wasm is missing that runs models on one thread."""
    missing = next((name for name in ONE_THREAD if not (WASM / name).is_file()), None)
    if missing is not None:
        raise BundleError(f"{WASM / missing} is not built, which runs models in WebAssembly; {advice}")
