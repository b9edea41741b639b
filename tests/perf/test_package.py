"""`perf` stands alone and is light to import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import perf

FOLDER = Path(perf.__file__).parent
TORCH_MODULES = ("torch_session.py", "torch_compiled_session.py", "executorch_session.py")


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        "import sys; import perf; print(sorted({'numpy', 'onnxruntime', 'rich', 'onnx', 'psutil'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=FOLDER.parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_imports_neither_its_siblings_nor_torch() -> None:
    imported = set()
    for file in FOLDER.rglob("*.py"):
        if "peers" in file.parts or file.name in TORCH_MODULES:  # a peer's own modules may import torch
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    assert "onnxruntime" in imported
    assert not imported & {"mbert_onnx", "graphs", "torch", "transformers"}
