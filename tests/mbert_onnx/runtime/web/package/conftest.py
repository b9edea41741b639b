"""Bundles with text files, for the tests of the JavaScript package."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exported_checkpoints import Exports


@pytest.fixture
def text_bundle(exported: Exports, tmp_path: Path) -> Callable[..., Path]:
    """`text_bundle(task, **options of export)`: a copy of a bundle, into which a text file can be written."""

    def make(task: str, **options: Any) -> Path:
        bundle = tmp_path / task
        shutil.copytree(exported(task, **options).bundle, bundle)
        return bundle

    return make
