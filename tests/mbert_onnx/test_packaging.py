"""What the wheel carries, and what imports cost."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("mbert_onnx", "graphs", "perf")

# Which of our packages may import which (the house has three floors), and who may import torch.
MAY_IMPORT = {"mbert_onnx": {"mbert_onnx", "graphs", "perf"}, "graphs": {"graphs"}, "perf": {"perf"}}
TORCH_IN_PERF = ("peers", "torch_session.py", "torch_compiled_session.py", "executorch_session.py")


def sources() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> set[str]:
    """The top-level names of everything that a file imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def test_the_wheel_lists_every_package_and_no_tests() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in sources()}
    assert set(listed) == found


def test_the_wheel_lists_every_data_file() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    matched = {
        path
        for package, patterns in listed.items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    built = (".py", ".pyc", ".so", ".dylib", ".dll", ".wasm")
    data = {path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()}
    assert {path for path in data if path.suffix not in built} == matched


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_package_keeps_to_its_floor(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    names = imported(path)
    assert names & set(PACKAGES) <= MAY_IMPORT[package]
    if package == "graphs" or (package == "perf" and not set(TORCH_IN_PERF) & set(path.parts)):
        assert not names & {"torch", "transformers"}


@pytest.mark.parametrize("path", sorted((ROOT / "graphs" / "passes").rglob("*.py")), ids=lambda path: path.stem)
def test_a_pass_imports_no_other_pass(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("graphs.passes")
