"""What providers would take of small graphs: by their rules, a must-take beside each must-not-take; and themselves."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import pytest
from perf_models import token_model
from rich.console import Console

import perf.providers.forecast
from perf.errors import PerfError, PerfUsageError
from perf.providers import CPU, KNOWN, Provider, Standing, named
from perf.providers.forecast import Forecast, Left, forecast
from perf.providers.forecast.checks import CONSTANT_BIAS, FIX_SIZES, INT32_IDS, NO_DYNAMIC_INT8
from perf.providers.forecast.rules import rules_of
from perf.providers.forecast.rules.tables import operators_in
from perf.providers.forecast.table import headline, print_forecast

COREML_PROGRAM = Provider(**{**vars(named("coreml")), "options": {"ModelFormat": "MLProgram"}})


@pytest.fixture(autouse=True)
def _by_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """No provider but the CPU can be asked, whatever is installed here."""
    monkeypatch.setattr(perf.providers.forecast, "standing", lambda provider: Standing(provider, provider is CPU))


def write(path: Path, text: str) -> Path:
    """A graph in ONNX's text syntax, as a file; opset 18."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> small {text}')
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def matrix(name: str, rows: int, columns: int) -> str:
    """An initializer in text."""
    return f"float[{rows}, {columns}] {name} = {{{', '.join(['0.5'] * (rows * columns))}}}"


def vector(name: str, size: int) -> str:
    return f"float[{size}] {name} = {{{', '.join(['0.5'] * size)}}}"


def look(path: Path, text: str, provider: str | Provider) -> Forecast:
    return forecast(write(path / "small.onnx", text), named(provider) if isinstance(provider, str) else provider)


WEIGHT = matrix("w", 4, 2)
RESIDUAL = f"(float[3, 4] x, float[3, 2] r) => (float[3, 2] y) <{WEIGHT}> {{ y = Gemm(x, w, r) }}"
BIASED = f"(float[3, 4] x) => (float[3, 2] y) <{WEIGHT}, {vector('b', 2)}> {{ y = Gemm(x, w, b) }}"
ROW = f"(float[3, 4] x) => (float[3, 2] y) <{WEIGHT}, {matrix('b', 1, 2)}> {{ y = Gemm(x, w, b) }}"
SCALED = BIASED.replace("Gemm(", "Gemm <alpha = 0.5> (")
COMPUTED = "(float[3, 4] x, float[4, 2] w) => (float[3, 2] y) { y = MatMul(x, w) }"
KNOWN_WEIGHT = f"(float[3, 4] x) => (float[3, 2] y) <{WEIGHT}> {{ y = MatMul(x, w) }}"
HEADS = "(float[1, 2, 3, 4] x, float[1, 2, 4, 3] z) => (float[1, 2, 3, 3] y) { y = MatMul(x, z) }"
UNLIKE_HEADS = "(float[1, 2, 3, 4] x, float[1, 1, 4, 3] z) => (float[1, 2, 3, 3] y) { y = MatMul(x, z) }"
LAST = "(float[1, 2, 3, 3] x) => (float[1, 2, 3, 3] y) { y = Softmax <axis = -1> (x) }"
FIRST = LAST.replace("-1", "1")
THREE = "(float[2, 3, 3] x) => (float[2, 3, 3] y) { y = Softmax <axis = -1> (x) }"
OPEN = "(float[1, 2, 3, s] x) => (float[1, 2, 3, s] y) { y = Softmax <axis = -1> (x) }"
OPEN_ROWS = "(float[b, 3] x) => (float[b, 3] y) { y = Softmax <axis = -1> (x) }"
IDS32 = f"(int32[1, 3] ids) => (float[1, 3, 2] y) <{WEIGHT}> {{ y = Gather(w, ids) }}"
IDS64 = IDS32.replace("int32[", "int64[")
CAST = "(int32[1, 3] ids) => (float[1, 3] y) { y = Cast <to = 1> (ids) }"
CAST_INSIDE = "(float[1, 3] x) => (int32[1, 3] y) { n = Relu(x) y = Cast <to = 6> (n) }"
EVEN = "(float[1, 4] x) => (float[1, 2] y, float[1, 2] z) <int64[2] n = {2, 2}> { y, z = Split <axis = 1> (x, n) }"
UNEVEN = "(float[1, 4] x) => (float[1, 1] y, float[1, 3] z) <int64[2] n = {1, 3}> { y, z = Split <axis = 1> (x, n) }"
SQUARE = "(float[1, 4] x) => (float[1, 4] y) { y = Erf(x) }"
SUM = "(float[1, 4] x, float[1, 4] z) => (float[1, 4] y) { y = Add(x, z) }"
SUM_OF_IDS = SUM.replace("float", "int32")
CHOOSE = "(bool[1, 4] c, float[1, 4] x, float[1, 4] z) => (float[1, 4] y) { y = Where(c, x, z) }"
CHOOSE_IDS = CHOOSE.replace("float", "int32")
FLAT = "(float[2, 1, 1, 1, 1, 2] x) => (float[2, 1, 1, 1, 1, 2] y) { y = Relu(x) }"
FOUR = "(float[1, 1, 2, 2] x) => (float[1, 1, 2, 2] y) { y = Relu(x) }"
DYNAMIC_INT8 = (
    "(float[3, 4] x) => (uint8[3, 4] y, float scale, uint8 zero) { y, scale, zero = DynamicQuantizeLinear(x) }"
)


@pytest.mark.parametrize(
    ("provider", "taken", "left", "reason"),
    [
        ("xnnpack", BIASED, RESIDUAL, "third input that is computed"),
        ("xnnpack", BIASED, ROW, r"not of shape \[N\]$"),
        ("xnnpack", BIASED, SCALED, "a factor alpha or beta"),
        ("xnnpack", KNOWN_WEIGHT, COMPUTED, "input 2 is computed"),
        ("xnnpack", KNOWN_WEIGHT, HEADS, "multiplies 4 by 4 dimensions"),
        ("xnnpack", LAST, FIRST, "another axis than the last"),
        ("xnnpack", OPEN_ROWS, OPEN, "its last size is not fixed"),
        ("xnnpack", LAST, SUM, "not among the operators of XNNPACK"),
        ("nnapi", ROW, RESIDUAL, r"not of shape \[N\] or \[1, N\]"),
        ("nnapi", BIASED, SCALED, "a factor alpha or beta"),
        ("nnapi", KNOWN_WEIGHT, COMPUTED, "input 2 is computed"),
        ("nnapi", HEADS, UNLIKE_HEADS, "sizes in front differ"),
        ("nnapi", LAST, THREE, "reads 3 dimensions, and only 2 or 4 are taken"),
        ("nnapi", LAST, OPEN, "sizes that are not fixed"),
        ("nnapi", IDS32, IDS64, "ids of another type than int32"),
        ("nnapi", SUM, SUM_OF_IDS, "reads int32, and only float32 is taken"),
        ("nnapi", CAST_INSIDE, CAST, "reads int32"),
        ("nnapi", EVEN, UNEVEN, "splits unevenly"),
        ("nnapi", FOUR, FLAT, "reads 6 dimensions, and at most 4"),
        ("nnapi", SUM, SQUARE, "not among the operators of NNAPI"),
        ("coreml", BIASED, RESIDUAL, "third input that is computed"),
        ("coreml", KNOWN_WEIGHT, HEADS, "input 2 is computed"),
        ("coreml", CAST_INSIDE, CAST, "casts an input of the model"),
        ("coreml", SUM, SUM_OF_IDS, "reads int32"),
        ("coreml", FOUR, FLAT, "reads 6 dimensions, and at most 5"),
        ("coreml", IDS64, CHOOSE, r"not among the operators of Core ML \(neural network\)"),
        (COREML_PROGRAM, HEADS, RESIDUAL, "third input that is computed"),
        (COREML_PROGRAM, CHOOSE, CHOOSE_IDS, "reads int32, and only float32 or float16"),
        (COREML_PROGRAM, SQUARE, CAST, "casts an input of the model"),
        ("qnn", BIASED, RESIDUAL, r"not of shape \[N\] or \[1, N\]"),
        ("qnn", LAST, OPEN, "sizes that are not fixed"),
        ("qnn", IDS64, IDS64.replace("float", "int8").replace("0.5", "1"), "rows of 8 bits"),
        ("qnn", SUM, SQUARE, "not among the operators of QNN"),
        ("cuda", SQUARE, DYNAMIC_INT8, "not among the operators of CUDA"),
        ("webgpu", IDS64, DYNAMIC_INT8, "not among the operators of WebGPU"),
        ("webgpu", CAST, CAST.replace("int32", "int64"), "reads int64"),
        ("webgpu", SUM, "(float[b, 4] x) => (int64[2] y) { y = Shape(x) }", "computes sizes"),
        ("cuda", "(float[b, 4] x) => (int64[2] y) { y = Shape(x) }", SQUARE.replace("Erf", "Mish"), "of CUDA"),
        ("dml", DYNAMIC_INT8, SQUARE.replace("Erf", "Mish"), "not among the operators of DirectML"),
        ("tensorrt", CHOOSE, DYNAMIC_INT8, "not among the operators of TensorRT"),
        ("openvino", CHOOSE, DYNAMIC_INT8, "not among the operators of OpenVINO"),
    ],
)
def test_rules(provider: str | Provider, taken: str, left: str, reason: str, tmp_path: Path) -> None:
    found = look(tmp_path, taken, provider)
    assert found.left == ()
    assert (found.taken_nodes, found.partitions) == (found.nodes, 1)
    refused = look(tmp_path, left, provider)
    assert not refused.asked
    (one,) = refused.left
    assert one.count == 1
    assert re.search(reason, one.reason), one.reason


@pytest.mark.parametrize(
    ("provider", "text", "advice"),
    [
        ("nnapi", OPEN, FIX_SIZES),
        ("nnapi", IDS64, INT32_IDS),
        ("coreml", RESIDUAL, CONSTANT_BIAS),
        ("qnn", DYNAMIC_INT8, NO_DYNAMIC_INT8),
    ],
)
def test_what_helps_is_said(provider: str, text: str, advice: str, tmp_path: Path) -> None:
    assert look(tmp_path, text, provider).advice[0] == advice


def test_nothing_is_advised_where_all_is_taken(tmp_path: Path) -> None:
    assert look(tmp_path, BIASED, "qnn").advice == ()


BETWEEN = """(float[1, 4] x) => (float[1, 4] y) {
    a = Relu(x) b = Erf(a) c = Relu(b) d = Erf(c) y = Relu(d)
}"""
ASIDE = """(float[1, 4] x, float[1, 4] z) => (float[1, 4] y, float[1, 4] e) {
    a = Relu(x) b = Relu(a) y = Relu(b) e = Erf(z)
}"""


def test_what_is_left_between_cuts_the_rest(tmp_path: Path) -> None:
    found = look(tmp_path, BETWEEN, "nnapi")
    assert (found.nodes, found.taken, found.partitions) == (5, {"Relu": 3}, 3)
    assert found.left == (Left("Erf", 2, "not among the operators of NNAPI", "b"),)


def test_what_is_left_aside_cuts_nothing(tmp_path: Path) -> None:
    assert look(tmp_path, ASIDE, "nnapi").partitions == 1


def test_the_newer_core_ml_is_told_of_beside_the_older(tmp_path: Path) -> None:
    older = look(tmp_path, HEADS, "coreml")
    assert (older.taken_nodes, older.partitions) == (0, 0)
    assert older.advice == ("open it with ModelFormat=MLProgram: Core ML (program) takes 1 of 1 nodes in 1 partition",)
    newer = look(tmp_path, HEADS, COREML_PROGRAM)
    assert newer.taken == {"MatMul": 1}
    assert "Core ML (program)" in newer.source


SIZES_READ = """(float[b, 4] x, float[1, 1] z) => (float[n, 2] y) <int64[1] at = {0}, int64[1] two = {2}> {
    shape = Shape(x) rows = Gather(shape, at) double = Mul(rows, two) whole = Concat <axis = 0> (double, two)
    y = Expand(z, whole)
}"""


def test_sizes_stay_on_the_cpu(tmp_path: Path) -> None:
    found = look(tmp_path, SIZES_READ, "cuda")
    assert sorted(found.taken) == ["Expand", "Shape"]
    assert {left.operator for left in found.left} == {"Gather", "Mul", "Concat"}
    assert {left.reason for left in found.left} == {"computes sizes, which onnxruntime leaves to the CPU"}


FUNCTION = """<ir_version: 8, opset_import: ["": 18, "mbert": 1]>
small (float[1, 4] x) => (float[1, 4] y) { y = mbert.Twice(x) }
<domain: "mbert", opset_import: ["": 18]> Twice (a) => (b) { c = Erf(a) b = Relu(c) }"""


def test_functions_are_inlined_and_constants_folded_first(tmp_path: Path) -> None:
    path = tmp_path / "function.onnx"
    onnx.save(onnx.parser.parse_model(FUNCTION), path)
    found = forecast(path, named("nnapi"))
    assert (found.taken, [left.operator for left in found.left]) == ({"Relu": 1}, ["Erf"])
    folded = "(float[1, 4] x) => (float[1, 4] y) <float[4] k = {1, 2, 3, 4}> { e = Erf(k) y = Add(x, e) }"
    assert look(tmp_path, folded, "nnapi").taken == {"Add": 1}


def test_half_precision_is_forecast_without_the_casts_that_the_cpu_needs(tmp_path: Path) -> None:
    text = "small (float16[3, 4] x) => (float16[3, 2] y) { y = MatMul(x, w) }"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 18]> {text}')
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((4, 2), np.float16), "w"))
    onnx.save(model, tmp_path / "half.onnx")
    assert forecast(tmp_path / "half.onnx", COREML_PROGRAM).taken == {"MatMul": 1}
    refused = forecast(tmp_path / "half.onnx", named("xnnpack"))
    assert refused.left[0].reason == "reads float16, and only float32 is taken"
    assert "--precision fp32" in refused.advice[0]


def test_the_provider_itself_is_asked_where_it_is_usable(tmp_path: Path) -> None:
    found = forecast(token_model(tmp_path / "m.onnx"), CPU)
    assert found.asked
    assert found.source == f"the provider itself, onnxruntime {ort.__version__}"
    assert (found.taken, found.left) == ({"Gather": 1, "MatMul": 1}, ())
    assert (found.nodes, found.partitions) == (2, 1)


def test_one_that_takes_nothing_says_so_beside_its_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perf.providers.forecast, "standing", lambda provider: Standing(provider, True))
    azure = named("azure")
    if azure.ort_name not in ort.get_available_providers():
        pytest.skip("this onnxruntime has no provider that takes no node")
    found = forecast(token_model(tmp_path / "m.onnx"), azure)
    assert not found.asked
    assert found.taken == {}
    assert found.advice[-1].startswith("the provider itself was asked first: AzureExecutionProvider took none of the 2")


@pytest.mark.parametrize("provider", [one for one in KNOWN if one.ort_name != CPU.ort_name], ids=lambda one: one.name)
def test_each_that_not_every_machine_has_has_rules(provider: Provider, tmp_path: Path) -> None:
    assert rules_of(provider)
    found = forecast(token_model(tmp_path / "m.onnx", shape=(1, 4)), provider)
    assert found.taken_nodes + sum(left.count for left in found.left) == found.nodes == 2
    assert found.provider == provider.name
    json.dumps(found.as_dict())


def test_the_wheel_has_the_tables() -> None:
    assert {"Gemm", "com.microsoft.QLinearAdd"} <= operators_in("nnapi_supported_ops.md")
    assert "ReduceSum" in operators_in("coreml_supported_neuralnetwork_ops.md")  # spelt with a point for the colon
    assert "Operator" not in operators_in("coreml_supported_mlprogram_ops.md")


def test_it_is_printed(tmp_path: Path) -> None:
    console = Console(width=100, record=True, file=(tmp_path / "out").open("w"))
    found = look(tmp_path, BETWEEN, "nnapi")
    print_forecast(found, console)
    text = console.export_text()
    assert "nnapi would take 3 of 5 nodes in 3 partitions, says onnxruntime's published rules for NNAPI" in text
    assert re.search(r"Erf +2 +not among the operators of NNAPI +b", text)
    assert headline(look(tmp_path, SQUARE, "nnapi")).startswith("nnapi would take 0 of 1 nodes, says")


def test_names_of_providers() -> None:
    assert named(" NnapiExecutionProvider ").name == "nnapi"
    with pytest.raises(PerfUsageError, match="unknown provider 'gpu'; known are cpu, "):
        named("gpu")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(PerfError, match=r"no file .*expected an .onnx model"):
        forecast(tmp_path / "none.onnx", named("qnn"))


def test_not_onnx(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(PerfError, match="cannot load") as caught:
        forecast(tmp_path / "text.onnx", named("qnn"))
    assert "\n" not in str(caught.value)
