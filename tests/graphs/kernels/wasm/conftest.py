"""The .wasm files and the portable native runtime, built once for all processes of a test session."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from standalone_runtime import Runtime, portable_runtime


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all processes of the session."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def wasm(shared: Path) -> Path:
    """The folder of the .wasm files; `wasm_runtime.built` adds to it."""
    return shared / "wasm"


@pytest.fixture(scope="session")
def native(shared: Path) -> Runtime:
    """The native library, with the portable instruction set only."""
    return portable_runtime(shared / "standalone-runtime")
