"""Running a graph without writing its weights anywhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from graph_helpers import constant, graph

from graphs.execution.runner import SMALL_WEIGHT, run, run_file

WIDTH = 20  # 1600 bytes in a square
LARGE = f"float[{WIDTH}, {WIDTH}]"
X = np.random.default_rng(0).normal(size=(3, WIDTH)).astype(np.float32)


def test_large_and_small_weights_are_both_there() -> None:
    model = graph(f"(float[n, 20] x) => (float[n, 20] y) <{LARGE} W, float[20] b> {{ y = Gemm(x, W, b) }}")
    sizes = [v.const_value.nbytes for v in model.graph.initializers.values() if v.const_value is not None]
    assert sorted(size > SMALL_WEIGHT for size in sizes) == [False, True]
    expected = X @ constant(model, "W") + constant(model, "b")
    np.testing.assert_allclose(run(model, {"x": X})["y"], expected, atol=1e-5)


@pytest.mark.parametrize("size_threshold", [0, 1000])
def test_weights_beside_the_file_are_read(tmp_path: Path, size_threshold: int) -> None:
    model = graph(f"(float[n, 20] x) => (float[n, 20] y) <{LARGE} W, float[20] b> {{ y = Gemm(x, W, b) }}")
    path = tmp_path / "model.onnx"
    arguments = {"location": "model.data", "size_threshold": size_threshold}
    onnx.save(ir.to_proto(model), path, save_as_external_data=True, **arguments)  # type: ignore[arg-type]
    loaded = ir.load(path)
    assert isinstance(loaded.graph.initializers["W"].const_value, ir.ExternalTensor)
    np.testing.assert_array_equal(run(loaded, {"x": X})["y"], run(model, {"x": X})["y"])
    np.testing.assert_allclose(run_file(path, {"x": X})["y"], run(model, {"x": X})["y"], atol=1e-5)


def test_the_model_is_not_modified() -> None:
    model = graph(f"(float[n, 20] x) => (float[n, 20] y) <{LARGE} W> {{ y = MatMul(x, W) }}")
    before, tensor = ir.to_proto(model), model.graph.initializers["W"].const_value
    run(model, {"x": X})
    assert ir.to_proto(model) == before
    assert model.graph.initializers["W"].const_value is tensor
    with pytest.raises(Exception, match="Got invalid dimensions"):
        run(model, {"x": X[:, :2]})
    assert model.graph.initializers["W"].const_value is tensor


def test_an_unread_weight_is_accepted() -> None:
    model = graph(f"(float[n, 20] x) => (float[n, 20] y) <{LARGE} W, {LARGE} V> {{ y = MatMul(x, W) }}")
    np.testing.assert_allclose(run(model, {"x": X})["y"], X @ constant(model, "W"), atol=1e-5)


def test_a_weight_may_be_an_output() -> None:
    model = graph(f"(float[n, 20] x) => (float[n, 20] y, {LARGE} W) <{LARGE} W> {{ y = Neg(x) }}")
    found = run(model, {"x": X})
    assert list(found) == ["y", "W"]
    np.testing.assert_array_equal(found["W"], constant(model, "W"))


def test_a_weight_may_be_the_value_that_an_input_has_by_default() -> None:
    model = graph(f"(float[n, 20] x, {LARGE} W) => (float[n, 20] y) {{ y = MatMul(x, W) }}")
    array = np.random.default_rng(1).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    value = model.graph.inputs[1]
    value.const_value = ir.tensor(array, name="W")
    model.graph.initializers["W"] = value
    np.testing.assert_allclose(run(model, {"x": X, "W": array})["y"], X @ array, atol=1e-5)
    np.testing.assert_allclose(run(model, {"x": X})["y"], X @ array, atol=1e-5)


def test_weights_of_branches_stay_there_and_those_outside_are_found() -> None:
    model = graph(f"""(float[n, 20] x, bool c) => (float[n, 20] y) <{LARGE} W>
        {{ y = If (c) <then_branch = g () => (float[n, 20] a) {{ a = MatMul(x, W) }},
                      else_branch = h () => (float[n, 20] a) {{ a = MatMul(x, W) }}> }}""")
    branch = model.graph.node(0).attributes["else_branch"].as_graph()
    weight = np.random.default_rng(1).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    value = ir.val("V", const_value=ir.tensor(weight, name="V"))
    branch.register_initializer(value)
    branch.node(0).replace_input_with(1, value)
    for condition, expected in ((True, constant(model, "W")), (False, weight)):
        np.testing.assert_allclose(run(model, {"x": X, "c": np.array(condition)})["y"], X @ expected, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "double", "int64", "int8", "bool"])
def test_weights_of_all_types(dtype: str) -> None:
    text = f"(int64 i) => ({dtype}[2000] y) <{dtype}[2, 2000] W> {{ y = Gather(W, i) }}"
    weight = np.random.default_rng(0).integers(0, 2, (2, 2000))
    found = run(graph(text, W=weight), {"i": np.array(1)})["y"]
    np.testing.assert_array_equal(found, weight[1])


def test_values_within_can_be_asked_for() -> None:
    model = graph("(float[n, 20] x) => (float[n, 20] y) { a = Neg(x) y = Relu(a) }")
    found = run(model, {"x": X}, {"a": ir.DataType.FLOAT, "y": ir.DataType.FLOAT})
    assert list(found) == ["y", "a"]
    np.testing.assert_array_equal(found["a"], -X)


def test_inputs_that_the_model_does_not_have_are_ignored() -> None:
    model = graph("(float[n, 20] x) => (float[n, 20] y) { y = Neg(x) }")
    np.testing.assert_array_equal(run(model, {"x": X, "other": X})["y"], -X)


def test_nothing_is_written_or_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(graph(f"(float[n, 20] x) => (float[n, 20] y) <{LARGE} W> {{ y = MatMul(x, W) }}"), {"x": X})
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
