"""Files of the npm package mbert-onnx-web: its modules, and the .wasm files, which the build of this package writes."""

from __future__ import annotations

from pathlib import Path

from graphs.kernels.building.compiler import BuildError, has_compiler
from graphs.kernels.building.wasm import build_wasm
from mbert_onnx.errors import BundleError

PACKAGE = Path(__file__).parent / "package"
LIBRARY = PACKAGE / "lib" / "index.js"
WASM = PACKAGE / "wasm"
# The files for one thread, with and without relaxed SIMD.
ONE_THREAD = ("mbert.wasm", "mbert-relaxed.wasm")


def ensure_built(otherwise: str = "") -> None:
    """Builds the .wasm files, which takes some seconds, if one that runs models on one thread is missing.

    Args:
        otherwise: What to do without them, for the error.

    Raises BundleError where they cannot be built: without ziglang, for example.
    """
    missing = next((name for name in ONE_THREAD if not (WASM / name).is_file()), None)
    if missing is None:
        return
    what = f"{WASM / missing}, which runs models in WebAssembly, is not built"
    if not has_compiler():
        raise BundleError(f"{what}; pip install ziglang, and it is built at the next call{otherwise}")
    try:
        build_wasm(WASM)
    except (BuildError, OSError) as error:
        [reason, *_] = str(error).splitlines()
        raise BundleError(f"{what}, and cannot be ({reason}); install mbert-onnx again{otherwise}") from error
