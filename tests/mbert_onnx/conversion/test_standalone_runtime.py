"""Exports run in the standalone runtime as in onnxruntime with the native kernels; none has a node that it lacks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from built_kernels import needs_kernels
from exported_checkpoints import Exported, Exports
from standalone_exports import FLOAT16, assert_runs_alike
from standalone_runtime import Runtime, RuntimeLibraryError, portable_runtime
from text_bundles import write_text_file

from mbert_onnx.text.tasks import TASKS

pytestmark = needs_kernels

# The shares of the largest number by which outputs may differ; in text files, of a sum of scores.
BOUNDS = {"fp32": 1e-6, "int8": 1e-6, "fp16": FLOAT16}
TEXT_FILES = 1e-5


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """The native library, with the portable instruction set only."""
    base = tmp_path_factory.getbasetemp()
    return portable_runtime((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "standalone-runtime")


def lowered(precision: str, texts: Path) -> dict[str, Any]:
    """Options of `export` for a precision, those with which other tests export, too."""
    return {} if precision == "fp32" else {"precision": precision, "calibrate": texts, "min_agreement": 0}


def check_text_file(found: Exported, runtime: Runtime, folder: Path, relative: float) -> None:
    shutil.copytree(found.bundle, folder / "bundle")
    assert_runs_alike(write_text_file(folder / "bundle"), runtime, relative)


def test_a_float_export(exported: Exports, runtime: Runtime) -> None:
    assert_runs_alike(exported("text-classification").model, runtime, BOUNDS["fp32"])


def test_an_int8_export_and_its_text_file(exported: Exports, runtime: Runtime, tmp_path: Path, texts: Path) -> None:
    found = exported(**lowered("int8", texts))
    assert_runs_alike(found.model, runtime, BOUNDS["int8"])
    check_text_file(found, runtime, tmp_path, TEXT_FILES)


@pytest.mark.full
@pytest.mark.parametrize("variant", ["cpu", "web", "ignore_padding", "fixed"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("task", [task.name for task in TASKS])
def test_all_exports(
    task: str, precision: str, variant: str, exported: Exports, runtime: Runtime, tmp_path: Path, texts: Path
) -> None:
    variants: dict[str, dict[str, Any]] = {
        "cpu": {},
        "web": {"target": "web"},
        "ignore_padding": {"ignore_padding": True},
        "fixed": {"seq_len": 16, "batch": 1},
    }
    found = exported(task, **lowered(precision, texts), **variants[variant])
    assert_runs_alike(found.model, runtime, BOUNDS[precision])
    # A small text file of float16 has scores near each other, of which rounding may change the order.
    if precision != "fp16":
        check_text_file(found, runtime, tmp_path, TEXT_FILES)


@pytest.mark.full
def test_files_without_functions_are_refused(exported: Exports, runtime: Runtime) -> None:
    for options in ({"functions": False}, {"target": "mobile", "seq_len": 16}):
        with pytest.raises(RuntimeLibraryError, match=r"no node of the domain mbert; .* without --no-functions"):
            runtime.model(exported("text-classification", **options).model)
