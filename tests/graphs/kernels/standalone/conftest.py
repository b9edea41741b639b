"""The standalone runtime, built once for all processes of a test session."""

from __future__ import annotations

import os

import pytest
from standalone_runtime import Runtime, portable_runtime


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """The native library, with the portable instruction set only."""
    base = tmp_path_factory.getbasetemp()
    return portable_runtime((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "standalone-runtime")
