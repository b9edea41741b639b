"""The standard operators of the standalone runtime against onnxruntime, in the forms that exports use."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnxruntime
import pytest
from standalone_models import BOOL, DOUBLE, FLOAT, FLOAT16, INT32, INT64, UINT8, function_model, longs, singles
from standalone_runtime import Runtime, RuntimeLibraryError, assert_same

RNG = np.random.default_rng(0)


def floats(*shape: int, dtype: str = "float32") -> np.ndarray:
    return RNG.normal(size=shape).astype(dtype)


def integers(*shape: int, low: int = -9, high: int = 9, dtype: str = "int64") -> np.ndarray:
    return RNG.integers(low, high, shape).astype(dtype)


A, B, ROW = floats(3, 1, 5), floats(4, 1), floats(5)
WIDE = floats(2, 3, 300)
LONG = integers(700, low=-5, high=5)
HALVES = np.array([0, 1, -1, 65504, 6e-8, -6e-8, 1 / 3, 2049, np.inf, np.nan], np.float16)
ODD = np.array([-(2**63), 2**63 - 1, -1, 0, 5], np.int64)
EXTREMES = np.array([np.nan, np.inf, -np.inf, 1e300, -0.7, 0.7, 2.5e9], np.float64)
MANY = {"x": floats(3, 40)}

# By name: nodes, inputs, outputs with their types, constants.
CASES: dict[str, tuple[str, dict[str, np.ndarray], list[tuple[str, int]], dict[str, np.ndarray]]] = {
    "arithmetic": (
        "a = Add(x, y) b = Sub(a, z) c = Mul(b, x) d = Div(c, y)",
        {"x": A, "y": B, "z": ROW},
        [("d", FLOAT)],
        {},
    ),
    "doubles": (
        "a = Mul(x, y) d = Sub(a, x)",
        {"x": floats(6, dtype="float64"), "y": floats(6, dtype="float64")},
        [("d", DOUBLE)],
        {},
    ),
    "halves": ("a = Mul(x, x) y = Add(a, x)", {"x": HALVES}, [("y", FLOAT16)], {}),
    "halves_to_floats": ("y = Cast <to = 1> (x)", {"x": HALVES}, [("y", FLOAT)], {}),
    "floats_to_halves": (
        "y = Cast <to = 10> (x)",
        {"x": singles([1e-8, 6e-8, 65519, 65520, 0.1, 2049.5, -3e-6])},
        [("y", FLOAT16)],
        {},
    ),
    "integers": (
        "a = Add(x, y) b = Mul(a, x) c = Sub(b, y) d = Div(c, z) e = Mod(c, z)",
        {"x": LONG, "y": LONG[::-1].copy(), "z": integers(1, low=2)},
        [("d", INT64), ("e", INT64)],
        {},
    ),
    "wrapped": (
        "a = Add(x, x) b = Mul(x, x) c = Sub(x, y)",
        {"x": ODD, "y": longs([1])},
        [("a", INT64), ("b", INT64), ("c", INT64)],
        {},
    ),
    "int32": (
        "a = Mul(x, x) b = Max(a, x) y = Min(b, a)",
        {"x": integers(50, low=-(2**31), high=2**31 - 1, dtype="int32")},
        [("y", INT32)],
        {},
    ),
    "comparisons": (
        "a = Equal(x, y) b = Less(x, y) c = Greater(x, y) d = GreaterOrEqual(x, y)"
        " e = And(a, d) f = Or(b, c) g = Not(f)",
        {"x": LONG, "y": LONG[::-1].copy()},
        [(n, BOOL) for n in "bcdeg"],
        {},
    ),
    "where": ("a = Less(x, y) z = Where(a, x, y)", {"x": floats(4, 1, 3), "y": floats(2, 1)}, [("z", FLOAT)], {}),
    "where_integers": (
        "z = Where(a, x, y)",
        {"a": np.array([[True], [False]]), "x": integers(1, 3), "y": integers(2, 3)},
        [("z", INT64)],
        {},
    ),
    "max_min": (
        "a = Max(x, y) b = Min(x, y) c = Relu(x)",
        {"x": floats(70), "y": floats(70)},
        [("a", FLOAT), ("b", FLOAT), ("c", FLOAT)],
        {},
    ),
    "tanh": (
        "y = Tanh(x)",
        {"x": np.concatenate([floats(300) * 4, singles([0, 30, -30, 1e-6])])},
        [("y", FLOAT)],
        {},
    ),
    "erf": ("y = Erf(x)", {"x": np.concatenate([floats(300) * 2, singles([0, 9, -9, 1e-6])])}, [("y", FLOAT)], {}),
    "sigmoid": ("y = Sigmoid(x)", {"x": np.concatenate([floats(300) * 9, singles([0, 99, -99])])}, [("y", FLOAT)], {}),
    "clip": (
        "a = Clip(x, low, high) b = Clip(i, one, five) c = Clip(x, low) d = Clip(i, one)",
        {"x": floats(300), "i": integers(50)},
        [("a", FLOAT), ("b", INT64), ("c", FLOAT), ("d", INT64)],
        {"low": singles(-0.5), "high": singles(0.7), "one": np.array(1), "five": np.array(5)},
    ),
    "sizes": (
        "a = Abs(x) b = Sqrt(a)",
        {"x": floats(300)},
        [("a", FLOAT), ("b", FLOAT)],
        {},
    ),
    "leaky_relu": (
        "a = LeakyRelu(x) b = LeakyRelu <alpha = 0.3> (x)",
        {"x": floats(300)},
        [("a", FLOAT), ("b", FLOAT)],
        {},
    ),
    "mish": ("y = Mish(x)", {"x": np.concatenate([floats(300) * 9, singles([90, -90])])}, [("y", FLOAT)], {}),
    "powers": (
        "a = Pow(x, two) b = Pow(x, three) r = Relu(x) c = Pow(r, half)",
        {"x": floats(300)},
        [(n, FLOAT) for n in "abc"],
        {"two": singles(2), "three": singles([3]), "half": singles(0.5)},
    ),
    "casts": (
        "a = Cast <to = 6> (x) b = Cast <to = 9> (x) c = Cast <to = 7> (b) d = Cast <to = 11> (a)",
        {"x": floats(40) * 9},
        [("a", INT32), ("b", BOOL), ("c", INT64), ("d", DOUBLE)],
        {},
    ),
    "cast_like": ("z = CastLike(x, y)", {"x": integers(5), "y": floats(1)}, [("z", FLOAT)], {}),
    "softmax": ("y = Softmax <axis = -1> (x)", {"x": WIDE * 3}, [("y", FLOAT)], {}),
    "softmax_of_doubles": (
        "y = Softmax <axis = -1> (x)",
        {"x": floats(3, 50, dtype="float64") * 99},
        [("y", DOUBLE)],
        {},
    ),
    "layer_normalization": (
        "y = LayerNormalization <axis = -1, epsilon = 1e-12> (x, s, b)",
        {"x": WIDE},
        [("y", FLOAT)],
        {"s": floats(300), "b": floats(300)},
    ),
    "reductions": (
        "a = ReduceMax <keepdims = 0> (x) b = ReduceMin(x, one)"
        " c = ReduceSum <keepdims = 0> (x, one) d = ReduceSum(x, two)",
        {"x": WIDE},
        [(n, FLOAT) for n in "abcd"],
        {"one": longs([1]), "two": longs([0, -1])},
    ),
    "reductions_of_integers": (
        "a = ReduceMax(x) b = ReduceMin <keepdims = 0> (x, one) c = ReduceSum(x, one)",
        {"x": integers(7, 9)},
        [(n, INT64) for n in "abc"],
        {"one": longs([1])},
    ),
    "length": ("y = ReduceL2(x, one)", {"x": WIDE}, [("y", FLOAT)], {"one": longs([-1])}),
    "arg_max": (
        "a = ArgMax <axis = -1, keepdims = 0> (x) b = ArgMax <axis = 2> (x)",
        {"x": np.round(WIDE)},
        [("a", INT64), ("b", INT64)],
        {},
    ),
    "cumulative_sum": (
        "a = CumSum(x, axis) b = CumSum <exclusive = 1> (x, axis)",
        {"x": LONG},
        [("a", INT64), ("b", INT64)],
        {"axis": np.array(0)},
    ),
    "top_k": (
        "a, b = TopK(x, k) c, d = TopK <largest = 0> (x, k)",
        {"x": np.round(floats(3, 40) * 3), "k": longs([7])},
        [("a", FLOAT), ("b", INT64), ("c", FLOAT), ("d", INT64)],
        {},
    ),
    "top_k_of_integers": (
        "a, b = TopK(x, k) c, d = TopK <largest = 0> (x, k)",
        {"x": integers(60), "k": longs([60])},
        [(n, INT64) for n in "abcd"],
        {},
    ),
    "unique": (
        "a, b, c, d = Unique <axis = 0, sorted = 0> (x)",
        {"x": integers(200, 2, low=0, high=6)},
        [(n, INT64) for n in "abcd"],
        {},
    ),
    "nonzero": ("a = Greater(x, zero) b = NonZero(a)", {"x": LONG}, [("b", INT64)], {"zero": longs([0])}),
    "scatter": (
        'a = ScatterElements <axis = 0, reduction = "add"> (x, i, u)'
        ' b = ScatterElements <axis = 0, reduction = "max"> (x, i, u)'
        ' c = ScatterElements <axis = 0, reduction = "min"> (x, i, u)',
        {"x": floats(9), "i": integers(30), "u": floats(30)},
        [(n, FLOAT) for n in "abc"],
        {},
    ),
    "scatter_integers": (
        'a = ScatterElements <axis = 0, reduction = "add"> (x, i, x)'
        ' b = ScatterElements <axis = 0, reduction = "min"> (x, i, x)',
        {"x": integers(9), "i": integers(9, low=0)},
        [("a", INT64), ("b", INT64)],
        {},
    ),
    "transpose": (
        "a = Transpose <perm = [0, 2, 1, 3]> (x) b = Transpose <perm = [2, 0, 3, 1]> (x) c = Transpose(x)"
        " d = Cast <to = 9> (x) e = Transpose <perm = [3, 2, 0, 1]> (d)",
        {"x": np.round(floats(2, 3, 4, 5))},
        [("a", FLOAT), ("b", FLOAT), ("c", FLOAT), ("e", BOOL)],
        {},
    ),
    "transpose_of_none": ("y = Transpose(x)", {"x": floats(3, 0, 2)}, [("y", FLOAT)], {}),
    "split": (
        "a, b, c = Split <axis = 1> (x, s) d, e = Split <axis = -1> (x, t)"
        " f, g = Split <axis = 1, num_outputs = 2> (x)",
        {"x": floats(2, 5, 3)},
        [(n, FLOAT) for n in "abcdefg"],
        {"s": longs([1, 0, 4]), "t": longs([2, 1])},
    ),
    "shapes": (
        "a = Shape(x) b = Shape <start = 1> (x) c = Shape <start = -2, end = -1> (x) d = Shape <end = 9> (x)",
        {"x": WIDE},
        [(n, INT64) for n in "abcd"],
        {},
    ),
    "reshape": (
        "a = Reshape(x, s) b = Unsqueeze(a, axes) c = Squeeze(b) d = Squeeze(b, axes) e = Identity(d)",
        {"x": WIDE},
        [("b", FLOAT), ("c", FLOAT), ("e", FLOAT)],
        {"s": longs([0, -1]), "axes": longs([0, -1])},
    ),
    "reshape_of_none": (
        "y = Reshape <allowzero = 1> (x, s)",
        {"x": floats(0, 5)},
        [("y", FLOAT)],
        {"s": longs([5, 0])},
    ),
    "concat": (
        "a = Concat <axis = 1> (x, y, x) b = Concat <axis = -1> (x, x)",
        {"x": floats(2, 3), "y": floats(2, 0)},
        [("a", FLOAT), ("b", FLOAT)],
        {},
    ),
    "gather": (
        "a = Gather <axis = 1> (x, i) b = Gather(x, j)",
        {"x": WIDE, "i": integers(4, 2, low=-3, high=3), "j": np.array(-1)},
        [("a", FLOAT), ("b", FLOAT)],
        {},
    ),
    "gather_many": ("a = Gather(x, i)", {"x": floats(9), "i": integers(700, low=0, dtype="int32")}, [("a", FLOAT)], {}),
    "slice": (
        "a = Slice(x, s, e, axes) b = Slice(x, s, e) c = Slice(x, far, end, axes, step)",
        {"x": WIDE},
        [(n, FLOAT) for n in "abc"],
        {
            "s": longs([1, -200]),
            "e": longs([3, 2**63 - 1]),
            "axes": longs([1, 2]),
            "step": longs([1, 1]),
            "far": longs([-(2**63), 99]),
            "end": longs([-1, 99]),
        },
    ),
    "pad": (
        "a = Pad(x, p) b = Pad(x, p, v)",
        {"x": floats(2, 3)},
        [("a", FLOAT), ("b", FLOAT)],
        {"p": longs([1, 0, 0, 2]), "v": singles(7)},
    ),
    "expand": ("a = Expand(x, s)", {"x": floats(3, 1), "s": longs([2, 1, 4])}, [("a", FLOAT)], {}),
    "range": (
        "a = Range(x, y, z) b = Range(y, x, w)",
        {"x": np.array(2), "y": np.array(11)},
        [("a", INT64), ("b", INT64)],
        {"z": np.array(3), "w": np.array(2)},
    ),
    "gemm": ("y = Gemm(x, w, c)", MANY, [("y", FLOAT)], {"w": floats(40, 33), "c": floats(33)}),
    "gemm_transposed": ("y = Gemm <transB = 1> (x, w)", MANY, [("y", FLOAT)], {"w": floats(7, 40)}),
    "gemm_residual": ("y = Gemm(x, w, c)", {**MANY, "c": floats(3, 9)}, [("y", FLOAT)], {"w": floats(40, 9)}),
    "gemm_many_rows": (
        "y = Gemm(x, w, c)",
        {"x": floats(150, 4), "c": floats(150, 1)},
        [("y", FLOAT)],
        {"w": floats(4, 9)},
    ),
    "matmul": ("y = MatMul(x, w)", {"x": floats(2, 3, 40)}, [("y", FLOAT)], {"w": floats(40, 5)}),
    "matmul_of_two": ("y = MatMul(x, z)", {"x": floats(4, 1, 6), "z": floats(4, 6, 5)}, [("y", FLOAT)], {}),
    "matmul_of_lists": (
        "a = MatMul(x, y) b = MatMul(y, t) c = MatMul(w, x)",
        {"x": floats(3, 1, 7, 6), "y": floats(2, 6, 70), "t": floats(70, 1)},
        [(n, FLOAT) for n in "abc"],
        {"w": floats(2, 9, 7)},
    ),
    "matmul_of_halves": (
        "a = MatMul(x, y)",
        {"x": np.round(floats(2, 4, 9)).astype(np.float16), "y": np.round(floats(2, 9, 20)).astype(np.float16)},
        [("a", FLOAT16)],
        {},
    ),
    "matmul_of_doubles": (
        "a = MatMul(x, y)",
        {"x": floats(2, 3, 4, dtype="float64"), "y": floats(4, 5, dtype="float64")},
        [("a", DOUBLE)],
        {},
    ),
    "matmul_of_none": ("a = MatMul(x, y)", {"x": floats(2, 3, 0), "y": floats(0, 5)}, [("a", FLOAT)], {}),
    "steps": (
        "a = QuantizeLinear(x, s, z) b = DequantizeLinear(a, s, z)"
        " c = com.microsoft.QuantizeLinear(x, s, w) d = com.microsoft.DequantizeLinear(c, s, w)",
        {"x": np.concatenate([floats(4, 300) * 9, singles([[0.25, 0.75, -0.25] * 100])])},
        [("a", UINT8), ("b", FLOAT), ("d", FLOAT)],
        {"s": singles(0.5), "z": np.array(9, np.uint8), "w": np.array(900, np.uint16)},
    ),
    "steps_of_an_axis": (
        "q = QuantizeLinear <axis = 1> (x, s, z) b = DequantizeLinear <axis = 1> (q, s, z)"
        " d = DequantizeLinear <axis = 0> (i, s)",
        {"x": floats(2, 3, 4) * 99, "i": integers(3, 5, dtype="int32")},
        [("b", FLOAT), ("d", FLOAT)],
        {"s": singles([0.5, 0.1, 2]), "z": np.array([0, 9, -9], np.int8)},
    ),
    "constants_of_nodes": (
        "t = Transpose(w) d = DequantizeLinear <axis = 0> (t, s) i = Identity(d) y = Gemm(x, i) z = Mul(y, v)"
        " n = Shape(w) r = Reshape(x, n)",
        {"x": floats(4, 5)},
        [("z", FLOAT), ("r", FLOAT)],
        {"w": integers(4, 5, dtype="int8"), "s": floats(5), "v": floats(4)},
    ),
    "quantize": (
        "a, b, c = DynamicQuantizeLinear(x)",
        {"x": floats(4, 9)},
        [("a", UINT8), ("b", FLOAT), ("c", UINT8)],
        {},
    ),
    "quantize_zeros": (
        "a, b, c = DynamicQuantizeLinear(x)",
        {"x": np.zeros((2, 3), np.float32)},
        [("a", UINT8), ("b", FLOAT), ("c", UINT8)],
        {},
    ),
    "integer_product": (
        "a, b, c = DynamicQuantizeLinear(x) t = Transpose(w) y = MatMulInteger(a, t, c)",
        {"x": floats(70, 500)},
        [("y", INT32)],
        {"w": integers(37, 500, low=-128, high=128, dtype="int8")},
    ),
    "integer_product_of_relu": (
        "r = Relu(x) a, b, c = DynamicQuantizeLinear(r) y = MatMulInteger(a, w, c)",
        {"x": floats(5, 3, 300)},
        [("y", INT32)],
        {"w": integers(300, 20, low=-127, high=128, dtype="int8")},
    ),
    "constants": (
        "a = Constant <value_ints = [3, 4]> () b = Constant <value = float {0.5}> ()"
        " c = Constant <value = float {2.0}> () d = Mul(x, b) e = Add(d, c)",
        {"x": floats(4)},
        [("a", INT64), ("e", FLOAT)],
        {},
    ),
}


def run_both(
    runtime: Runtime,
    body: str,
    feed: dict[str, np.ndarray],
    outputs: Sequence[tuple[str, int]],
    constants: dict[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns the outputs of the runtime and of onnxruntime."""
    model = function_model(body, feed, outputs, constants)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    expected = dict(zip([name for name, _ in outputs], session.run(None, feed), strict=True))
    with runtime.model(model) as loaded:
        return loaded.run(feed), expected


@pytest.mark.parametrize("case", CASES)
def test_as_onnxruntime(case: str, runtime: Runtime) -> None:
    found, expected = run_both(runtime, *CASES[case])
    assert_same(found, expected, 2e-6 if case in ("tanh", "erf") else 1e-6)


def test_doubles_as_numpy(runtime: Runtime) -> None:
    x = np.concatenate([floats(500, dtype="float64") * 30, floats(500, dtype="float64") * 0.2, [0.0, 700.0, -700.0]])
    body = "y = Tanh(x) z = Softmax(w) e = Erf(x)"
    model = function_model(body, {"x": x, "w": x[None]}, [("y", DOUBLE), ("z", DOUBLE), ("e", DOUBLE)])
    with runtime.model(model) as loaded:
        found = loaded.run({"x": x, "w": x[None]})
    np.testing.assert_allclose(found["y"], np.tanh(x), rtol=1e-15)
    np.testing.assert_allclose(found["e"], [math.erf(value) for value in x], rtol=1e-14)
    weights = np.exp(x - x.max())
    np.testing.assert_allclose(found["z"][0], weights / weights.sum(), rtol=2e-15, atol=1e-300)


def test_numbers_that_do_not_fit_are_clipped(runtime: Runtime) -> None:
    model = function_model("y = Cast <to = 7> (x)", {"x": EXTREMES}, [("y", INT64)])
    with runtime.model(model) as loaded:
        found = loaded.run({"x": EXTREMES})["y"]
    assert found.tolist() == [0, 2**63 - 1, -(2**63), 2**63 - 1, 0, 0, 2500000000]


WRONG: dict[str, tuple[str, dict[str, np.ndarray], dict[str, np.ndarray], str]] = {
    "division": ("y = Div(x, z)", {"x": integers(3)}, {"z": longs([0])}, "divided by 0"),
    "shapes": (
        "y = Add(x, z)",
        {"x": floats(3, 4)},
        {"z": floats(3)},
        r"float \[3, 4\] and float \[3\]; expected shapes that",
    ),
    "index": ("y = Gather(x, z)", {"x": floats(3)}, {"z": longs([3])}, "out of data bounds, 3; expected -3 to 2"),
    "reshape": (
        "y = Reshape(x, z)",
        {"x": floats(3, 4)},
        {"z": longs([5, -1])},
        r"float \[3, 4\]; expected as many numbers",
    ),
    "k": ("y, _i = TopK(x, z)", {"x": floats(3)}, {"z": longs([4])}, "k is 4"),
    "scatter": (
        "y = ScatterElements(x, z, x)",
        {"x": floats(1)},
        {"z": longs([-2])},
        "out of data bounds, -2; expected -1 to 0",
    ),
    "expand": ("y = Expand(x, z)", {"x": floats(1)}, {"z": longs([2**31, 2**31])}, "expected sizes that fit"),
    "range": ("y = Range(x, z, x)", {"x": np.array(0)}, {"z": np.array(1)}, "a positive step"),
    "gemm": ("y = Gemm(x, z)", {"x": floats(2, 3)}, {"z": floats(4, 5)}, r"expected \[rows, 4\]"),
    "perm": (
        "y = Transpose <perm = [1, 1]> (x)",
        {"x": floats(2, 3)},
        {},
        "expected perm to have each of its axes once",
    ),
    "parts": (
        "y, _z = Split <axis = 0> (x, z)",
        {"x": floats(4)},
        {"z": longs([-1, 5])},
        "sizes of 2 parts that are those",
    ),
    "matrices": (
        "y = MatMul(x, z)",
        {"x": floats(2, 3, 4)},
        {"z": floats(2, 3, 4)},
        r"float \[2, 3, 4\] and float \[2, 3, 4\]; expected matrices",
    ),
    "steps": (
        "y = DequantizeLinear(x, z)",
        {"x": integers(4, 5, dtype="int8")},
        {"z": floats(4)},
        r"float \[4\]; expected one, or 5",
    ),
    "kinds_of_nothing": (
        "y = Unique <axis = 0, sorted = 0> (x)",
        {"x": integers(9, 0)},
        {},
        "one number at least in each row",
    ),
    "empty": ("y = ReduceMax(x)", {"x": floats(0)}, {}, "expected numbers for each"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_run_that_fails_names_the_node(case: str, runtime: Runtime) -> None:
    body, feed, constants, reason = WRONG[case]
    kind = INT64 if case in ("division", "range", "kinds_of_nothing") else FLOAT
    before = runtime.memory()
    with runtime.model(function_model(body, feed, [("y", kind)], constants)) as loaded:
        operator = body.split("= ")[1].split("(")[0].split(" <")[0]
        for _ in range(2):
            with pytest.raises(RuntimeLibraryError, match=rf"^node own \({operator}\): .*{reason}"):
                loaded.run(feed)
    assert runtime.memory() == before


def test_many_rows_of_nothing_take_no_time(runtime: Runtime) -> None:
    # Each of 2³¹ − 1 rows, or of pairs of a row and an index, would take minutes.
    rows, indices = np.zeros((2**31 - 1, 1, 0), np.float32), np.zeros(1, np.int64)
    body = "a = Gather <axis = 1> (x, i) y = Softmax(x) b = Concat <axis = 0> (x) z = Slice(b, s, e)"
    feed: dict[str, np.ndarray] = {"x": rows, "i": indices}
    outputs = [(name, FLOAT) for name in "ayz"]
    with runtime.model(function_model(body, feed, outputs, {"s": longs([0]), "e": longs([1])})) as loaded:
        found = loaded.run(feed)
    assert {name: array.shape for name, array in found.items()} == {"a": rows.shape, "y": rows.shape, "z": (1, 1, 0)}
