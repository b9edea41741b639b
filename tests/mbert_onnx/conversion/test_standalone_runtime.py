"""Exports run in the standalone runtime as in onnxruntime with the native kernels; none has a node that it lacks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from built_kernels import needs_kernels
from exported_checkpoints import Exported, Exports
from small_checkpoints import save_small
from small_models import SWITCHES
from standalone_exports import FLOAT16, assert_runs_alike
from standalone_runtime import Runtime, portable_runtime
from text_bundles import write_text_file
from third_party_exports import export_with_torchscript
from transformers.activations import ACT2FN

from mbert_onnx import export, optimize
from mbert_onnx.text.tasks import TASKS, task_named

pytestmark = needs_kernels

# The shares of the largest number by which outputs may differ; in text files, of a sum of scores.
BOUNDS = {"fp32": 1e-6, "int8": 1e-6, "fp16": FLOAT16}
TEXT_FILES = 1e-5
# The same without the kernels, where sums are in another order than onnxruntime's.
STANDARD_BOUNDS = {"fp32": 2e-5, "int8": 2e-5, "fp16": 5e-2}
# Files for phones in int8 round each activation to a step.
PHONE_BOUND = 0.1
STANDARD_TEXT_FILES = 1e-4

VARIANTS: dict[str, dict[str, Any]] = {
    "cpu": {},
    "web": {"target": "web"},
    "ignore_padding": {"ignore_padding": True},
    "fixed": {"seq_len": 16, "batch": 1},
}
# Activations that are modules with weights, which no checkpoint of MobileBERT has.
WITH_WEIGHTS = {"prelu", "xielu"}

# Without a node that has a kernel.
STANDARD_VARIANTS: dict[str, dict[str, Any]] = {
    "no_functions": {"functions": False},
    "mobile": {"target": "mobile", "seq_len": 16},
    "mobile_ignore_padding": {"target": "mobile", "seq_len": 16, "ignore_padding": True},
}


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


def check_standard_file(file: Path, runtime: Runtime, precision: str, variant: str) -> None:
    is_int8 = precision == "int8"
    bound = PHONE_BOUND if is_int8 and variant.startswith("mobile") else STANDARD_BOUNDS[precision]
    assert_runs_alike(file, runtime, bound, is_optimized=False, rounded=2 if is_int8 else 0)


def test_a_float_export(exported: Exports, runtime: Runtime) -> None:
    assert_runs_alike(exported("text-classification").model, runtime, BOUNDS["fp32"])


def test_an_int8_export_and_its_text_file(exported: Exports, runtime: Runtime, tmp_path: Path, texts: Path) -> None:
    found = exported(**lowered("int8", texts))
    assert_runs_alike(found.model, runtime, BOUNDS["int8"])
    check_text_file(found, runtime, tmp_path, TEXT_FILES)


def test_an_export_without_functions(exported: Exports, runtime: Runtime) -> None:
    assert_runs_alike(exported("text-classification", functions=False).model, runtime, STANDARD_BOUNDS["fp32"])


@pytest.mark.full
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("task", [task.name for task in TASKS])
def test_all_exports(
    task: str, precision: str, variant: str, exported: Exports, runtime: Runtime, tmp_path: Path, texts: Path
) -> None:
    found = exported(task, **lowered(precision, texts), **VARIANTS[variant])
    assert_runs_alike(found.model, runtime, BOUNDS[precision])
    # A small text file of float16 has scores near each other, of which rounding may change the order.
    if precision != "fp16":
        check_text_file(found, runtime, tmp_path, TEXT_FILES)


@pytest.mark.full
@pytest.mark.parametrize("variant", STANDARD_VARIANTS)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("task", [task.name for task in TASKS])
def test_all_exports_without_kernels(
    task: str, precision: str, variant: str, exported: Exports, runtime: Runtime, tmp_path: Path, texts: Path
) -> None:
    found = exported(task, **lowered(precision, texts), **STANDARD_VARIANTS[variant])
    check_standard_file(found.model, runtime, precision, variant)
    if precision == "fp32":
        check_text_file(found, runtime, tmp_path, STANDARD_TEXT_FILES)


@pytest.mark.full
@pytest.mark.parametrize("variant", ["cpu", "no_functions", "mobile"])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("switch", [switch for switch in SWITCHES if switch != "default"])
def test_all_layers(
    switch: str, precision: str, variant: str, exported: Exports, runtime: Runtime, texts: Path
) -> None:
    options = {**VARIANTS, **STANDARD_VARIANTS}[variant]
    found = exported("text-classification", switch, **lowered(precision, texts), **options)
    check_standard_file(found.model, runtime, precision, variant)


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(set(ACT2FN) - WITH_WEIGHTS))
def test_all_activations(name: str, runtime: Runtime, tmp_path: Path) -> None:
    save_small(tmp_path / "given", hidden_act=name, vocab_size=200)
    export(tmp_path / "given", tmp_path / "bundle")
    assert_runs_alike(tmp_path / "bundle" / "onnx" / "model.onnx", runtime, STANDARD_BOUNDS["fp32"])


@pytest.mark.full
@pytest.mark.parametrize("options", [{}, {"functions": False}, {"target": "mobile"}], ids=["cpu", "plain", "mobile"])
@pytest.mark.parametrize(
    ("task", "switch"),
    [
        *((task.name, "default") for task in TASKS),
        *(("text-classification", switch) for switch in ("layer_norm", "gelu", "gelu_new", "outputs")),
    ],
)
def test_other_exporters_files_after_optimize(
    task: str, switch: str, options: dict[str, Any], exported: Exports, runtime: Runtime, tmp_path: Path
) -> None:
    names = task_named(task).output_names
    if switch == "outputs":
        names = (*names, *(f"hidden_states.{n}" for n in range(3)), *(f"attentions.{n}" for n in range(2)))
    theirs = exported(task, switch).theirs
    export_with_torchscript(theirs, tmp_path / "given.onnx", names, choices=task == "multiple-choice")
    optimize(tmp_path / "given.onnx", tmp_path / "model.onnx", **options)
    assert_runs_alike(tmp_path / "model.onnx", runtime, STANDARD_BOUNDS["fp32"], is_optimized=False)
