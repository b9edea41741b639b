"""Files of the npm package mbert-onnx-web: its modules, and the .wasm files, which the build of this package writes."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent / "package"
LIBRARY = PACKAGE / "lib" / "index.js"
WASM = PACKAGE / "wasm"
