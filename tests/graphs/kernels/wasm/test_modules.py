"""What engines and loaders rely on in the .wasm files: imports, exports, sizes, and that no code runs unasked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from wasm_runtime import EXPORTS, START, built, contents

from graphs.kernels.building.compiler import HERE
from graphs.kernels.building.wasm import MODULES

# A page loads one of the files; a server that compresses it sends a fifth of that.
MOST_BYTES = 130_000
DECLARED = re.findall(r"MBERT_EXPORT\((\w+)\)\(", (HERE / "standalone" / "mbert_runtime.h").read_text())
ONLY_THREADS = "mbert_work"


@pytest.mark.parametrize(
    "name", [name if name == "mbert-relaxed.wasm" else pytest.param(name, marks=pytest.mark.full) for name in MODULES]
)
def test_modules(name: str, wasm: Path) -> None:
    data = built(wasm, name).read_bytes()
    found, is_shared = contents(data), MODULES[name].is_shared
    assert len(data) <= MOST_BYTES
    assert found.imports == ([("memory", "env.memory")] if is_shared else [])
    functions = {export for kind, export in found.exports if kind == "function"}
    assert functions == {one for one in DECLARED if is_shared or one != ONLY_THREADS}
    assert [export for kind, export in found.exports if kind != "function"] == ([] if is_shared else ["memory"])
    # A start function writes the data of a shared memory, once. Constructors would run at every call from outside.
    assert (START in found.sections) == is_shared
    assert EXPORTS in found.sections
    assert b"__wasm_call_ctors" not in data
