"""Files and inputs that the standalone runtime refuses, each with its cause, and files cut off or changed anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from kernel_models import Widths, ffn_feed, model_of
from onnx import helper
from standalone_models import FLOAT, INT64, edited, function_model, longs, singles
from standalone_runtime import Runtime, RuntimeLibraryError

X = {"x": singles([1, 2, 3])}
GOOD = function_model("y = Add(x, z)", X, [("y", FLOAT)], {"z": singles([0.5, 1, 2])})


def of(body: str, kind: int = FLOAT, constants: dict[str, np.ndarray] | None = None, opset: int = 18) -> bytes:
    return function_model(body, X, [("y", kind)], constants, opset)


def with_external(proto: onnx.ModelProto) -> None:
    onnx.external_data_helper.set_external_data(proto.graph.initializer[0], "weights.onnx_data")
    proto.graph.initializer[0].ClearField("raw_data")


def changed(change: Callable[[onnx.ModelProto], object], model: bytes = GOOD) -> bytes:
    return edited(model, change)


def cyclic(proto: onnx.ModelProto) -> None:
    proto.functions[0].node[0].input[1] = "y"


def calling_itself(proto: onnx.ModelProto) -> None:
    node = proto.functions[0].node[0]
    node.op_type, node.domain = "Own", "mbert"


def without_numbers(proto: onnx.ModelProto) -> None:
    """As many numbers as a tensor may have, in a file of some bytes."""
    proto.graph.initializer[0].ClearField("raw_data")
    proto.graph.initializer[0].dims[0] = 2**31 - 1


def without_function_output(proto: onnx.ModelProto) -> None:
    proto.functions[0].output[0] = "q"


def with_many_inputs(proto: onnx.ModelProto) -> None:
    """Functions that call each other 1,000 times, with a node of 10,000 inputs in the innermost."""
    node = helper.make_node("Concat", ["x"] * 10_000, ["y"], axis=0)
    proto.functions[0].node[0].CopyFrom(node)
    doubling(proto)
    for function in proto.functions[4:]:
        del function.node[1:]


def doubling(proto: onnx.ModelProto) -> None:
    """Seven functions that each call the next one ten times."""
    for level in range(7):
        function = onnx.FunctionProto()
        function.CopyFrom(proto.functions[0])
        function.name = f"level_{level}"
        del function.node[:]
        for i in range(10):
            inner = f"level_{level + 1}" if level < 6 else "Own"
            function.node.append(helper.make_node(inner, ["x", "z"], [f"y_{i}" if i else "y"], domain="mbert"))
        proto.functions.append(function)
    proto.graph.node[0].op_type = "level_0"


FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "not an .onnx file, or not a whole one"),
    "text": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "not an .onnx file"),
    "operator": (of("y = Sinh(x)"), r"^node own \(Sinh\): this operator is not one .* onnxruntime-web"),
    "attribute": (of("y = Gemm <transA = 1> (x, x)"), r"\(Gemm\): the attribute transA .* expected 0"),
    "unknown_attribute": (of("y = Relu <axis = 1> (x)"), r"\(Relu\): the attribute axis is not one"),
    "word": (of('y = Pad <mode = "edge"> (x, z)', constants={"z": longs([0, 1])}), r"\(Pad\): the attribute mode"),
    "type": (of("b = Cast <to = 9> (x) y = Add(b, b)"), r"\(Add\): input 0 has the element type 9"),
    "other_type": (
        of("a = Shape(x) y = Add(x, a)"),
        r"\(Add\): input 1 has the element type 7 .* the first one has not",
    ),
    "exponent": (of("y = Pow(x, z)", constants={"z": singles(1.5)}), r"\(Pow\): its exponent is not a constant of"),
    "missing": (of("y = Where(x)"), r"\(Where\)"),
    "too_many": (of("y = Relu(x, x)"), r"\(Relu\): there are 2 inputs; expected at most 1"),
    "output_type": (of("y = Shape(x)"), "the output y is of type 7; expected 1"),
    "opset": (of("y = Relu(x)", opset=17), "opset 17 of the domain ai.onnx; expected 18 to"),
    "ir_version": (changed(lambda proto: setattr(proto, "ir_version", 3)), "IR version 3; expected"),
    "external": (changed(with_external), "the tensor z is in another file"),
    "cyclic": (changed(cyclic), "the input y is not computed before"),
    "recursive": (changed(calling_itself), "functions and branches are 8 levels deep"),
    "exponential": (changed(doubling), "too many nodes, names or calls of functions"),
    "twice": (changed(lambda proto: proto.graph.node.append(proto.graph.node[0])), "the value y twice"),
    "unknown_output": (
        changed(lambda proto: setattr(proto.graph.output[0], "name", "q")),
        "no node computes the output q",
    ),
    "sizes": (
        changed(lambda proto: proto.graph.initializer[0].dims.append(2)),
        r"float \[3, 2\], but the file has 12 bytes",
    ),
    "negative": (
        changed(lambda proto: proto.graph.initializer[0].dims.__setitem__(0, -3)),
        "expected at most 2147483647",
    ),
    "few_numbers": (changed(without_numbers), "the tensor z has 0 numbers; expected 2147483647"),
    "function_output": (changed(without_function_output), "does not compute the output q; expected it"),
    "many_inputs": (changed(with_many_inputs), "too many nodes, names or calls of functions"),
    "string": (changed(lambda proto: setattr(proto.graph.initializer[0], "data_type", 8)), "the element type 8"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_is_refused_with_its_cause(case: str, runtime: Runtime) -> None:
    file, reason = FILES[case]
    before = runtime.memory()
    with pytest.raises(RuntimeLibraryError, match=reason):
        runtime.model(file)
    assert runtime.memory() == before


def test_a_kernel_refuses_with_its_own_words(runtime: Runtime) -> None:
    widths = Widths(64, 32, 48, 2, 1)
    feed = ffn_feed(widths, 1)
    broken = model_of({**feed, "weight_out": feed["weight_out"][:16]}, widths)
    before = runtime.memory()
    with pytest.raises(
        RuntimeLibraryError, match=r"mbert.StackedFFN\): weight_out is float \[16, 64\]; expected \[32, 64\]"
    ):
        runtime.model(broken)
    assert runtime.memory() == before


def without_output(proto: onnx.ModelProto) -> None:
    proto.graph.node[0].output[0] = ""
    proto.graph.node.append(helper.make_node("Identity", ["x"], ["y"]))


def test_a_kernel_has_an_output(runtime: Runtime) -> None:
    widths = Widths(16, 8, 8, 2, 1)
    with pytest.raises(RuntimeLibraryError, match=r"mbert.StackedFFN\): its output is missing; expected it"):
        runtime.model(changed(without_output, model_of(ffn_feed(widths, 1), widths)))


def test_inputs_are_checked(runtime: Runtime) -> None:
    with runtime.model(GOOD) as model:
        for feed, reason in (
            ({"x": longs([1])}, r"input x is int64 \[1\]; expected float \[-1\], where -1 is any size"),
            ({"x": singles([[1]])}, r"input x is float \[1, 1\]; expected float"),
            ({"q": singles([1])}, "no input q"),
            ({}, "input x is missing"),
        ):
            with pytest.raises(RuntimeLibraryError, match=reason):
                model.run(feed)
        assert model.run(X)["y"].tolist() == [1.5, 3, 5]


def test_a_model_describes_itself(runtime: Runtime) -> None:
    def change(proto: onnx.ModelProto) -> None:
        helper.set_model_props(proto, {"labels": '["a\\"b", "ä\\n"]', "task": "x"})
        proto.graph.input.append(helper.make_tensor_value_info("k", INT64, [1]))
        proto.graph.initializer.append(helper.make_tensor("k", INT64, [1], [5]))

    with runtime.model(changed(change)) as model:
        found = model.description
        assert model.run(X)["y"].tolist() == [1.5, 3, 5]  # the input with a default may be left out
    assert found["inputs"] == [
        {"name": "x", "type": "float32", "shape": ["x_0"], "optional": False},
        {"name": "k", "type": "int64", "shape": [1], "optional": True},
    ]
    assert found["outputs"] == [{"name": "y", "type": "float32", "shape": None}]
    assert json.loads(found["metadata"]["labels"]) == ['a"b', "ä\n"]


def test_an_input_can_be_an_output(runtime: Runtime) -> None:
    model = edited(GOOD, lambda proto: proto.graph.output.append(proto.graph.input[0]))
    with runtime.model(model) as loaded:
        assert loaded.run(X)["x"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("model", [GOOD, model_of(ffn_feed(Widths(16, 8, 8, 2, 1), 1), Widths(16, 8, 8, 2, 1))])
def test_a_file_that_is_cut_off_or_changed_is_read_within_its_bounds(model: bytes, runtime: Runtime) -> None:
    before = runtime.memory()
    rng = np.random.default_rng(0)
    files = [model[:length] for length in range(0, len(model), 7)]
    for _ in range(1500):
        changed_file = bytearray(model)
        for _ in range(rng.integers(1, 4)):
            changed_file[rng.integers(len(model))] = rng.integers(256)
        files.append(bytes(changed_file))
    reasons = set()
    for file in files:
        try:
            with runtime.model(file) as loaded:
                loaded.run(X)
        except RuntimeLibraryError as error:
            reasons.add(str(error))
    assert len(reasons) > 20
    assert "" not in reasons
    assert runtime.memory() == before
