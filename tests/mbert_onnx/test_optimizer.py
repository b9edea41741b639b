"""`optimize`: whoever exported a MobileBERT, the same fast graph comes out; and what is none comes out as it was."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx
import onnxruntime
import pytest
import transformers
from filelock import FileLock
from foreign_exports import (
    INPUTS,
    OPTIMUM_TASKS,
    export_with_optimum,
    export_with_torch_export,
    export_with_torchscript,
)
from small_checkpoints import assert_file_answers_as, names_in, save_small
from small_models import BASE

from graphs.judge import centred_error
from mbert_onnx import optimize
from mbert_onnx.errors import BundleError, VerificationError
from mbert_onnx.optimizer import OptimizeReport
from mbert_onnx.tasks import TASKS, task_named


class Exported(Protocol):
    checkpoint: Path
    bundle: Path
    model: Path
    theirs: Any


Exports = Callable[..., Exported]

EXPORTERS = ("torch.export", "TorchScript", "optimum", "ours")
CASES = [
    (exporter, task.name)
    for task in TASKS
    for exporter in EXPORTERS
    if exporter != "optimum" or task.name in OPTIMUM_TASKS
]
FEW_TASKS = ("question-answering", "fill-mask", "multiple-choice")

each_case = pytest.mark.parametrize(("exporter", "task"), CASES, ids=lambda part: part)


@dataclass(frozen=True)
class Optimized:
    """A file of somebody's, and what `optimize` made of it."""

    given: Path
    path: Path
    report: OptimizeReport


Optimizes = Callable[..., Optimized]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all processes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "optimized"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def given(exported: Exports, shared: Path) -> Callable[..., Path]:
    """`given(exporter, task, switch="default", **options of the exporter)`: exported once for each."""

    def make(exporter: str, task: str, switch: str = "default", **options: Any) -> Path:
        if exporter == "ours":
            return exported(task, switch, **options).model
        found = exported(task, switch)
        path = shared / ("-".join([exporter, task, switch, *(f"{k}={v}" for k, v in options.items())]) + ".onnx")
        with FileLock(path.with_suffix(".lock")):
            if path.exists():
                return path
            if exporter == "optimum":
                export_with_optimum(found.checkpoint, path, task)
                return path
            names = task_named(task).output_names
            if switch == "outputs":
                names = (*names, *(f"hidden_states.{n}" for n in range(3)), *(f"attentions.{n}" for n in range(2)))
            export = {"torch.export": export_with_torch_export, "TorchScript": export_with_torchscript}[exporter]
            export(found.theirs, path, names, choices=task == "multiple-choice", **options)
        return path

    return make


@pytest.fixture(scope="session")
def optimized(given: Callable[..., Path], shared: Path) -> Optimizes:
    """`optimized(exporter, task, switch="default", functions=True, options of optimize, **others of given)`: once each.

    Of our own exports, what has functions is made of one that has them, and what has none of one that has none.
    """

    def make(
        exporter: str,
        task: str,
        switch: str = "default",
        *,
        functions: bool = True,
        options: dict[str, Any] | None = None,
        **how: Any,
    ) -> Optimized:
        how |= {"functions": False} if exporter == "ours" and not functions else {}
        key = hashlib.sha256(repr((exporter, task, switch, functions, options, how)).encode()).hexdigest()[:16]
        kept = shared / f"{key}.pickle"
        with FileLock(kept.with_suffix(".lock")):
            if kept.exists():
                found = pickle.loads(kept.read_bytes())
                assert isinstance(found, Optimized)
                return found
            file, path = given(exporter, task, switch, **how), shared / f"{key}.onnx"
            found = Optimized(file, path, optimize(file, path, functions=functions, **(options or {})))
            kept.write_bytes(pickle.dumps(found))
        return found

    return make


# What is asked of every result


def census(path: Path) -> Counter[str]:
    """How many nodes there are of each operator."""
    return Counter(f"{node.domain}.{node.op_type}".lstrip(".") for node in onnx.load(path).graph.node)


def floats(path: Path, op_type: str) -> int:
    """How many nodes of that type compute with floats, and not with sizes."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)}
    return sum(types[n.output[0]] == onnx.TensorProto.FLOAT for n in graph.node if n.op_type == op_type)


def ports(path: Path) -> list[Any]:
    """Inputs and outputs: names, order, types, dimensions and their names."""
    graph = onnx.load(path).graph
    return [[(value.name, value.type) for value in values] for values in (graph.input, graph.output)]


def feed_for(path: Path) -> dict[str, np.ndarray]:
    """Three texts, or as many as a fixed batch has; all but the first with padding. Other inputs are random."""
    generator = np.random.default_rng(2)
    feed: dict[str, np.ndarray] = {}
    for value in onnx.load(path).graph.input:
        dims = value.type.tensor_type.shape.dim
        sizes = (3, 4, 11) if len(dims) == 3 else (3, 11)
        shape = [dim.dim_value or size for dim, size in zip(dims, sizes, strict=False)]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        if value.name == "input_ids":
            feed[value.name] = generator.integers(0, BASE["vocab_size"], shape).astype(dtype)
        elif value.name == "attention_mask":
            feed[value.name] = np.ones(shape, dtype)
            feed[value.name][1:, ..., shape[-1] // 2 :] = 0
        else:
            drawn = generator.integers(0, 2, shape) if dtype.kind in "ib" else generator.standard_normal(shape)
            feed[value.name] = np.asarray(drawn).astype(dtype)
    return feed


def run(path: Path, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def assert_same_answers(found: Optimized) -> None:
    """Both files are as near to float64 as the report's bar says, and to each other."""
    report = found.report
    assert report.error is not None
    assert report.bar is not None
    assert report.given_error is not None
    assert report.error <= report.bar
    feed = feed_for(found.given)
    theirs, ours = run(found.given, feed), run(found.path, feed)
    assert list(theirs) == list(ours)
    for name, judge in theirs.items():
        assert ours[name].dtype == judge.dtype
        assert centred_error(ours[name], judge, feed["attention_mask"]) <= report.bar + report.given_error, name


def assert_sound(found: Optimized) -> None:
    """Valid; with the inputs and outputs that the file had; and a fixed point, which a second call copies."""
    onnx.checker.check_model(onnx.load(found.path), full_check=True)
    assert ports(found.path) == ports(found.given)
    again = found.path.with_suffix(f".again-{os.getpid()}.onnx")
    functions = bool(onnx.load(found.path).functions)
    report = optimize(found.path, again, target=found.report.target, functions=functions, overwrite=True)
    assert not report.changed
    assert again.read_bytes() == found.path.read_bytes()


# Every exporter, every head


@each_case
def test_the_graph_is_ours_whoever_exported_it(exporter: str, task: str, optimized: Optimizes) -> None:
    for functions in (True, False):
        found, ours = (optimized(name, task, functions=functions) for name in (exporter, "ours"))
        expected = census(ours.path)
        if exporter == "optimum" and task == "feature-extraction":
            expected -= Counter(["Gather", "Gemm", "Tanh"])  # it leaves out the pooler
        assert census(found.path) == expected
        assert ("mbert.BottleneckAttention" in expected) == functions
        assert found.report.nodes_after == expected.total()
        assert found.report.restarts == (task == "feature-extraction")  # the outer stream itself is an output


@each_case
def test_no_norm_is_left(exporter: str, task: str, optimized: Optimizes) -> None:
    found = optimized(exporter, task, functions=False)
    # (1 − mask) · lowest, and nothing else; but for the last layer's norm where its result is an output.
    assert floats(found.path, "Mul") == (2 if task == "feature-extraction" else 1)
    assert not onnx.load(found.path).functions


@each_case
def test_it_answers_as_the_file_that_was_read(exporter: str, task: str, optimized: Optimizes) -> None:
    for functions in (True, False):
        assert_same_answers(optimized(exporter, task, functions=functions))


@each_case
def test_it_answers_as_transformers(exporter: str, task: str, optimized: Optimizes, exported: Exports) -> None:
    theirs = exported(task).theirs
    if exporter == "optimum" and task == "feature-extraction":
        theirs.pooler = None
    assert_file_answers_as(theirs, optimized(exporter, task).path)


@each_case
def test_it_is_sound(exporter: str, task: str, optimized: Optimizes) -> None:
    for functions in (True, False):
        assert_sound(optimized(exporter, task, functions=functions))
